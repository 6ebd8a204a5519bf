"""Runs the judge of shifts over closed panes and saves what it knows together with what it says.

A closer may be killed between any two lines. Windows are judged after they are published and before
they are remembered as sent, so whoever takes over gets the same windows again; the judge says
nothing of what its saved state has judged, and the same of the rest, under the same alert ids.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Final
from zlib import crc32

from core.clock import Clock, epoch_ms
from core.codec import encode
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Alert, Window
from services.alerting.circumstances import ALL, Circumstances
from services.alerting.known import Judge, Known, PaneContext
from services.alerting.open_alerts import OpenAlert, read_opened
from services.alerting.panes import Pane, panes_of
from stream.shifts.signals import JudgeContext, ShiftSignal
from stream.store.alert_state import AlertState, DecidedAlert, JudgeSave
from stream.store.keys import JUDGE, OPEN, STATES

_log = get_logger(__name__)

SAVED_AT_ONCE: Final = 64
QUERIES_A_PANE: Final = 128
"""So many states are saved with every pane; of more queries each is saved every few panes."""
MAX_EVERY: Final = 8
"""Less than the judge can judge again from corrected windows (`shifts.correction_panes`)."""
KEPT_CONTEXTS: Final = 2 * MAX_EVERY
FORGOTTEN_AFTER_S: Final = 28 * 86_400
"""A query without a post for so long is watched no more; its baseline would be out of date."""


class Judging:
    """Judges panes in order; see `services.closer.closing.Closer`, which drives it. One event loop.

    Args:
        make_judge: a new judge without any state.
        describe: from a signal to the alert that people read.
        store: where states and alerts are kept.
        circumstances: what goes on beside the windows.
        pane_s: length of a pane.
        clock: when an alert changed.
        metrics: of the closer.

    Attributes:
        has_said: alerts may wait for the topic.
    """

    def __init__(
        self,
        make_judge: Callable[[], Judge],
        describe: Callable[[ShiftSignal], Awaitable[Alert]],
        store: AlertState,
        circumstances: Circumstances,
        pane_s: int,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._make_judge = make_judge
        self._describe = describe
        self._store = store
        self.circumstances = circumstances
        self._pane_s = pane_s
        self._clock = clock
        self._metrics = metrics
        self._judge = make_judge()
        self._epoch = -1
        self._token = ""
        self._known = Known()
        self._opened: dict[str, OpenAlert] = {}
        self._unsaved: list[tuple[str, JudgeSave]] = []
        self._seen_s: dict[str, int] = {}
        self.has_said = False

    async def take_over(self, epoch: int) -> range:
        """Begin from what the store holds.

        Returns:
            Starts of panes to judge again, because not all states were saved after them: pass
            their windows, as they are now, to `consider`.

        Raises:
            StoreUnavailable: try again.
        """
        stored = await self._store.load()
        self._judge, self._unsaved = self._make_judge(), []
        self._epoch, self._token = epoch, stored.token
        self._known = await self._read_known(stored.known)
        self.circumstances.remembered = self._known.remembered
        unusable = [q for q, state in stored.states.items() if not self._restore(q, state)]
        if unusable:
            await self._store.put_aside(STATES, unusable)
        self._opened, unreadable = read_opened(stored.opened)
        if unreadable:
            await self._store.put_aside(OPEN, unreadable)
        self._show()
        self.has_said = True
        end_s = self._known.judged_s
        if end_s < 0:
            return range(0)
        self._known.judged_s -= (self._known.every - 1) * self._pane_s
        return range(self._known.judged_s, end_s, self._pane_s)

    async def consider(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> bool:
        """Judge windows, and tell of every pane that starts before `upto_s` that it closed.

        Args:
            windows: published together: any queries, any panes, corrections too.
            upto_s: every window of a pane before it was considered, now or earlier.
            withheld: Starts of panes of which windows are missing: in them nothing is learnt or
                said, as silence there is none of the public.

        Returns:
            False if the save was refused: another closer is active, or the store went back.

        Raises:
            StoreUnavailable: call again, with the same windows or more; nothing is judged twice.
        """
        if not await self._save():
            return False
        said: list[ShiftSignal] = []
        touched: set[str] = set()
        corrected: set[str] = set()
        panes: set[int] = set()
        found = panes_of(windows, upto_s, self._known, self._pane_s, may_begin=not self._opened)
        if found.begins:
            corrected = self._forget_all()
        if known := self._worth_judging(found.known):
            # Together: a tick may correct many panes, and each query is judged again once.
            said += self._judged([(group, self._context(at, group, False)) for at, group in known])
            corrected |= {window.query for _, group in known for window in group}
        for start_s, group in found.new:
            context = self._context(start_s, group, True, is_whole=start_s not in withheld)
            said += self._judged([(group, context)], start_s)
            corrected |= self._forget_unseen(start_s, group)
            touched.update(self._judge.queries())
            panes.add(start_s // self._pane_s)
        if touched or corrected:
            await self._prepare(said, touched, corrected, panes)
        return await self._save()

    async def _read_known(self, stored: bytes) -> Known:
        """Return what is known beside the queries; of rubbish nothing, and it is set aside."""
        try:
            known = Known.unpacked(stored)
            limit_s = epoch_ms(self._clock.now()) // 1000 + 86_400
            if known.judged_s > limit_s:
                raise ValueError(f"judged_s {known.judged_s} is to come")
        except ValueError as error:
            _log.error("what the judge knew cannot be read, it begins anew", reason=str(error))
            await self._store.put_aside(JUDGE, ["known"])
            return Known()
        return known

    def _restore(self, query: str, state: bytes) -> bool:
        """Bring the state of a query back; False if it cannot be used, whatever it is."""
        try:
            return self._judge.restore(query, state)
        except Exception:
            _log.exception("state of a judge cannot be used, it starts anew", query=query)
            self._judge.forget(query)
            return False

    def _forget_all(self) -> set[str]:
        """Start every query anew; return them."""
        known = set(self._judge.queries())
        for query in known:
            self._judge.forget(query)
        self._known.contexts = []
        return known

    def _worth_judging(self, panes: Sequence[Pane]) -> list[Pane]:
        """Leave out late windows of queries that are not known yet: what is late begins nothing."""
        known = set(self._judge.queries())
        found = [(at, [w for w in group if w.query in known]) for at, group in panes]
        return [(at, group) for at, group in found if group]

    def _judged(
        self, groups: Sequence[tuple[list[Window], JudgeContext]], quiet_s: int | None = None
    ) -> list[ShiftSignal]:
        """Judge windows, then the pane at `quiet_s` for the queries without one in it."""
        began_s = time.perf_counter()
        try:
            said = self._judge.judge_groups(groups)
            if quiet_s is not None:
                said += self._judge.judge_quiet(quiet_s, groups[-1][1])
        except Exception:
            # A defect of the judge must not keep windows from closing.
            windows = sum(len(group) for group, _ in groups)
            _log.exception("windows cannot be judged", pane_s=quiet_s, windows=windows)
            self._metrics.judge_failures.inc()
            return [s for group, at in groups for w in group for s in self._judge_alone(w, at)]
        self._metrics.judge_seconds.observe(time.perf_counter() - began_s)
        return said

    def _judge_alone(self, window: Window, context: JudgeContext) -> list[ShiftSignal]:
        try:
            return self._judge.judge_groups([([window], context)])
        except Exception:
            _log.exception("a query's judge starts anew", query=window.query)
            self._judge.forget(window.query)
            return []

    def _context(
        self, start_s: int, group: list[Window], is_new: bool, *, is_whole: bool = True
    ) -> JudgeContext:
        contexts = self._known.contexts
        kept = next((one for one in contexts if one.start_s == start_s), None)
        if kept is None and not is_new:
            kept = contexts[-1] if contexts else None
        if kept is not None:
            return kept.context()
        queries = len({*self._judge.queries(), *(window.query for window in group)})
        self._metrics.judged_queries.set(queries)
        everyone = next((window for window in group if window.query == ALL), None)
        context = self.circumstances.pane(start_s, everyone, queries, is_whole=is_whole)
        for cause, holds in self.circumstances.causes(start_s, is_whole=is_whole).items():
            self._metrics.shifts_suppressed.labels(cause=cause).set(holds)
        self._known.contexts = [*contexts[1 - KEPT_CONTEXTS :], PaneContext.of(start_s, context)]
        return context

    def _forget_unseen(self, start_s: int, group: list[Window]) -> set[str]:
        """Drop the states of queries that fell silent for weeks, as this closer saw it."""
        for window in group:
            self._seen_s[window.query] = start_s
        if start_s // self._pane_s % 60:
            return set()
        known = list(self._judge.queries())
        seen = {query: self._seen_s.get(query, start_s) for query in known}
        gone = {query for query in known if start_s - seen[query] > FORGOTTEN_AFTER_S}
        for query in gone:
            self._judge.forget(query)
        self._seen_s = {query: at_s for query, at_s in seen.items() if query not in gone}
        return gone

    async def _prepare(
        self,
        said: Sequence[ShiftSignal],
        touched: set[str],
        corrected: set[str],
        panes: set[int],
    ) -> None:
        """Make the saves of what was judged: each query's state beside what was said of it."""
        by_query: dict[str, list[DecidedAlert]] = {}
        for signal in said:
            by_query.setdefault(signal.query, []).append(await self._say(signal))
        every = max(1, min(MAX_EVERY, -(-len(touched) // QUERIES_A_PANE)))
        if len(panes) < every == self._known.every:
            due = {query for query in touched if _is_due(query, panes, every)}
        else:
            due = touched
        listed = sorted({*due, *corrected, *by_query})
        self._known.every = every
        known = self._known.packed()
        for first in range(0, max(1, len(listed)), SAVED_AT_ONCE):
            some = listed[first : first + SAVED_AT_ONCE]
            # Only the last may say that the panes were judged: then all of them are saved.
            is_last = first + SAVED_AT_ONCE >= len(listed)
            states = {query: self._judge.state_bytes(query) for query in some}
            save = JudgeSave(
                states={query: state for query, state in states.items() if state},
                forgotten=[query for query, state in states.items() if not state],
                known=known if is_last else b"",
                decided=[one for query in some for one in by_query.get(query, ())],
            )
            self._unsaved.append((uuid.uuid4().hex, save))

    async def _say(self, signal: ShiftSignal) -> DecidedAlert:
        # Whoever reads the topic refuses a level beyond its range; this one must not end there.
        level = min(10, max(1, signal.severity))
        alert = await self._describe(replace(signal, severity=level))
        opened = OpenAlert.after(
            self._opened.pop(alert.alert_id, None), alert, epoch_ms(self._clock.now())
        )
        if not opened.is_over:
            self._opened[alert.alert_id] = opened
        _log.info(
            "alert", query=alert.query, kind=alert.kind, state=alert.state,
            direction=alert.direction, severity=alert.severity, alert_id=alert.alert_id,
        )  # fmt: skip
        self._metrics.alerts.labels(kind=alert.kind, state=alert.state).inc()
        self._show()
        return DecidedAlert(alert.alert_id, opened.packed(), encode(alert))

    def _show(self) -> None:
        """Set the gauges of what fires; a shift that is over has none."""
        self._metrics.shift_firing.clear()
        for one in self._opened.values():
            if not one.is_over:
                labels = (one.alert.query, one.alert.kind, one.alert.direction)
                self._metrics.shift_firing.labels(*labels).set(one.alert.severity)

    async def _save(self) -> bool:
        """Save what is unsaved, in order; what is stored stays stored if this fails midway."""
        while self._unsaved:
            token, what = self._unsaved[0]
            if not await self._store.save(self._epoch, self._token, token, what):
                return False
            self._token = token
            self.has_said = self.has_said or bool(what.decided)
            del self._unsaved[0]
        return True


def _is_due(query: str, panes: set[int], every: int) -> bool:
    """Tell whether it is the turn of a query in one of the panes."""
    return any((crc32(query.encode()) + pane) % every == 0 for pane in panes)
