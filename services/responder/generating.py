"""Asking a model for replies of its own: one event at a time, within limits, given up first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from core.clock import Clock
from core.errors import InvalidAnswer, ScorerRefused, ScorerUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.ports import Generated, Responder
from core.responder_settings import ResponderSettings
from services.forecaster.labels import BoundedLabels
from services.pacing import Pacer

_log = get_logger(__name__)

_MOST_WAITING: Final = 8
_MAX_REASONS: Final = 16
_MINUTE_S: Final = 60.0
WHY: Final = {
    "no_model": "no model generates replies",
    "limit": "enough was generated in this minute",
    "busy": "the model is busy with other events",
    "behind": "the responder is behind",
    "timed_out": "the model took too long",
    "model_away": "the model did not answer",
    "refused": "the model refused the post",
    "invalid": "the model's answer could not be one",
    "nothing_left": "the model let none of its replies pass",
}
"""Reason -> what is said of it."""


@dataclass(frozen=True, slots=True)
class AnsweredEvent:
    """What came of asking: replies, or the reason why there are none."""

    event: str
    generated: Generated | None
    reason: str = ""


class Generation:
    """Asks the model beside everything else; whoever calls never waits for it.

    Args:
        model: The model; None if there is none.
        settings: The responder's settings.
        clock: The present time.
        metrics: The metrics of this process.

    Attributes:
        pacer: Rests while posts wait to be counted.
    """

    def __init__(
        self, model: Responder | None, settings: ResponderSettings, clock: Clock, metrics: Metrics
    ) -> None:
        self._model = model
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._begun_s: deque[float] = deque()
        self._one = asyncio.Lock()
        self._reasons = BoundedLabels(_MAX_REASONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered: list[AnsweredEvent] = []
        self._spent_s = 0.0
        self.pacer = Pacer(clock, metrics.responder_gave_way_seconds.inc, lambda: self._spent_s)

    def ask(self, event: str, text: str, *, is_behind: bool) -> str:
        """Begin to ask for replies; return "", or the reason why not.

        Args:
            event: The event, by which also the draws are made.
            text: The text of its post.
            is_behind: The responder is too far behind.
        """
        now_s = self._clock.monotonic()
        while self._begun_s and now_s - self._begun_s[0] >= _MINUTE_S:
            self._begun_s.popleft()
        reason = ""
        if self._model is None or not self._settings.generated:
            return "no_model"
        if is_behind:
            reason = "behind"
        elif len(self._begun_s) >= self._settings.generated_per_minute:
            reason = "limit"
        elif len(self._tasks) >= _MOST_WAITING:
            reason = "busy"
        if reason:
            self._leave_out(reason)
            return reason
        self._begun_s.append(now_s)
        task = asyncio.create_task(self._work(self._model, event, text))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return ""

    def answers(self) -> Sequence[AnsweredEvent]:
        """Return what was answered since the last call."""
        found, self._answered = self._answered, []
        return found

    async def settle(self) -> None:
        """Wait for everything that was begun."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Give up what is asked."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, model: Responder, event: str, text: str) -> None:
        async with self._one:
            await self.pacer.rest()
            began_s = self._clock.monotonic()
            try:
                async with asyncio.timeout(self._settings.generate_timeout_s):
                    seed = crc32(event.encode()) >> 1
                    found = await model.reply(text, self._settings.generated, seed)
                reason = "" if found.texts else "nothing_left"
            except TimeoutError:
                found, reason = None, "timed_out"
            except ScorerRefused:
                found, reason = None, "refused"
            except ScorerUnavailable as error:
                found = None
                reason = "invalid" if isinstance(error, InvalidAnswer) else "model_away"
                _log.warning("no replies are generated", reason=str(error))
            spent_s = self._clock.monotonic() - began_s
            self._spent_s += spent_s
        self._metrics.response_generate_seconds.observe(spent_s)
        if found is not None:
            for why, number in found.refused.items():
                self._metrics.response_refused_candidates.labels(
                    reason=self._reasons.label(why)
                ).inc(number)
        if reason:
            self._leave_out(reason)
        self._answered.append(AnsweredEvent(event, found if not reason else None, reason))

    def _leave_out(self, reason: str) -> None:
        self._metrics.response_left_out.labels(what="generated", reason=reason).inc()
