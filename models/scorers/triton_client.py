"""What asking any model of a Triton server over gRPC takes; the server's words become our errors.

Beside the server that stands in for Triton, this package is the only one to import tritonclient.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import grpc
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from core.errors import InvalidAnswer, ScorerRefused, ScorerTimedOut, ScorerUnavailable
from models.scorers.edge import Asked, shown

_Answer = TypeVar("_Answer")

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
class ServedModel:
    """What the server says of the model: asked once per connection.

    Attributes:
        outputs: The wanted ones among the model's outputs.
        max_batch: How many posts it takes in one request.
        version: What MODEL_VERSION has to be; "" where the configuration does not tell. One
            configuration serves all versions of a model, so of one that we choose it tells nothing.
    """

    outputs: tuple[str, ...]
    max_batch: int
    version: str


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


class TritonClient(ABC):
    """A model of a server; one connection for the life of the process.

    Must be used from one event loop. Connects on first use, and again by itself after the server
    was away.

    Args:
        url: The server's gRPC host:port.
        model: The model's name on the server.
        version: Its version there; "" leaves the choice to the server's version policy.
        timeout_s: What is unanswered for so long has failed.
        max_posts: In one request at most, whatever the server says that it takes.
        max_answer_bytes: What comes back is bounded by what is asked: nobody else's numbers fill
            our memory.
    """

    def __init__(
        self,
        url: str,
        model: str,
        version: str,
        timeout_s: float,
        *,
        max_posts: int,
        max_answer_bytes: int,
    ) -> None:
        self._url = url
        self._who = f"Triton at {url}"
        self._model = model
        self._version = version
        self._timeout_s = timeout_s
        self._max_posts = max_posts
        self._max_answer_bytes = max_answer_bytes
        self._client: InferenceServerClient | None = None
        self._served: ServedModel | None = None
        self._learning = asyncio.Lock()

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

    @abstractmethod
    def _wanted(self, outputs: Collection[str]) -> tuple[str, ...]:
        """Return which outputs of a model are wanted.

        Raises:
            ValueError: They are not those of such a model; the message says what is expected.
        """

    def _connection(self) -> InferenceServerClient:
        # Made on first use: grpc.aio wants the loop that will use it.
        if self._client is None:
            bound = ("grpc.max_receive_message_length", self._max_answer_bytes)
            self._client = InferenceServerClient(self._url, channel_args=[*_CHANNEL, bound])
        return self._client

    async def _learn(self) -> ServedModel:
        """What the server serves; asked again after the server was away."""
        async with self._learning:
            if self._served is None:
                self._served = await self._ask_what_is_served()
            return self._served

    async def _ask_what_is_served(self) -> ServedModel:
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
        outputs = {output.name for output in answer.config.output}
        try:
            wanted = self._wanted(outputs)
        except ValueError as error:
            raise InvalidAnswer(
                f"{self._who}: model {self._model!r} has outputs {shown(sorted(outputs))}, "
                f"expected {error}"
            ) from None
        told = "" if self._version else answer.config.parameters["model_version"].string_value
        most = min(max(1, answer.config.max_batch_size), self._max_posts)
        return ServedModel(wanted, most, told)

    async def _infer(
        self,
        inputs: Sequence[InferInput],
        outputs: Sequence[str],
        posts: int,
        read: Callable[[InferResult], _Answer],
    ) -> _Answer:
        """Ask once.

        Args:
            inputs: What is asked.
            outputs: The names of what is to come back.
            posts: How many posts it is about.
            read: Makes of what came what is returned; raises `InvalidAnswer` if it cannot.
        """
        try:
            answer = await self._connection().infer(
                self._model,
                inputs,
                model_version=self._version,
                outputs=[InferRequestedOutput(name) for name in outputs],
                client_timeout=self._timeout_s,
                # Microseconds, for a repository whose queues have time-outs; ours have none, and
                # what nobody waits for is dropped since the call is cancelled.
                timeout=max(1, int(self._timeout_s * 1_000_000)),
            )
            return read(cast(InferResult, answer))
        except (InferenceServerException, grpc.RpcError) as error:
            translated = translate(error, f"{self._who}, {posts} posts")
            if isinstance(translated, ScorerUnavailable):
                self._served = None
            raise translated from error
        except InvalidAnswer:
            self._served = None  # perhaps another model is served by now
            raise
