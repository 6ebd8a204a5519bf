"""Runs the judge of shifts over closed panes and saves what it knows together with what it says.

A closer may be killed between any two lines. Windows are judged after they are published and before
they are remembered as sent, so whoever takes over gets the same windows again; the judge says
nothing of what its saved state has judged, and the same of the rest, under the same alert ids.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final
from zlib import crc32

from core.clock import Clock, epoch_ms
from core.codec import encode
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Alert, Window
from services.alerting.context import ALL, PaneConditions
from services.alerting.guarded import GuardedJudge
from services.alerting.open_alerts import OpenAlert, read_open_alerts
from services.alerting.panes import panes_of
from services.alerting.state import Judge, JudgingState, PaneContext
from stream.shifts.rules import AlertRules
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


class Judging:
    """Judges panes in order; see `services.closer.closing.Closer`, which drives it. One event loop.

    Args:
        make_judge: Makes a judge without any state.
        describe: Makes the alert that people read of a signal.
        store: The store of states and alerts.
        conditions: What goes on beside the windows.
        pane_s: The length of a pane.
        clock: The time at which an alert changed.
        metrics: The metrics of the closer.

    Attributes:
        has_decided: Alerts may wait for the topic.
    """

    def __init__(
        self,
        make_judge: Callable[[], Judge],
        describe: Callable[[ShiftSignal], Awaitable[Alert]],
        store: AlertState,
        conditions: PaneConditions,
        pane_s: int,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._make_judge = make_judge
        self._describe = describe
        self._store = store
        self.conditions = conditions
        self._pane_s = pane_s
        self._clock = clock
        self._metrics = metrics
        self._rules: Mapping[str, AlertRules] = {}
        self._judge = self._new_judge()
        self._epoch = -1
        self._token = ""
        self._state = JudgingState()
        self._open_alerts: dict[str, OpenAlert] = {}
        self._unsaved: list[tuple[str, JudgeSave]] = []
        self.has_decided = False

    def _new_judge(self) -> GuardedJudge:
        judge = GuardedJudge(self._make_judge(), self._pane_s, self._metrics)
        judge.follow(self._rules)
        return judge

    def follow(self, rules: Mapping[str, AlertRules]) -> None:
        """Judge by the rules of queries from the next pane on."""
        self._rules = rules
        self._judge.follow(rules)

    async def take_over(self, epoch: int) -> range:
        """Begin from what the store holds.

        Returns:
            Starts of panes to judge again, because not all states were saved after them: pass
            their windows, as they are now, to `consider`.

        Raises:
            StoreUnavailable: try again.
        """
        stored = await self._store.load()
        self._judge, self._unsaved = self._new_judge(), []
        self._epoch, self._token = epoch, stored.token
        self._state = await self._read_known(stored.known)
        self.conditions.remembered = self._state.remembered
        unusable = [q for q, state in stored.states.items() if not self._judge.restore(q, state)]
        if unusable:
            await self._store.put_aside(STATES, unusable)
        self._open_alerts, unreadable = read_open_alerts(stored.opened)
        if unreadable:
            await self._store.put_aside(OPEN, unreadable)
        self._show()
        self.has_decided = True
        end_s = self._state.judged_s
        if end_s < 0:
            return range(0)
        self._state.judged_s -= (self._state.every - 1) * self._pane_s
        return range(self._state.judged_s, end_s, self._pane_s)

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
        signals: list[ShiftSignal] = []
        touched, corrected, panes = set[str](), set[str](), set[int]()
        may_begin = not self._open_alerts
        found = panes_of(windows, upto_s, self._state, self._pane_s, may_begin=may_begin)
        if found.begins:
            corrected = self._judge.forget_all()
            self._state.contexts = []
        if known := self._judge.worth_judging(found.known):
            # Together: a tick may correct many panes, and each query is judged again once.
            groups = [(group, self._context(at, group, False)) for at, group in known]
            signals += self._judge.judge(groups)
            corrected |= {window.query for _, group in known for window in group}
        for start_s, group in found.new:
            context = self._context(start_s, group, True, is_whole=start_s not in withheld)
            signals += self._judge.judge([(group, context)], start_s)
            corrected |= self._judge.forget_unseen(start_s, group)
            touched.update(self._judge.queries())
            panes.add(start_s // self._pane_s)
        if touched or corrected:
            await self._prepare(signals, touched, corrected, panes)
        return await self._save()

    async def _read_known(self, stored: bytes) -> JudgingState:
        """Return what is known beside the queries; of rubbish nothing, and it is set aside."""
        try:
            known = JudgingState.unpacked(stored)
            limit_s = epoch_ms(self._clock.now()) // 1000 + 86_400
            if known.judged_s > limit_s:
                raise ValueError(f"judged_s {known.judged_s} is to come")
        except ValueError as error:
            _log.error("what the judge knew cannot be read, it begins anew", reason=str(error))
            await self._store.put_aside(JUDGE, ["known"])
            return JudgingState()
        return known

    def _context(
        self, start_s: int, group: list[Window], is_new: bool, *, is_whole: bool = True
    ) -> JudgeContext:
        contexts = self._state.contexts
        kept = next((one for one in contexts if one.start_s == start_s), None)
        if kept is None and not is_new:
            kept = contexts[-1] if contexts else None
        if kept is not None:
            return kept.context()
        queries = len({*self._judge.queries(), *(window.query for window in group)})
        self._metrics.judged_queries.set(queries)
        everyone = next((window for window in group if window.query == ALL), None)
        context = self.conditions.pane(start_s, everyone, queries, is_whole=is_whole)
        for cause, holds in self.conditions.causes(start_s, is_whole=is_whole).items():
            self._metrics.shifts_suppressed.labels(cause=cause).set(holds)
        self._state.contexts = [*contexts[1 - KEPT_CONTEXTS :], PaneContext.of(start_s, context)]
        return context

    async def _prepare(
        self,
        signals: Sequence[ShiftSignal],
        touched: set[str],
        corrected: set[str],
        panes: set[int],
    ) -> None:
        """Make the saves of what was judged: each query's state beside its alerts."""
        by_query: dict[str, list[DecidedAlert]] = {}
        for signal in signals:
            by_query.setdefault(signal.query, []).append(await self._decide(signal))
        every = max(1, min(MAX_EVERY, -(-len(touched) // QUERIES_A_PANE)))
        if len(panes) < every == self._state.every:
            due = {query for query in touched if _is_due(query, panes, every)}
        else:
            due = touched
        listed = sorted({*due, *corrected, *by_query})
        self._state.every = every
        known = self._state.packed()
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

    async def _decide(self, signal: ShiftSignal) -> DecidedAlert:
        # Whoever reads the topic refuses a level beyond its range; this one must not end there.
        level = min(10, max(1, signal.severity))
        alert = await self._describe(replace(signal, severity=level))
        opened = OpenAlert.after(
            self._open_alerts.pop(alert.alert_id, None), alert, epoch_ms(self._clock.now())
        )
        if not opened.is_over:
            self._open_alerts[alert.alert_id] = opened
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
        for one in self._open_alerts.values():
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
            self.has_decided = self.has_decided or bool(what.decided)
            del self._unsaved[0]
        return True


def _is_due(query: str, panes: set[int], every: int) -> bool:
    """Tell whether it is the turn of a query in one of the panes."""
    return any((crc32(query.encode()) + pane) % every == 0 for pane in panes)
