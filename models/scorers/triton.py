"""The model on a Triton server over gRPC; beside its fake the only one to import tritonclient."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from core.errors import InvalidAnswer, ScorerRefused, ScorerTimedOut, ScorerUnavailable
from core.heads import HEADS
from core.ports import ScoreBatch
from core.settings import ScorerSettings
from models.scorers.edge import MAX_VERSION_CHARS, Asked, checked, joined, shown

TEXT, LANG, RATED, VERSION = "TEXT", "LANG", "RATED", "MODEL_VERSION"
_MAX_POSTS_ASKED: Final = 4_096
"""In one request, whatever the server says that it takes; the worker's batches are no larger."""
_MAX_ANSWER_BYTES: Final = 65_536 + _MAX_POSTS_ASKED * (
    # The probabilities at their widest, RATED, and MODEL_VERSION with its length.
    8 * sum(map(len, HEADS.values())) + 1 + 4 + 4 * MAX_VERSION_CHARS
)
_CHANNEL: Final = (
    # gRPC's own back-off grows to two minutes: a server that is back would be left alone so long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Batches are bounded by the worker; gRPC's 4 MB would refuse what the worker may send.
    ("grpc.max_send_message_length", -1),
)
_READY_TIMEOUT_S: Final = 2.0
_STATUS: Final = "StatusCode."
# What the server says about a batch that it would not take a second time either.
_REFUSALS: Final = frozenset({"INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED", "OUT_OF_RANGE"})
# Triton reports a dead or restarting backend process as INTERNAL, which no batch is to blame for.
_SERVER_TROUBLE: Final = ("stub process", "is not ready", "shared memory", "exit")
_EXPIRED: Final = "timeout expired"  # what Triton says of what it has dropped from its queue
# What gRPC on this side says of an answer that it cannot take, or that broke off.
_ANSWER_TROUBLE: Final = ("client: ", "deserializing", "rst_stream")


@dataclass(frozen=True, slots=True)
class _Served:
    """What the server says of the model: asked once per connection.

    Attributes:
        heads: The heads among the model's outputs, in the order of `core.heads`.
        max_batch: How many posts it takes in one request.
        version: What MODEL_VERSION has to be; "" where the configuration does not tell. One
            configuration serves all versions of a model, so of one that we choose it tells nothing.
    """

    heads: tuple[str, ...]
    max_batch: int
    version: str


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
    if any(sign in said.lower() for sign in _ANSWER_TROUBLE):
        return InvalidAnswer(f"{what}: {status}: {said[:200]}")
    if status == "DEADLINE_EXCEEDED" or _EXPIRED in said.lower():
        return ScorerTimedOut(f"{what}: {status}: {said[:200]}")
    if status in _REFUSALS and not any(sign in said.lower() for sign in _SERVER_TROUBLE):
        return ScorerRefused(f"{what}: {status}: {said[:200]}")
    return ScorerUnavailable(f"{what}: {status or type(error).__name__}: {said[:200]}")


def connection(url: str, max_answer_bytes: int) -> InferenceServerClient:
    """Return a client of a server; to be made in the loop that will use it."""
    # What comes back is bounded by what is asked: nobody else's numbers fill our memory.
    bound = ("grpc.max_receive_message_length", max_answer_bytes)
    return InferenceServerClient(url, channel_args=[*_CHANNEL, bound])


def columns_of(
    asked: Asked, answer: InferResult, outputs: Sequence[str], model: str, version: str
) -> dict[str, Any]:
    """Return the outputs of an answer by name; the protocol's own bounds come before the edge's.

    Args:
        asked: What was asked.
        answer: What came.
        outputs: The outputs that were asked for.
        model: The model's name on the server.
        version: Its version on the server; "" takes any.

    Raises:
        InvalidAnswer: It is no message, of another model or version, or has other outputs.
    """
    response: Any = answer.get_response()
    if response is None:  # what gRPC makes of bytes that are no message
        raise asked.invalid("bytes", "that are no message", "one of Triton's protocol")
    names = Counter(output.name for output in response.outputs)
    wanted = Counter(outputs)
    for what, wrong in (
        ("no output", wanted - names),
        ("a second or unknown output", names - wanted),
    ):
        if wrong:
            raise asked.invalid(what, ", ".join(sorted(wrong)), ", ".join(sorted(wanted)))
    if response.model_name != model:
        raise asked.invalid("model", response.model_name, model)
    if version and response.model_version != version:
        raise asked.invalid("version", response.model_version, version)
    return {output.name: _column(asked, answer, output) for output in response.outputs}


def _column(asked: Asked, answer: InferResult, output: Any) -> NDArray[Any]:
    """Return the numbers of an output."""
    name, datatype = output.name, output.datatype
    if triton_to_np_dtype(datatype) is None:  # `as_numpy` would take it for a double
        raise asked.invalid(f"{name} of type", datatype, "one of Triton's")
    try:
        return cast(NDArray[Any], answer.as_numpy(name))
    except Exception as error:  # whatever the bytes make of a reader that trusts them
        raise asked.invalid(
            f"{name} that cannot be read:", type(error).__name__, "its own shape and type"
        ) from error


class TritonScorer:
    """Satisfies `core.ports.Scorer`; one connection for the life of the process.

    Must be used from one event loop. Connects on first use, and again by itself after the server
    was away.
    """

    def __init__(
        self, url: str, model: str = "post_encoder", timeout_s: float = 30.0, version: str = ""
    ) -> None:
        self._url = url
        self._who = f"Triton at {url}"
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
            # The server wants a post at least; of its answer the widths are kept.
            padded = await self._score(served, [""], [""])
            return ScoreBatch(
                padded.model_version,
                padded.rated[:0],
                {name: values[:0] for name, values in padded.heads.items()},
            )
        step = served.max_batch
        if len(texts) <= step:
            return await self._score(served, texts, langs)
        pieces = await asyncio.gather(
            *(
                self._score(served, texts[i : i + step], langs[i : i + step])
                for i in range(0, len(texts), step)
            )
        )
        return joined(self._who, pieces)

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
            self._client = connection(self._url, _MAX_ANSWER_BYTES)
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
                    f"{self._who} has no model {self._model!r} now: "
                    f"{type(error).__name__}: {str(error)[:200]}"
                ) from error
            if answer is None:
                raise InvalidAnswer(f"{self._who} describes {self._model!r} by no message")
            config = answer.config
            outputs = {output.name for output in config.output}
            heads = tuple(name for name in HEADS if name in outputs)
            if not heads:
                raise InvalidAnswer(
                    f"{self._who}: model {self._model!r} has outputs {shown(sorted(outputs))}, "
                    f"expected some of {', '.join(HEADS)}"
                )
            told = "" if self._version else config.parameters["model_version"].string_value
            most = min(max(1, config.max_batch_size), _MAX_POSTS_ASKED)
            self._served = _Served(heads, most, told)
            return self._served

    async def _score(
        self, served: _Served, texts: Sequence[str], langs: Sequence[str]
    ) -> ScoreBatch:
        """Ask once."""
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
                # Microseconds. What the server comes to later is dropped there and not scored.
                timeout=max(1, int(self._timeout_s * 1_000_000)),
            )
            return self._read(served, cast(InferResult, answer), len(texts))
        except (InferenceServerException, grpc.RpcError) as error:
            translated = translate(error, f"{self._who}, {len(texts)} posts")
            if isinstance(translated, ScorerUnavailable):
                self._served = None
            raise translated from error
        except InvalidAnswer:
            self._served = None  # perhaps another model is served by now
            raise

    def _read(self, served: _Served, answer: InferResult, posts: int) -> ScoreBatch:
        """Return the answer, checked."""
        asked = Asked(self._who, posts, served.heads, served.version)
        expected = (RATED, VERSION, *served.heads)
        columns = columns_of(asked, answer, expected, self._model, self._version)
        heads = {name: columns[name] for name in served.heads}
        return checked(asked, columns[VERSION], columns[RATED], heads)


def from_settings(settings: ScorerSettings) -> TritonScorer:
    """The registry's entry."""
    return TritonScorer(settings.url, settings.model, settings.timeout_s, settings.version)
