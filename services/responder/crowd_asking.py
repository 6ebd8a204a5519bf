"""Asking the crowd model what to expect of an event, before its first answer.

A model that is away, slow or answers with what cannot be an answer costs nothing but its forecast:
the usual shares of the topic stand in its place, what is missing is counted, and it is asked again
after a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np

from core.clock import Clock
from core.errors import InvalidAnswer, ScorerRefused, ScorerUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.ports import CrowdModel, CrowdQuestions
from core.responder_settings import ResponderSettings
from core.retry import Backoff
from models.socialalign.crowd_config import LABELS
from models.socialalign.crowd_start import ModelForecast
from models.socialalign.reaction import KINDS
from services.responder.following import FollowedEvents

_log = get_logger(__name__)

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


class CrowdAsking:
    """Asks once for each event that begins. Not thread-safe.

    Args:
        model: The model; None if there is none.
        settings: The responder's settings.
        clock: The present time.
        metrics: The metrics of this process.
    """

    def __init__(
        self, model: CrowdModel | None, settings: ResponderSettings, clock: Clock, metrics: Metrics
    ) -> None:
        self._model = model
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._pauses = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._is_away = False
        self._again_s = float("-inf")

    async def look(self, events: FollowedEvents) -> None:
        """Ask about the events that begin now, each with what is known of its topic by then.

        Args:
            events: All events; what the model says of one is left at it.
        """
        if self._model is None:
            return
        crowds = events.crowds
        for event in crowds.unasked(events.events):
            # What was over by its beginning is known by then, and nothing else.
            crowds.let_pass(events.events, event.began_s, before=event)
            heads = crowds.heads.of(event.name, event.began_s)
            if heads is None:
                self._leave_out("no_heads")
                continue
            event.said = await self._ask(self._model, crowds.usual(event), heads)

    async def _ask(
        self, model: CrowdModel, usual: Sequence[float], heads: Sequence[float]
    ) -> ModelForecast | None:
        if self._clock.monotonic() < self._again_s:
            self._leave_out("model_away")
            return None
        try:
            async with asyncio.timeout(self._settings.crowd_timeout_s):
                answer = await model.expect(_question(usual, heads))
        except TimeoutError as error:
            return self._give_up("timed_out", error)
        except ScorerRefused as error:
            return self._give_up("refused", error)
        except ScorerUnavailable as error:
            reason = "invalid" if isinstance(error, InvalidAnswer) else "model_away"
            return self._give_up(reason, error)
        if self._is_away:
            _log.info("the crowd model answers again", version=answer.model_version)
        self._pauses.reset()
        self._is_away = False
        return ModelForecast(answer.forecast[0].tolist(), answer.model_version)

    def _give_up(self, reason: str, error: Exception) -> None:
        if not self._is_away:
            _log.warning("usual shares stand in for the crowd model", reason=reason,
                         error=str(error))  # fmt: skip
        self._is_away = True
        self._again_s = self._clock.monotonic() + self._pauses.next_s()
        self._leave_out(reason)

    def _leave_out(self, reason: str) -> None:
        self._metrics.response_left_out.labels(what="crowd_model", reason=reason).inc()


def _question(usual: Sequence[float], heads: Sequence[float]) -> CrowdQuestions:
    """Return what is asked of one event: neither its text nor any person."""
    return CrowdQuestions(
        np.array([usual], np.float32), np.array([heads], np.float32),
        np.zeros((1, KINDS, LABELS), np.float32), np.zeros((1, 2), np.float32), [""],
    )  # fmt: skip
