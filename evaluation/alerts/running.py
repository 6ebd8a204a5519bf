"""Runs streams through the judge's own code, many at once, and notes what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.settings import ShiftSettings
from evaluation.alerts.plan import PANE_S, StreamPlan
from evaluation.alerts.synthetic import PANES, Crowd, make_crowd
from stream.shifts.advance import advance, standing
from stream.shifts.columns import Rows
from stream.shifts.cores import new_cores
from stream.shifts.kinds import KINDS, NAMED
from stream.shifts.layout import PANE

Floats = NDArray[np.float64]

_TELL_EVERY: Final = 720
_BLOCK: Final = 240
"""Panes turned from streams into columns at a time."""


@dataclass(frozen=True, slots=True)
class Call:
    """An alert that was raised; panes are numbers of the stream.

    Attributes:
        kind: opinion, mix, volume or brigading.
        down: direction.
        pane: the pane at whose end it was raised.
        ended: the pane at whose end it was resolved, -1 if it was not.
    """

    kind: str
    down: bool
    pane: int
    ended: int = -1


@dataclass(slots=True)
class Judged:
    """What became of one stream.

    Attributes:
        calls: alerts in order.
        residual: (T,) opinion residual in standard errors; what other detectors may use too.
        mean: (T,) mean sentiment of the pane, NaN without rated posts.
        rated, rate: (T,) rated posts, and how many were expected.
        silent: (T,) panes that were known to be no evidence.
        peaks: kind -> highest score of each excursion, if they were asked for.
    """

    calls: list[Call]
    residual: NDArray[np.float32]
    mean: NDArray[np.float32]
    rated: NDArray[np.float32]
    rate: NDArray[np.float32]
    silent: NDArray[np.bool_]
    peaks: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


def judge_streams(
    plans: Sequence[StreamPlan],
    settings: ShiftSettings,
    *,
    panes: int = PANES,
    peaks: bool = False,
    extras: Sequence[float] = (),
    tell: Callable[[int], None] | None = None,
) -> list[Judged]:
    """Make the streams of the plans and judge them side by side.

    Args:
        plans: one stream each.
        settings: of the judge.
        panes: how many of each stream.
        peaks: also note the highest allowed score of each excursion, for setting thresholds.
        extras: evidence asked of each stream beyond the thresholds, in nats; none means zero.
        tell: told now and then how many panes more are done.
    """
    crowds = [make_crowd(plan, panes) for plan in plans]
    return judge_crowds(crowds, settings, peaks=peaks, extras=extras, tell=tell)


def judge_crowds(
    crowds: Sequence[Crowd], settings: ShiftSettings, *, peaks: bool = False,
    extras: Sequence[float] = (), tell: Callable[[int], None] | None = None,
) -> list[Judged]:  # fmt: skip
    """Judge streams of equal length side by side."""
    count, length = len(crowds), len(crowds[0].panes)
    cores = new_cores(count)
    residual = np.zeros((count, length), dtype=np.float32)
    notes = [_Notes() for _ in crowds]
    tops = _Peaks(count)
    extra = np.asarray(extras or [0.0] * count)
    block = np.zeros((0, count), dtype=PANE)
    for at in range(length):
        if at % _BLOCK == 0:
            block = np.stack([crowd.panes[at : at + _BLOCK] for crowd in crowds], axis=1)
            block["extra"] += extra
        pane = block[at % _BLOCK]
        before = cores["firing"].copy()
        seen = advance(cores, pane, settings, PANE_S).of(NAMED["opinion"])
        residual[:, at] = seen.opinion / seen.error
        if (before != cores["firing"]).any():
            for row in np.flatnonzero((before != cores["firing"]).any(axis=1)).tolist():
                notes[row].take(before[row], cores[row : row + 1], at)
        if peaks:
            tops.take(standing(cores, settings))
        if tell is not None and (at + 1) % _TELL_EVERY == 0:
            tell(_TELL_EVERY)
    return [
        Judged(
            calls=notes[row].calls,
            residual=residual[row],
            mean=_means(crowd.panes),
            rated=crowd.panes["rated"].sum(axis=1).astype(np.float32),
            rate=crowd.rate.astype(np.float32),
            silent=crowd.panes["flags"] > 0,
            peaks=tops.found(row) if peaks else {},
        )
        for row, crowd in enumerate(crowds)
    ]


def _means(panes: Rows) -> NDArray[np.float32]:
    rated = panes["rated"].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (panes["sentiment"].sum(axis=1) / rated).astype(np.float32)


class _Notes:
    """Alerts of one stream, as they come and go."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._open: dict[int, int] = {}

    def take(self, before: NDArray[np.uint8], core: Rows, at: int) -> None:
        now = core["firing"][0]
        for kind in KINDS:
            slot = kind.slot
            if now[slot] and not before[slot]:
                self._open[slot] = len(self.calls)
                down = kind.directions[int(core["side"][0, slot])] == "down"
                self.calls.append(Call(kind.name, down, at))
            elif before[slot] and not now[slot]:
                place = self._open.pop(slot)
                call = self.calls[place]
                self.calls[place] = Call(call.kind, call.down, call.pane, at)


class _Peaks:
    """The highest score of every excursion from zero, by row and kind."""

    def __init__(self, count: int) -> None:
        self._top = np.zeros((count, len(KINDS)))
        self._found: list[list[list[float]]] = [[[] for _ in KINDS] for _ in range(count)]

    def take(self, scores: Floats) -> None:
        rises = scores > 0
        ended = ~rises & (self._top > 3)
        for row, slot in np.argwhere(ended).tolist():
            self._found[row][slot].append(float(self._top[row, slot]))
        self._top = np.where(rises, np.maximum(self._top, scores), 0.0)

    def found(self, row: int) -> dict[str, list[float]]:
        last = self._top[row]
        return {
            kind.name: [*self._found[row][slot], *([float(last[slot])] if last[slot] > 3 else [])]
            for slot, kind in enumerate(KINDS)
        }
