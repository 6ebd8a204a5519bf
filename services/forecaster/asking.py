"""Asking the engagement model with patience: whoever is away is waited for, nothing is guessed."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from core.clock import Clock
from core.errors import InvalidAnswer, ScorerRefused, ScorerUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.ports import EngagementAnswer, EngagementModel
from core.retry import pause_s
from models.engagement.items import Planned, Told
from services.forecaster.shadow import EngagementShadow

_log = get_logger(__name__)


class PatientModel:
    """Asks one model for all partitions of a process.

    Args:
        model: The model.
        clock: The present time, and how to wait.
        metrics: The metrics of this process.
        rng: Spreads the waits.
        shadow: The comparison with a second model, if there is one.
    """

    def __init__(
        self,
        model: EngagementModel,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
        shadow: EngagementShadow | None = None,
    ) -> None:
        self._model = model
        self._clock = clock
        self._metrics = metrics
        self._rng = rng
        self._shadow = shadow
        self._version = ""

    async def ask(self, planned: Planned, use: Callable[[Planned, EngagementAnswer], Told]) -> Told:
        """Return what comes of the answer about what is planned, however long the model is away.

        Args:
            planned: What the model is asked about.
            use: What is done with the answer; raises `InvalidAnswer` if it cannot be one.

        Raises:
            ScorerRefused: It refuses these posts, while it answers about others.
        """
        tries = 0
        while True:
            try:
                answer = await self._ask(planned)
                told = use(planned, answer)
            except ScorerUnavailable as error:
                if isinstance(error, InvalidAnswer):
                    self._metrics.engagement_invalid_answers.inc()
                if tries == 0:
                    _log.warning("waiting for the engagement model", reason=str(error))
                self._metrics.engagement_model_up.set(0)
                self._metrics.engagement_retries.inc()
                await self._clock.sleep(pause_s(tries, self._rng))
                tries += 1
            else:
                if self._shadow is not None:
                    self._shadow.begin(planned, answer)
                return told

    async def _ask(self, planned: Planned) -> EngagementAnswer:
        began_s = self._clock.monotonic()
        try:
            answer = await self._model.predict(planned.features, planned.sequence)
        except ScorerRefused as error:
            await self._must_take_others(planned, error)
            raise
        self._metrics.engagement_answer_seconds.observe(self._clock.monotonic() - began_s)
        self._metrics.engagement_model_up.set(1)
        if answer.model_version != self._version:
            if self._version:
                self._metrics.engagement_model_info.remove(self._version)
            self._version = answer.model_version
            self._metrics.engagement_model_info.labels(model_version=self._version).set(1)
        return answer

    async def _must_take_others(self, planned: Planned, error: ScorerRefused) -> None:
        """Return if the model takes a post of which nothing is known: then these are at fault.

        Raises:
            ScorerUnavailable: It refuses that one too: it is not these posts' fault.
        """
        unknown = np.full_like(planned.features[:1], np.nan)
        try:
            await self._model.predict(unknown, np.full_like(planned.sequence[:1], np.nan))
        except ScorerRefused:
            raise ScorerUnavailable(f"the engagement model refuses every post: {error}") from error
