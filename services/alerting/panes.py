"""Which panes a call of the closer brings: corrections, new ones, and where knowledge begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from core.schemas import Window
from services.alerting.context import start_of
from services.alerting.state import JudgingState

Pane = tuple[int, list[Window]]
"""Its start, and the windows in it."""

MAX_QUIET_PANES: Final = 1_440
"""After a longer hole (another recording, a stack that was off) nobody is told of its panes."""
LONG_HOLE_PANES: Final = 60


@dataclass(frozen=True, slots=True)
class Panes:
    """What a call brings, in order.

    Attributes:
        known: panes that were told of before: their windows are corrections.
        new: the others, also those in which nobody posted.
        begins: nothing that was known before the first of `new` is worth keeping.
    """

    known: list[Pane]
    new: list[Pane]
    begins: bool


def panes_of(
    windows: Sequence[Window], upto_s: int, known: JudgingState, pane_s: int, *, may_begin: bool
) -> Panes:
    """Sort windows into panes and take note in `known` of how far that is.

    A silence of everybody that is long, and longer than what is known before it, is where a stream
    begins: posts that came a day late must not make a day of silence the usual.

    Args:
        windows: any queries, any panes.
        upto_s: every pane that starts before is closed.
        known: what is known beside the queries; changed.
        pane_s: length of a pane.
        may_begin: knowledge may be dropped.
    """
    by_start: dict[int, list[Window]] = {}
    for window in windows:
        by_start.setdefault(start_of(window), []).append(window)
    first_s = known.judged_s
    if first_s < 0:
        first_s = known.begun_s = min(by_start, default=upto_s)
    corrected = [(at, by_start[at]) for at in sorted(by_start) if at < first_s]
    starts = [at for at in sorted(by_start) if at >= first_s]
    begin_s = _beginning(starts, first_s, known.begun_s, pane_s) if may_begin else None
    known.judged_s = max(first_s, upto_s)
    if begin_s is not None:
        corrected, first_s, known.begun_s = [], begin_s, begin_s
    filled = {at for at in starts if at >= first_s}
    if upto_s - first_s <= MAX_QUIET_PANES * pane_s:
        filled.update(range(first_s, upto_s, pane_s))
    new = [(at, by_start.get(at, [])) for at in sorted(filled)]
    return Panes(corrected, new, begin_s is not None)


def _beginning(starts: Sequence[int], first_s: int, begun_s: int, pane_s: int) -> int | None:
    """Return the start of the last pane before which there is a hole that begins anew."""
    found: int | None = None
    for before_s, at in pairwise((first_s - pane_s, *starts)):
        end_s = before_s + pane_s
        if at - end_s > max(LONG_HOLE_PANES * pane_s, end_s - begun_s):
            found = begun_s = at
    return found
