"""The engagement model inside this process: tests, small installations, and the bits of Triton's.

Needs no server's environment: the model is numpy alone, and so fast that it is asked in the loop.
"""

import numpy as np
from numpy.typing import NDArray

from core.errors import ScorerRefused, ScorerUnavailable
from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from core.settings import ScorerSettings
from models.scorers.edge import Asked
from models.scorers.engagement_edge import checked_answer
from models.serving.engagement import EngagementService, open_engagement
from models.serving.place import FIRST_VERSION, built_model


class InProcessEngagement:
    """Satisfies `core.ports.EngagementModel`."""

    def __init__(self, service: EngagementService) -> None:
        self._service = service
        self._is_closed = False

    async def predict(
        self, features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        """See `EngagementModel.predict`."""
        if self._is_closed:
            raise ScorerUnavailable("the engagement model in this process was closed")
        try:
            quantiles = self._service.predict(features, sequence)
        except Exception as error:
            raise ScorerRefused(
                f"the engagement model in this process failed with {type(error).__name__} on "
                f"{len(features)} posts"
            ) from error
        asked = Asked("the engagement model in this process", len(features), ())
        return checked_answer(asked, self._service.version, quantiles)

    async def is_ready(self) -> bool:
        """Whether it was not closed; the model is loaded at construction."""
        return not self._is_closed

    async def close(self) -> None:
        """Answer no more."""
        self._is_closed = True


def from_settings(forecasts: ForecastSettings, scorer: ScorerSettings) -> InProcessEngagement:
    """The registry's entry: a model of `scorer.repository`.

    Raises:
        ConfigError: It was not built, or its files are not those that were.
    """
    version = forecasts.version or FIRST_VERSION
    return InProcessEngagement(
        open_engagement(built_model(scorer.repository, forecasts.model, version))
    )
