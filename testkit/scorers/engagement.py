"""An engagement model without weights: what an author usually gets, with wide steps, for tests.

Deterministic, and it can be told to fail the way real models fail.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ScorerUnavailable
from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from core.settings import ScorerSettings
from models.engagement.features import BASES
from models.engagement.layout import LEVELS, TARGETS
from models.scorers.edge import Asked
from models.scorers.engagement_edge import checked_answer

_VERSION: Final = "fake-engagement-1"
_STEPS: Final = np.array([-1.0, -0.5, 0.0, 0.5, 1.0], np.float32)

Quantiles = NDArray[Any]


@dataclass(slots=True)
class EngagementFaults:
    """How the fake misbehaves; may be changed while it is in use.

    Attributes:
        delay_s: Every answer takes so long.
        is_down: Every call finds the model away.
        spoil: Makes wrong quantiles of right ones, before the edge; None leaves them right.
    """

    delay_s: float = 0.0
    is_down: bool = False
    spoil: Callable[[Quantiles], Quantiles] | None = None


class FakeEngagement:
    """Satisfies `core.ports.EngagementModel`: the base of each target, and a fixed spread."""

    def __init__(self, version: str = _VERSION, faults: EngagementFaults | None = None) -> None:
        self.version = version
        self.faults = faults or EngagementFaults()
        self.calls = 0
        self.posts = 0

    async def predict(
        self, features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        """See `EngagementModel.predict`."""
        del sequence
        self.calls += 1
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        if self.faults.is_down:
            raise ScorerUnavailable("the fake engagement model was told to be down")
        self.posts += len(features)
        bases = np.nan_to_num(features[:, list(BASES)])
        quantiles: Quantiles = np.maximum(bases[:, :, None] + _STEPS, 0)
        if self.faults.spoil:
            quantiles = self.faults.spoil(quantiles)
        asked = Asked("the fake engagement model", len(features), (), self.version)
        return checked_answer(asked, self.version, quantiles)

    async def is_ready(self) -> bool:
        """Whether it was not told to be down."""
        return not self.faults.is_down

    async def close(self) -> None:
        """Nothing to release."""


def _crossing(quantiles: Quantiles) -> Quantiles:
    return quantiles[:, :, ::-1] + np.arange(len(LEVELS), 0, -1, dtype=np.float32) * np.float32(3)


def _with(value: float) -> Callable[[Quantiles], Quantiles]:
    def spoil(quantiles: Quantiles) -> Quantiles:
        spoilt = quantiles.copy()
        spoilt[-1, len(TARGETS) - 1, 0] = value
        return spoilt

    return spoil


NONSENSE_QUANTILES: Final[dict[str, Callable[[Quantiles], Quantiles]]] = {
    "nan": _with(np.nan),
    "inf": _with(np.inf),
    "negative": _with(-0.5),
    "huge": _with(1e30),
    "crossing": _crossing,
    "a row too few": lambda quantiles: quantiles[:-1],
    "a row too many": lambda quantiles: np.concatenate([quantiles, quantiles[:1]]),
    "no levels": lambda quantiles: quantiles[:, :, 0],
    "a level too few": lambda quantiles: quantiles[:, :, 1:],
    "doubles": lambda quantiles: quantiles.astype(np.float64),
    "integers": lambda quantiles: quantiles.astype(np.int32),
}
"""The wrong answers that a model can give of two posts or more; the edge refuses each."""


def from_settings(forecasts: ForecastSettings, scorer: ScorerSettings) -> FakeEngagement:
    """The registry's entry."""
    del forecasts, scorer
    return FakeEngagement()
