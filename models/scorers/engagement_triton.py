"""The engagement model on a Triton server over gRPC."""

import asyncio
from collections.abc import Collection
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferResult

from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer, EngagementModel
from core.settings import ScorerSettings
from models.engagement.layout import LEVELS, TARGETS
from models.scorers.edge import MAX_VERSION_CHARS, Asked
from models.scorers.engagement_edge import checked_answer, joined_answers
from models.scorers.pooled import PooledEngagement, one_or_pooled
from models.scorers.triton_client import ServedModel, TritonClient, columns_of

INPUTS: Final = ("FEATURES", "SEQUENCE")
OUTPUTS: Final = ("QUANTILES", "MODEL_VERSION")
_MAX_POSTS: Final = 1_024
_MAX_ANSWER_BYTES: Final = 65_536 + _MAX_POSTS * (
    4 * len(TARGETS) * len(LEVELS) + 4 + 4 * MAX_VERSION_CHARS
)


class TritonEngagement(TritonClient):
    """Satisfies `core.ports.EngagementModel`; see `TritonClient`."""

    def __init__(
        self, url: str, model: str = "engagement", timeout_s: float = 10.0, version: str = ""
    ) -> None:
        super().__init__(
            url, model, version, timeout_s,
            max_posts=_MAX_POSTS, max_answer_bytes=_MAX_ANSWER_BYTES,
        )  # fmt: skip

    async def predict(
        self, features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        """See `EngagementModel.predict`. Larger batches than the server takes go in pieces."""
        served = await self._learn()
        if not len(features):
            # The server wants a post at least.
            unknown = [
                np.full((1, *one.shape[1:]), np.nan, np.float32) for one in (features, sequence)
            ]
            padded = await self._ask(served, *unknown)
            return EngagementAnswer(padded.model_version, padded.quantiles[:0])
        parts = [
            slice(at, at + served.max_batch) for at in range(0, len(features), served.max_batch)
        ]
        answers = [self._ask(served, features[part], sequence[part]) for part in parts]
        return joined_answers(self._who, await asyncio.gather(*answers))

    def _wanted(self, outputs: Collection[str]) -> tuple[str, ...]:
        if not set(OUTPUTS) <= set(outputs):
            raise ValueError(", ".join(OUTPUTS))
        return OUTPUTS

    async def _ask(self, served: ServedModel, *columns: NDArray[np.float32]) -> EngagementAnswer:
        """Ask once."""
        inputs = []
        for name, values in zip(INPUTS, columns, strict=True):
            tensor = InferInput(name, list(values.shape), "FP32")
            tensor.set_data_from_numpy(np.ascontiguousarray(values, np.float32))
            inputs.append(tensor)
        posts = len(columns[0])
        asked = Asked(self._who, posts, (), served.version)

        def read(answer: InferResult) -> EngagementAnswer:
            found = columns_of(asked, answer, served.outputs, self._model, self._version)
            return checked_answer(asked, found["MODEL_VERSION"], found["QUANTILES"])

        return await self._infer(inputs, served.outputs, posts, read)


def from_settings(forecasts: ForecastSettings, scorer: ScorerSettings) -> EngagementModel:
    """The registry's entry: the model on the server of `scorer.url`, or on the pool of them."""

    def make(url: str) -> EngagementModel:
        return TritonEngagement(url, forecasts.model, forecasts.timeout_s, forecasts.version)

    return one_or_pooled(scorer.urls, make, PooledEngagement, forecasts.timeout_s)
