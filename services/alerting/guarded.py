"""A judge whose defects keep no window from closing: what it cannot judge starts anew, counted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Window
from services.alerting.panes import Pane
from services.alerting.state import Judge
from stream.shifts.rules import AlertRules
from stream.shifts.signals import JudgeContext, ShiftSignal

_log = get_logger(__name__)

FORGOTTEN_AFTER_S: Final = 28 * 86_400
"""A query without a post for so long is watched no more; its baseline would be out of date."""


class GuardedJudge:
    """Runs a judge that may have defects, and remembers when each query was last seen.

    Args:
        judge: The judge.
        pane_s: The length of a pane.
        metrics: The metrics of the closer.
    """

    def __init__(self, judge: Judge, pane_s: int, metrics: Metrics) -> None:
        self._judge = judge
        self._pane_s = pane_s
        self._metrics = metrics
        self._seen_s: dict[str, int] = {}

    def follow(self, rules: Mapping[str, AlertRules]) -> None:
        """Judge by the rules of queries from the next pane on."""
        self._judge.follow(rules)

    def queries(self) -> Iterable[str]:
        """Return the queries that have a state."""
        return self._judge.queries()

    def state_bytes(self, query: str) -> bytes:
        """Return the state of a query."""
        return self._judge.state_bytes(query)

    def restore(self, query: str, state: bytes) -> bool:
        """Bring the state of a query back; False if it cannot be used, whatever it is."""
        try:
            return self._judge.restore(query, state)
        except Exception:
            _log.exception("state of a judge cannot be used, it starts anew", query=query)
            self._judge.forget(query)
            return False

    def forget_all(self) -> set[str]:
        """Start every query anew; return them."""
        known = set(self._judge.queries())
        for query in known:
            self._judge.forget(query)
        return known

    def worth_judging(self, panes: Sequence[Pane]) -> list[Pane]:
        """Leave out late windows of queries that are not known yet: what is late begins nothing."""
        known = set(self._judge.queries())
        found = [(at, [w for w in group if w.query in known]) for at, group in panes]
        return [(at, group) for at, group in found if group]

    def judge(
        self, groups: Sequence[tuple[list[Window], JudgeContext]], quiet_s: int | None = None
    ) -> list[ShiftSignal]:
        """Judge windows, then the pane at `quiet_s` for the queries without one in it."""
        began_s = time.perf_counter()
        try:
            signals = self._judge.judge_groups(groups)
            if quiet_s is not None:
                signals += self._judge.judge_quiet(quiet_s, groups[-1][1])
        except Exception:
            # A defect of the judge must not keep windows from closing.
            windows = sum(len(group) for group, _ in groups)
            _log.exception("windows cannot be judged", pane_s=quiet_s, windows=windows)
            self._metrics.judge_failures.inc()
            return [s for group, at in groups for w in group for s in self._judge_alone(w, at)]
        self._metrics.judge_seconds.observe(time.perf_counter() - began_s)
        return signals

    def forget_unseen(self, start_s: int, group: Sequence[Window]) -> set[str]:
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

    def _judge_alone(self, window: Window, context: JudgeContext) -> list[ShiftSignal]:
        try:
            return self._judge.judge_groups([([window], context)])
        except Exception:
            _log.exception("a query's judge starts anew", query=window.query)
            self._judge.forget(window.query)
            return []
