"""The engagement model on a Triton server over gRPC, by the client of `models.scorers.triton`."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from core.errors import InvalidAnswer, ScorerUnavailable
from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from core.settings import ScorerSettings
from models.engagement.layout import LEVELS, TARGETS
from models.scorers.edge import MAX_VERSION_CHARS, Asked, shown
from models.scorers.engagement_edge import checked_answer, joined_answers
from models.scorers.triton import columns_of, connection, translate

INPUTS: Final = ("FEATURES", "SEQUENCE")
OUTPUTS: Final = ("QUANTILES", "MODEL_VERSION")
_MAX_POSTS: Final = 1_024
_MAX_ANSWER_BYTES: Final = 65_536 + _MAX_POSTS * (
    4 * len(TARGETS) * len(LEVELS) + 4 + 4 * MAX_VERSION_CHARS
)
_READY_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _ServedEngagement:
    """What the server says of the model: asked once per connection.

    Attributes:
        max_batch: How many posts it takes in one request.
        version: What MODEL_VERSION has to be; "" where the configuration does not tell.
    """

    max_batch: int
    version: str


class TritonEngagement:
    """Satisfies `core.ports.EngagementModel`; one connection for the life of the process.

    Must be used from one event loop. Connects on first use, and again by itself after the server
    was away.
    """

    def __init__(
        self, url: str, model: str = "engagement", timeout_s: float = 10.0, version: str = ""
    ) -> None:
        self._url = url
        self._who = f"Triton at {url}"
        self._model = model
        self._version = version  # "" leaves the choice to the server's version policy
        self._timeout_s = timeout_s
        self._client: InferenceServerClient | None = None
        self._served: _ServedEngagement | None = None
        self._learning = asyncio.Lock()

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

    async def is_ready(self) -> bool:
        """Whether the server answers and has loaded the model."""
        try:
            return bool(
                await self._connection().is_model_ready(
                    self._model, self._version, client_timeout=_READY_TIMEOUT_S
                )
            )
        except (InferenceServerException, grpc.RpcError):
            return False

    async def close(self) -> None:
        """Close the connection."""
        client, self._client, self._served = self._client, None, None
        if client is not None:
            await client.close()

    def _connection(self) -> InferenceServerClient:
        if self._client is None:
            self._client = connection(self._url, _MAX_ANSWER_BYTES)
        return self._client

    async def _learn(self) -> _ServedEngagement:
        """What the server serves; asked again after the server was away."""
        async with self._learning:
            if self._served is not None:
                return self._served
            try:
                answer: Any = await self._connection().get_model_config(
                    self._model, self._version, client_timeout=self._timeout_s
                )
            except (InferenceServerException, grpc.RpcError) as error:
                raise ScorerUnavailable(
                    f"{self._who} has no model {self._model!r} now: "
                    f"{type(error).__name__}: {str(error)[:200]}"
                ) from error
            if answer is None:
                raise InvalidAnswer(f"{self._who} describes {self._model!r} by no message")
            outputs = {output.name for output in answer.config.output}
            if not set(OUTPUTS) <= outputs:
                raise InvalidAnswer(
                    f"{self._who}: model {self._model!r} has outputs {shown(sorted(outputs))}, "
                    f"expected {', '.join(OUTPUTS)}"
                )
            # One configuration serves all versions, so of one that we choose it tells nothing.
            told = answer.config.parameters["model_version"].string_value
            most = min(max(1, answer.config.max_batch_size), _MAX_POSTS)
            self._served = _ServedEngagement(most, "" if self._version else told)
            return self._served

    async def _ask(
        self, served: _ServedEngagement, *columns: NDArray[np.float32]
    ) -> EngagementAnswer:
        """Ask once."""
        inputs = []
        for name, values in zip(INPUTS, columns, strict=True):
            tensor = InferInput(name, list(values.shape), "FP32")
            tensor.set_data_from_numpy(np.ascontiguousarray(values, np.float32))
            inputs.append(tensor)
        posts = len(columns[0])
        asked = Asked(self._who, posts, (), served.version)
        try:
            answer = await self._connection().infer(
                self._model,
                inputs,
                model_version=self._version,
                outputs=[InferRequestedOutput(name) for name in OUTPUTS],
                client_timeout=self._timeout_s,
                # Microseconds. What the server comes to later is dropped there and not answered.
                timeout=max(1, int(self._timeout_s * 1_000_000)),
            )
            found = columns_of(
                asked, cast(InferResult, answer), OUTPUTS, self._model, self._version
            )
            return checked_answer(asked, found["MODEL_VERSION"], found["QUANTILES"])
        except (InferenceServerException, grpc.RpcError) as error:
            translated = translate(error, f"{self._who}, {posts} posts")
            if isinstance(translated, ScorerUnavailable):
                self._served = None
            raise translated from error
        except InvalidAnswer:
            self._served = None  # perhaps another model is served by now
            raise


def from_settings(forecasts: ForecastSettings, scorer: ScorerSettings) -> TritonEngagement:
    """The registry's entry: the model on the server of `scorer.url`."""
    return TritonEngagement(scorer.url, forecasts.model, forecasts.timeout_s, forecasts.version)
