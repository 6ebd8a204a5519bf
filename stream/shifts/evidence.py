"""From the record of a query to what is published of it: figures, parts, strata."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import exp
from typing import Any

from core.schemas import Interval
from stream.shifts.columns import Floats, Rows
from stream.shifts.kinds.base import ShiftKind
from stream.shifts.layout import ENDED_AS, FIGURE, AlertSlots
from stream.shifts.signals import ShiftSignal
from stream.windows.summary import Z_95


def alert_id(query: str, kind: str, number: int) -> str:
    """Return the id of the `number`-th alert of a kind of a query: the same after any crash."""
    return blake2b(f"{query}|{kind}|{number}".encode(), digest_size=8).hexdigest()


def signal(
    query: str, names: Mapping[str, int], core: Rows, kind: ShiftKind[Any], number: int,
    resolved_as: int, decided_s: int,
) -> ShiftSignal:  # fmt: skip
    """Return what is to be published of a kind of a query.

    Args:
        query: Its name.
        names: stratum -> slot of its strata.
        core: (1,) The state of the query.
        kind: The kind of the alert.
        number: The number of the alert, for its id.
        resolved_as: 0 while it fires, else the place in `ENDED_AS`.
        decided_s: The end of the pane after which it is published.
    """
    at, slot = AlertSlots(core), kind.slot
    figures, strata = (at.figures[0, slot], ()) if resolved_as else kind.now(names, core, decided_s)
    return ShiftSignal(
        alert_id=alert_id(query, kind.name, number),
        query=query,
        kind=kind.name,
        state="resolved" if resolved_as else "firing",
        direction=kind.directions[int(at.side[0, slot])],
        severity=int(at.severity[0, slot]),
        started_s=int(at.started[0, slot]),
        fired_s=int(at.fired[0, slot]),
        decided_s=decided_s,
        evidence=round(float(at.evidence[0, slot]), 3),
        threshold=round(float(at.threshold[0, slot]), 3),
        before=_interval(figures, "before"),
        after=_interval(figures, "after"),
        change=_interval(figures, "change", is_ratio=kind.is_ratio),
        ended_s=decided_s if resolved_as else -1,
        ended_as=ENDED_AS[resolved_as],
        mix=float(figures[FIGURE["mix"]]),
        opinion=float(figures[FIGURE["opinion"]]),
        posts=int(figures[FIGURE["posts"]]),
        copies=bool(figures[FIGURE["copies"]]),
        strata=strata,
    )


def _interval(figures: Floats, name: str, *, is_ratio: bool = False) -> Interval:
    value = float(figures[FIGURE[name]])
    error = Z_95 * float(figures[FIGURE[f"{name}_error"]])
    if is_ratio:
        return Interval(exp(value), exp(value - error), exp(value + error))
    return Interval(value, value - error, value + error)
