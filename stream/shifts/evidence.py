"""From the record of a query to what is said of it: figures, parts, strata."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import exp
from typing import Final

import numpy as np

from stream.shifts import slots
from stream.shifts.layout import DESIGNS, ENDED_AS, FIGURE, MIX_DESIGNS, OTHER, SUM, Floats, Rows, S
from stream.shifts.seasons import features
from stream.shifts.signals import KINDS, EndedAs, Estimate, ShiftSignal, StratumChange
from stream.shifts.slots import Candidate

_Z95: Final = 1.959964


def alert_id(query: str, kind: str, number: int) -> str:
    """Return the id of the `number`-th alert of a kind of a query: the same after any crash."""
    return blake2b(f"{query}|{kind}|{number}".encode(), digest_size=8).hexdigest()


def signal(
    query: str, names: Mapping[str, int], core: Rows, slot: int, number: int, resolved_as: int,
    decided_s: int,
) -> ShiftSignal:  # fmt: skip
    """Return what is to be said of one slot of a query.

    Args:
        query: its name.
        names: stratum -> slot of its strata.
        core: (1,) its state.
        slot: kind of the alert, by its place in `KINDS`.
        number: of the alert, for its id.
        resolved_as: 0 while it fires, else the place in `ENDED_AS`.
        decided_s: end of the pane that it is said after.
    """
    kind = KINDS[slot]
    figures = core["figures"][0, slot]
    strata: tuple[StratumChange, ...] = ()
    if not resolved_as and kind in ("opinion", "mix"):
        figures, strata = _mean_now(names, core, slot, decided_s)
    ended_as: EndedAs = ENDED_AS[resolved_as]  # pyright: ignore[reportAssignmentType]
    down = core["side"][0, slot] == 1 and kind != "brigading"
    before, after, change = _estimates(kind, figures)
    return ShiftSignal(
        alert_id=alert_id(query, kind, number),
        query=query,
        kind=kind,
        state="resolved" if resolved_as else "firing",
        direction="down" if down else "up",
        severity=int(core["severity"][0, slot]),
        started_s=int(core["started"][0, slot]),
        fired_s=int(core["fired"][0, slot]),
        decided_s=decided_s,
        evidence=round(float(core["evidence"][0, slot]), 3),
        threshold=round(float(core["threshold"][0, slot]), 3),
        before=before,
        after=after,
        change=change,
        ended_s=decided_s if resolved_as else -1,
        ended_as=ended_as,
        mix=float(figures[FIGURE["mix"]]),
        opinion=float(figures[FIGURE["opinion"]]),
        posts=int(figures[FIGURE["posts"]]),
        copies=bool(figures[FIGURE["copies"]]),
        strata=strata,
    )


def _mean_now(
    names: Mapping[str, int], core: Rows, slot: int, decided_s: int
) -> tuple[Floats, tuple[StratumChange, ...]]:
    """Return the figures of the component that fired, as they are now, with its strata.

    Figures and strata come from the same sums, so they add up; where the component has come to
    rest (a late correction), the figures are those of the moment it fired, without strata.
    """
    kind = KINDS[slot]
    chart = core[kind]
    design, side = int(core["design"][0, slot]), int(core["side"][0, slot])
    assert len(chart["score"][0]) == len(DESIGNS if kind == "opinion" else MIX_DESIGNS)  # noqa: S101
    sums = chart["sums"][:, design, side]
    if sums[0, SUM["rated"]] <= 0:
        return core["figures"][0, slot], ()
    found = Candidate(
        fires=np.ones(1, dtype=np.bool_),
        design=np.array([design]),
        side=np.array([side]),
        score=chart["score"][:, design, side],
        effect=core["effect"][:, slot],
        sums=sums,
        onset=chart["onset"][:, design, side],
    )
    strata = chart["strata"][0, design, side].astype(np.float64)
    return slots.mean_figures(found, kind)[0], _strata(names, core, strata, decided_s)


def _strata(
    names: Mapping[str, int], core: Rows, sums: Floats, decided_s: int
) -> tuple[StratumChange, ...]:
    """Return the parts of the change by stratum, largest first; they add up to the change."""
    total = max(float(sums[0].sum()), 1.0)
    fitted = (features(np.array([decided_s]))[0] @ core["weights"][0]).clip(-1, 1)
    shares, tilt = fitted[1:], core["tilt"][0]
    level = fitted[0] - float(shares @ tilt)
    named = {slot: name for name, slot in names.items()}
    named[OTHER] = "other"
    found: list[StratumChange] = []
    for slot in range(S):
        posts, opinion, mix = (float(value) for value in sums[:, slot])
        if slot not in named or (posts <= 0 and mix == 0 and opinion == 0):
            continue
        before = float(level + tilt[slot])
        found.append(
            StratumChange(
                stratum=named[slot],
                posts=round(posts),
                share_before=max(0.0, float(shares[slot])),
                share_after=posts / total,
                mean_before=before,
                mean_after=before + (opinion / posts if posts > 0 else 0.0),
                mix=mix / total,
                opinion=opinion / total,
            )
        )
    return tuple(sorted(found, key=lambda one: (-abs(one.mix + one.opinion), one.stratum)))


def _estimates(kind: str, figures: Floats) -> tuple[Estimate, Estimate, Estimate]:
    def interval(name: str, *, ratio: bool = False) -> Estimate:
        value = float(figures[FIGURE[name]])
        error = _Z95 * float(figures[FIGURE[f"{name}_error"]])
        if ratio:
            return Estimate(exp(value), exp(value - error), exp(value + error))
        return Estimate(value, value - error, value + error)

    return interval("before"), interval("after"), interval("change", ratio=kind == "volume")
