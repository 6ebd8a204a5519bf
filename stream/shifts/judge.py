"""Judges closed windows: which queries shift, in what way, and how sure that is. Pure.

The contract that the closer calls:

- `judge_many(windows, context)` takes the windows that were published together, of any queries and
  panes, corrections too, and returns what is to be published; `judge` is the same for one window.
- The state of a query is `state_bytes(query)`, bounded, and `restore(query, state)` brings it back.
  Save the states of the queries of a call together with what it returned, before the next call:
  after a crash the same windows on the same state say the same, under the same alert ids.
- Judging a (query, start, revision) again, or an older revision, changes nothing and says nothing.
- `judge_quiet(start_s, context)` tells that a pane closed: queries without a window had no post.
- No clock, no I/O, no randomness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from core.schemas import Window
from core.settings import ShiftSettings
from stream.shifts import cusum, evidence, intake, memory
from stream.shifts.advance import advance
from stream.shifts.columns import Floats, Ints, Rows
from stream.shifts.kinds import KINDS, check_thresholds
from stream.shifts.kinds.base import ShiftKind
from stream.shifts.layout import (
    ABSENT,
    ENDED_AS,
    OTHER,
    SILENT,
    AlertSlots,
    PaneCounts,
    PublishedAlerts,
)
from stream.shifts.memory import MAX_STATE_BYTES, Memory
from stream.shifts.rules import AlertRules
from stream.shifts.signals import JudgeContext, ShiftSignal

__all__ = ["MAX_STATE_BYTES", "ShiftJudge"]

_LONGEST_GAP: Final = 1_440
"""After so many panes unseen a query's charts start again; its baseline stays."""
_CORRECTED: Final = ENDED_AS.index("corrected")


class ShiftJudge:
    """Judges the windows of any number of queries.

    Args:
        settings: thresholds and gates.
        pane_s: length of a pane.

    Attributes:
        refused: how often a gate alone kept an alert from being raised, by the gate's name.
        too_old: corrections that came too late to be judged again.
    """

    def __init__(self, settings: ShiftSettings | None = None, pane_s: int = 60) -> None:
        self._settings = settings or ShiftSettings()
        check_thresholds(self._settings)
        self._pane_s = pane_s
        self._memory = Memory(self._settings.correction_panes)
        self._own: dict[str, Floats] = {}
        self.refused: Counter[str] = Counter()
        self.too_old = 0

    def follow(self, rules: Mapping[str, AlertRules]) -> None:
        """Judge by the rules of queries from the next pane on; alerts that fire go on."""
        self._own = {query: one.threshold_row() for query, one in rules.items() if one.thresholds}

    def judge(self, window: Window, context: JudgeContext) -> list[ShiftSignal]:
        """Judge one window; see `judge_many`."""
        return self.judge_many([window], context)

    def judge_many(self, windows: Sequence[Window], context: JudgeContext) -> list[ShiftSignal]:
        """Judge windows in the order of their panes and return what is to be published, by query.

        Windows may come in any order and again. A correction of one of the last
        `settings.correction_panes` panes of its query is judged as if it had been known at the
        time; an older one is counted in `too_old` and changes nothing.
        """
        return self.judge_groups([(windows, context)])

    def judge_groups(
        self, groups: Sequence[tuple[Sequence[Window], JudgeContext]]
    ) -> list[ShiftSignal]:
        """Do `judge_many` for windows under several contexts.

        Corrections come first and are judged again together: however many panes of a query changed,
        its last panes run once.
        """
        late: list[Ints] = []
        forward: list[tuple[int, list[Window], JudgeContext]] = []
        for start_s, windows, context in intake.by_pane(groups):
            known = [self._is_late(window.query, start_s) for window in windows]
            old = [window for window, is_late in zip(windows, known, strict=True) if is_late]
            if old:
                late.append(self._correct(old, start_s, context))
            new = [window for window, is_late in zip(windows, known, strict=True) if not is_late]
            if new:
                forward.append((start_s, new, context))
        signals = self._judge_again(np.unique(np.concatenate(late))) if late else []
        for start_s, windows, context in forward:
            signals += self._judge_pane(start_s, windows, context)
        return signals

    def judge_quiet(self, start_s: int, context: JudgeContext) -> list[ShiftSignal]:
        """Judge the pane that starts at `start_s` for every query that had no window in it."""
        rows = self._memory.rows()
        return self._bring_to(rows[self._memory.at[rows] < start_s], start_s, context)

    def queries(self) -> Iterable[str]:
        """Return the queries that have a state."""
        return self._memory.names()

    def state_bytes(self, query: str) -> bytes:
        """Return the state of a query, at most `MAX_STATE_BYTES`; b"" if it has none."""
        return memory.dump(self._memory, query)

    def restore(self, query: str, state: bytes) -> bool:
        """Bring back a state of `state_bytes`.

        Returns:
            False if it is of another version or other settings of its shape: the query then
            starts anew.
        """
        return memory.load(self._memory, query, state)

    def forget(self, query: str) -> None:
        """Drop the state of a query that is no longer watched."""
        self._memory.remove(query)

    def _is_late(self, query: str, start_s: int) -> bool:
        row = self._memory.find(query)
        return row is not None and int(self._memory.at[row]) >= start_s

    def _judge_pane(
        self, start_s: int, windows: Sequence[Window], context: JudgeContext
    ) -> list[ShiftSignal]:
        """Judge windows of one pane, at most one a query, none judged before."""
        held = self._memory
        rows, panes = self._filled(windows, context)
        unseen = held.at[rows] < 0
        held.at[rows[unseen]] = start_s - self._pane_s
        signals = self._bring_to(rows, start_s - self._pane_s, context)
        self._push(rows, panes)
        return signals + self._publish(rows, start_s)

    def _filled(self, windows: Sequence[Window], context: JudgeContext) -> tuple[Ints, Rows]:
        """Return the row and the pane of each window."""
        rows = np.array([self._memory.row(window.query) for window in windows], dtype=np.int64)
        panes = np.repeat(self._context_pane(context), len(windows))
        for place, window in enumerate(windows):
            self._fill(panes, place, int(rows[place]), window)
        return rows, panes

    def _context_pane(self, context: JudgeContext) -> Rows:
        firing = int(AlertSlots(self._memory.now).firing.sum())
        return intake.context_pane(context, firing, self._settings.free_queries)

    def _fill(self, panes: Rows, place: int, row: int, window: Window) -> None:
        held = self._memory
        pane: Any = panes[place]
        homeless = intake.fill(pane, window, held.strata[row])
        if not homeless or (slot := intake.worthless_slot(held.now[row])) == OTHER:
            return
        held.fold(row, slot)
        held.strata[row] = {name: at for name, at in held.strata[row].items() if at != slot}
        counts = PaneCounts(pane)
        counts.rated = counts.sentiment = 0
        intake.fill(pane, window, held.strata[row])

    def _bring_to(self, rows: Ints, start_s: int, context: JudgeContext) -> list[ShiftSignal]:
        """Judge the panes in which `rows` had no window, up to the one at `start_s`."""
        held = self._memory
        signals: list[ShiftSignal] = []
        long = rows[start_s - held.at[rows] > _LONGEST_GAP * self._pane_s]
        if len(long):
            self._skip(long, start_s)
        while len(rows := rows[held.at[rows] < start_s]):
            # Those that are furthest behind first, so that all are judged pane by pane.
            at = int(held.at[rows].min())
            behind = rows[held.at[rows] == at]
            panes = np.repeat(self._context_pane(context), len(behind))
            PaneCounts(panes).start = at + self._pane_s
            self._push(behind, panes)
            signals += self._publish(behind, at + self._pane_s)
        return signals

    def _skip(self, rows: Ints, start_s: int) -> None:
        """Pass over a long silence: what was suspected before it is forgotten."""
        held = self._memory
        every = np.ones(len(rows), dtype=np.bool_)
        for kind in KINDS:
            for cores in (held.now, held.base):
                chart = cores[kind.chart_name][rows]
                cusum.clear(chart, every)
                cores[kind.chart_name][rows] = chart
        held.base[rows] = held.now[rows]
        ring = PaneCounts(held.ring)
        ring.flags[rows] = ABSENT
        ring.revision[rows] = -1
        held.at[rows] = start_s

    def _push(self, rows: Ints, panes: Rows) -> None:
        """Judge one more pane of each row; the one that leaves the ring moves the base on."""
        if not len(rows):
            return
        held, asked = self._memory, self._thresholds_of(rows)
        starts = PaneCounts(panes).start
        place = starts // self._pane_s % self._settings.correction_panes
        leaving = held.ring[rows, place]
        if not (PaneCounts(leaving).flags & ABSENT).all():
            base = held.base[rows]
            advance(base, leaving, self._settings, self._pane_s, asked=asked)
            held.base[rows] = base
        held.ring[rows, place] = panes
        now = held.now[rows]
        advance(now, panes, self._settings, self._pane_s, self.refused, asked)
        held.now[rows] = now
        held.at[rows] = starts

    def _thresholds_of(self, rows: Ints) -> Floats | None:
        """Return (Q, kinds) the thresholds of the rows' own rules; None if nobody has any."""
        if not self._own:
            return None
        none = np.full(len(KINDS), np.nan)
        return np.stack([self._own.get(self._memory.name(row), none) for row in rows.tolist()])

    def _correct(self, windows: Sequence[Window], start_s: int, context: JudgeContext) -> Ints:
        """Put corrected panes in their place; return the rows that must be judged again."""
        held, size = self._memory, self._settings.correction_panes
        rows, panes = self._filled(windows, context)
        recent = held.at[rows] - start_s < size * self._pane_s
        self.too_old += int((~recent).sum())
        place = start_s // self._pane_s % size
        came, known = PaneCounts(panes), PaneCounts(held.ring[rows, place])
        first = (known.flags & ABSENT) > 0
        better = recent & ((came.revision > known.revision) | first)
        # A pane stays judged under the context that it was judged under first.
        came.extra = np.where(first, came.extra, known.extra)
        came.model = np.where(first, came.model, known.model)
        came.flags = np.where(first, came.flags, known.flags & SILENT)
        rows, panes = rows[better], panes[better]
        held.ring[rows, place] = panes
        return rows

    def _judge_again(self, rows: Ints) -> list[ShiftSignal]:
        """Judge the panes of the ring again, from the base on."""
        if not len(rows):
            return []
        held, size = self._memory, self._settings.correction_panes
        now, asked = held.base[rows], self._thresholds_of(rows)
        for back in range(size - 1, -1, -1):
            at = held.at[rows] - back * self._pane_s
            pane = held.ring[rows, at // self._pane_s % size]
            advance(now, pane, self._settings, self._pane_s, asked=asked)
        held.now[rows] = now
        signals: list[ShiftSignal] = []
        for at in sorted(set(held.at[rows].tolist())):
            signals += self._publish(rows[held.at[rows] == at], at, corrected=True)
        return signals

    def _publish(self, rows: Ints, start_s: int, *, corrected: bool = False) -> list[ShiftSignal]:
        """Return what differs from what was published before, and take note of it."""
        held = self._memory
        now, before = AlertSlots(held.now), PublishedAlerts(held.published[rows])
        # Column by column: whole records of all rows are megabytes.
        firing, severity = now.firing[rows], now.severity[rows]
        differs = (firing != before.firing) | ((firing > 0) & (severity > before.severity))
        return [
            self._signal(int(rows[at]), KINDS[slot], start_s + self._pane_s, corrected=corrected)
            for at, slot in np.argwhere(differs).tolist()
        ]

    def _signal(
        self, row: int, kind: ShiftKind[Any], decided_s: int, *, corrected: bool
    ) -> ShiftSignal:
        held, slot = self._memory, kind.slot
        core = held.now[row : row + 1]
        now, before = AlertSlots(core), PublishedAlerts(held.published[row : row + 1])
        fires = bool(now.firing[0, slot])
        if fires and not before.firing[0, slot]:
            before.count += 1
            before.number[0, slot] = before.count[0]
        before.firing[0, slot] = fires
        before.severity[0, slot] = now.severity[0, slot] if fires else 0
        why = 0 if fires else _CORRECTED if corrected else int(now.ended_as[0, slot])
        number, names = int(before.number[0, slot]), held.strata[row]
        return evidence.signal(held.name(row), names, core, kind, number, why, decided_s)
