"""A server that speaks Triton's own protocol with the fake scorer's numbers, and errs when told to.

Beside `models.scorers.triton`, whose tests ask it; `groundswell chaos` runs it as a process. The
real scorer is what is tested: connection, protocol, bounds and the edge.
"""

# tritonclient and grpc ship no types of what they generate.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
)

from core.heads import HEADS
from testkit.scorers.fake import FakeScorer
from testkit.scorers.nonsense import (
    ANSWER_KINDS,
    RATED,
    ROW_KINDS,
    VERSION,
    Answer,
    spoil_rows,
)

_messages: Any = service_pb2  # its classes are made when it is imported
ERRORS: Final = "errors"
NONSENSE: Final = (*ROW_KINDS, *ANSWER_KINDS)
SPOILT_SHARE: Final = 3
"""One row in so many is spoilt, by its text: the others of the batch are to be counted."""

Note = Callable[[str, Sequence[bytes]], None]
"""Called with a kind and the texts of the rows that are answered wrongly, before the answer."""


def _ignore(kind: str, texts: Sequence[bytes]) -> None:
    del kind, texts


@dataclass(slots=True)
class Manners:
    """How the server behaves; may be changed while it runs.

    Attributes:
        delay_s: It thinks so long about a request.
        kind: One of `NONSENSE`, `ERRORS`, or "" for right answers.
        spoil: Makes wrong outputs of right ones, instead of a kind.
        change: Makes another message of that of an answer.
    """

    delay_s: float = 0.0
    kind: str = ""
    spoil: Callable[[Answer], Answer] | None = None
    change: Callable[[Any], Any] | None = None


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one model on a loopback port; use from one event loop.

    Attributes:
        manners: How it behaves.
        port: Where it listens, once started.
        requests: How many batches it was asked for.
        last_timeout_us: The time that the last client gave it, in microseconds; 0 if none.
    """

    def __init__(
        self,
        manners: Manners | None = None,
        note: Note = _ignore,
        max_batch: int = 1024,
        model: str = "post_encoder",
    ) -> None:
        self.manners = manners or Manners()
        self.port = 0
        self.requests = 0
        self.last_timeout_us = 0
        self._note = note
        self._model = model
        self._max_batch = max_batch
        self._fake = FakeScorer()
        self._server: Any = None

    async def start(self, port: int = 0) -> None:
        """Listen on a loopback port, a free one if 0."""
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.so_reuseport", 0),  # or two servers could share a port without a word
        ]
        self._server = grpc.aio.server(options=options)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        """Answer nobody any more."""
        await self._server.stop(None)

    async def ModelReady(self, request: Any, context: Any) -> Any:
        """Tell whether the model is the one that is served, and no error is to be answered."""
        del context
        is_ready = request.name == self._model and self.manners.kind != ERRORS
        return _messages.ModelReadyResponse(ready=is_ready)

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        """Return the outputs, the greatest batch and the version."""
        if request.name != self._model or self.manners.kind == ERRORS:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no such model now")
        found = _messages.ModelConfigResponse()
        found.config.name, found.config.max_batch_size = self._model, self._max_batch
        for name in (RATED, VERSION, *HEADS):
            found.config.output.add(name=name)
        found.config.parameters["model_version"].string_value = self._fake.version
        return found

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Score the texts, rightly or in the way that was asked for."""
        self.requests += 1
        self.last_timeout_us = request.parameters["timeout"].int64_param
        texts, langs = (
            deserialize_bytes_tensor(raw).tolist() for raw in request.raw_input_contents
        )
        if self.manners.delay_s:
            await asyncio.sleep(self.manners.delay_s)
        kind = self.manners.kind
        if kind == ERRORS:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "asked to answer with errors")
        answer = await self._right(texts, langs)
        if kind in ROW_KINDS:
            answer = self._spoil(kind, answer, texts)
        elif spoil := self.manners.spoil or ANSWER_KINDS.get(kind):
            answer = spoil(answer)
        message = to_message(answer, self._model, request.model_version or "1", request.id)
        return self.manners.change(message) if self.manners.change else message

    async def _right(self, texts: Sequence[bytes], langs: Sequence[bytes]) -> Answer:
        scored = await self._fake.score_batch(
            [text.decode() for text in texts], [lang.decode() for lang in langs]
        )
        version = np.full((len(texts), 1), scored.model_version.encode(), np.object_)
        return {RATED: scored.rated.reshape(-1, 1), VERSION: version, **scored.heads}

    def _spoil(self, kind: str, answer: Answer, texts: Sequence[bytes]) -> Answer:
        """Spoil the rows whose texts are chosen by chance that is the same each time."""
        rows = [
            row
            for row, text in enumerate(texts)
            if crc32(text, len(kind)) % SPOILT_SHARE == 0
            # Of a post that is not rated nobody adds the classes up.
            and (kind != "sum" or answer[RATED][row, 0])
        ]
        self._note(kind, [texts[row] for row in rows])
        return spoil_rows(kind, answer, rows)


def to_message(answer: Answer, model: str, version: str, request_id: str = "") -> Any:
    """Return an answer as Triton's message, every output raw."""
    message = _messages.ModelInferResponse(model_name=model, model_version=version, id=request_id)
    for name, values in answer.items():
        datatype = np_to_triton_dtype(values.dtype)
        message.outputs.add(name=name, datatype=datatype, shape=values.shape)
        if datatype == "BYTES":
            packed = serialize_byte_tensor(values)
            message.raw_output_contents.append(packed.item() if packed.size else b"")
        else:
            message.raw_output_contents.append(values.tobytes())
    return message
