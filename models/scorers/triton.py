"""The model on a Triton server over gRPC: the only module that imports tritonclient."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from core.errors import ScorerRefused, ScorerUnavailable
from core.labels import HEADS
from core.ports import ScoreBatch
from core.settings import ScorerSettings

TEXT, LANG, RATED, VERSION = "TEXT", "LANG", "RATED", "MODEL_VERSION"
_CHANNEL: Final = (
    # gRPC's own back-off grows to two minutes: a server that is back would be left alone so long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Batches are bounded by the worker; gRPC's 4 MB would refuse what the worker may send.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)
_READY_TIMEOUT_S: Final = 2.0
_STATUS: Final = "StatusCode."
# What the server says about a batch that it would not take a second time either.
_REFUSALS: Final = frozenset({"INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED", "OUT_OF_RANGE"})
# Triton reports a dead or restarting backend process as INTERNAL, which no batch is to blame for.
_SERVER_TROUBLE: Final = ("stub process", "is not ready", "shared memory", "exit")


@dataclass(frozen=True, slots=True)
class _Served:
    """What the server says of the model: asked once per connection."""

    heads: tuple[str, ...]
    max_batch: int


def _bytes_column(values: Sequence[str]) -> NDArray[np.object_]:
    """Strings as UTF-8 in the shape (B, 1); a lone surrogate becomes "?"."""
    column = np.empty((len(values), 1), np.object_)
    column[:, 0] = [value.encode("utf-8", "replace") for value in values]
    return column


def translate(error: Exception, what: str) -> Exception:
    """The error that tells the caller what to do."""
    if not isinstance(error, InferenceServerException):
        return ScorerUnavailable(f"{what}: {type(error).__name__}")
    status = str(error.status() or "").removeprefix(_STATUS)
    said = str(error.message() or "")
    if status in _REFUSALS and not any(sign in said.lower() for sign in _SERVER_TROUBLE):
        return ScorerRefused(f"{what}: {status}: {said[:200]}")
    return ScorerUnavailable(f"{what}: {status or type(error).__name__}: {said[:200]}")


class TritonScorer:
    """Satisfies `core.ports.Scorer`; one connection for the life of the process.

    Must be used from one event loop. Connects on first use, and again by itself after the server
    was away.
    """

    def __init__(
        self, url: str, model: str = "post_encoder", timeout_s: float = 30.0, version: str = ""
    ) -> None:
        self._url = url
        self._model = model
        self._version = version  # "" leaves the choice to the server's version policy
        self._timeout_s = timeout_s
        self._client: InferenceServerClient | None = None
        self._served: _Served | None = None
        self._learning = asyncio.Lock()

    async def score_batch(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        """See `Scorer.score_batch`. Larger batches than the server takes go in pieces."""
        served = await self._learn()
        if not texts:
            return await self._score(served, [""], [""], keep=0)
        step = served.max_batch
        if len(texts) <= step:
            return await self._score(served, texts, langs, keep=len(texts))
        pieces = await asyncio.gather(
            *(
                self._score(served, texts[i : i + step], langs[i : i + step], keep=step)
                for i in range(0, len(texts), step)
            )
        )
        versions = {piece.model_version for piece in pieces}
        if len(versions) > 1:
            # The model was replaced between two pieces: a batch has one version, so score again.
            raise ScorerUnavailable(f"the model changed within a batch: {sorted(versions)}")
        return ScoreBatch(
            versions.pop(),
            np.concatenate([piece.rated for piece in pieces]),
            {
                name: np.concatenate([piece.heads[name] for piece in pieces])
                for name in served.heads
            },
        )

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
        # Made on first use: grpc.aio wants the loop that will use it.
        if self._client is None:
            self._client = InferenceServerClient(self._url, channel_args=list(_CHANNEL))
        return self._client

    async def _learn(self) -> _Served:
        """What the server serves; asked again after the server was away."""
        async with self._learning:
            if self._served is not None:
                return self._served
            try:
                answer: Any = await self._connection().get_model_config(
                    self._model, self._version, client_timeout=self._timeout_s
                )
            except (InferenceServerException, grpc.RpcError) as error:
                # Whatever the status: without the model there is nothing to blame a batch for.
                raise ScorerUnavailable(
                    f"Triton at {self._url} has no model {self._model!r} now: "
                    f"{type(error).__name__}: {str(error)[:200]}"
                ) from error
            outputs = {output.name for output in answer.config.output}
            heads = tuple(name for name in HEADS if name in outputs)
            self._served = _Served(heads, max(1, answer.config.max_batch_size))
            return self._served

    async def _score(
        self, served: _Served, texts: Sequence[str], langs: Sequence[str], keep: int
    ) -> ScoreBatch:
        inputs = []
        for name, values in ((TEXT, texts), (LANG, langs)):
            tensor = InferInput(name, [len(values), 1], "BYTES")
            tensor.set_data_from_numpy(_bytes_column(values))
            inputs.append(tensor)
        wanted = [InferRequestedOutput(name) for name in (RATED, VERSION, *served.heads)]
        try:
            answer = await self._connection().infer(
                self._model,
                inputs,
                model_version=self._version,
                outputs=wanted,
                client_timeout=self._timeout_s,
            )
        except (InferenceServerException, grpc.RpcError) as error:
            translated = translate(error, f"Triton at {self._url}, {len(texts)} posts")
            if isinstance(translated, ScorerUnavailable):
                self._served = None
            raise translated from error
        return self._columns(served, cast(InferResult, answer), keep)

    def _columns(self, served: _Served, answer: InferResult, keep: int) -> ScoreBatch:
        columns: dict[str, Any] = {
            name: answer.as_numpy(name) for name in (RATED, VERSION, *served.heads)
        }
        absent = [name for name, column in columns.items() if column is None]
        if absent:
            raise ScorerRefused(f"Triton at {self._url} left out {', '.join(absent)}")
        return ScoreBatch(
            columns[VERSION][0, 0].decode(),
            columns[RATED][:keep, 0],
            {name: columns[name][:keep] for name in served.heads},
        )


def from_settings(settings: ScorerSettings) -> TritonScorer:
    """The registry's entry."""
    return TritonScorer(settings.url, settings.model, settings.timeout_s, settings.version)
