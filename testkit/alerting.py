"""A judge that is simple enough to know what it must say, under the contract of the real one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from core.schemas import Interval, Window
from services.alerting.context import start_of
from stream.shifts.rules import AlertRules
from stream.shifts.signals import JudgeContext, ShiftSignal


class _QueryState(msgspec.Struct):
    """What is known of a query: last pane judged, start of what fires, its posts."""

    judged_s: int = -1
    started_s: int = -1
    severity: int = 0


class StepJudge:
    """Fires while a pane has `limit` posts or more; the more posts, the more severe.

    Args:
        limit: posts of a pane.
        pane_s: length of a pane.
    """

    def __init__(self, limit: int = 3, pane_s: int = 60) -> None:
        self._limit = limit
        self._pane_s = pane_s
        self._states: dict[str, _QueryState] = {}

    def judge_groups(
        self, groups: Sequence[tuple[Sequence[Window], JudgeContext]]
    ) -> list[ShiftSignal]:
        """See `stream.shifts.judge`; a correction says nothing here."""
        found = [
            self._pane(window.query, start_of(window), window.counters.get("posts", 0), context)
            for windows, context in groups
            for window in sorted(windows, key=lambda one: (one.start, one.query))
        ]
        return [signal for signal in found if signal is not None]

    def judge_quiet(self, start_s: int, context: JudgeContext) -> list[ShiftSignal]:
        """See `stream.shifts.judge`."""
        found = [self._pane(query, start_s, 0, context) for query in sorted(self._states)]
        return [signal for signal in found if signal is not None]

    def follow(self, rules: Mapping[str, AlertRules]) -> None:
        """See `stream.shifts.judge`; there is one threshold, the limit."""

    def queries(self) -> Iterable[str]:
        """Return the queries that have a state."""
        return list(self._states)

    def state_bytes(self, query: str) -> bytes:
        """Return the state of a query."""
        return msgspec.json.encode(self._states[query]) if query in self._states else b""

    def restore(self, query: str, state: bytes) -> bool:
        """Bring a state back."""
        self._states[query] = msgspec.json.decode(state, type=_QueryState)
        return True

    def forget(self, query: str) -> None:
        """Drop a state."""
        self._states.pop(query, None)

    def _pane(
        self, query: str, start_s: int, posts: int, context: JudgeContext
    ) -> ShiftSignal | None:
        known = self._states.setdefault(query, _QueryState())
        if start_s <= known.judged_s:
            return None
        known.judged_s = start_s
        if context.silent:
            return None
        severity = min(10, posts) if posts >= self._limit else 0
        before, started_s = known.severity, known.started_s
        if severity > before:
            known.severity, known.started_s = severity, start_s if before == 0 else started_s
            return self._signal(query, "firing", known.started_s, start_s, severity, posts)
        if severity == 0 and before > 0:
            known.severity, known.started_s = 0, -1
            return self._signal(query, "resolved", started_s, start_s, before, posts)
        return None

    def _signal(
        self, query: str, state: str, started_s: int, start_s: int, severity: int, posts: int
    ) -> ShiftSignal:
        figure = Interval(float(posts), float(posts), float(posts))
        end_s = start_s + self._pane_s
        return ShiftSignal(
            alert_id=f"{query}-{started_s}",
            query=query,
            kind="volume",
            state="firing" if state == "firing" else "resolved",
            direction="up",
            severity=severity,
            started_s=started_s,
            fired_s=started_s + self._pane_s,
            decided_s=end_s,
            ended_s=end_s if state == "resolved" else -1,
            ended_as="over" if state == "resolved" else "",
            evidence=20.0,
            threshold=12.0,
            before=figure,
            after=figure,
            change=figure,
            posts=posts,
        )
