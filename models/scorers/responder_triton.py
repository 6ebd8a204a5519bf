"""The responder on a Triton server over gRPC."""

from collections.abc import Collection
from typing import Final

import numpy as np
from tritonclient.grpc import InferInput, InferResult

from core.ports import Generated, Responder
from core.responder_settings import ResponderSettings
from core.settings import ScorerSettings
from models.popalm.config import MAX_REPLIES, as_sent, check_question
from models.popalm.safety import MAX_CHARACTERS
from models.scorers.edge import Asked
from models.scorers.pooled import PooledResponder, one_or_pooled
from models.scorers.responder_edge import checked_replies
from models.scorers.triton_client import TritonClient, columns_of

RESPONDER_OUTPUTS: Final = (
    "REPLIES", "SCORES", "REASONS", "REFUSED", "DRAWN_BY", "MODEL_VERSION",
)  # fmt: skip
_MAX_ANSWER_BYTES: Final = 65_536 + MAX_REPLIES * 4 * MAX_CHARACTERS


class TritonResponder(TritonClient):
    """Satisfies `core.ports.Responder`; see `TritonClient`."""

    def __init__(
        self, url: str, model: str = "responder", timeout_s: float = 20.0, version: str = ""
    ) -> None:
        super().__init__(
            url, model, version, timeout_s, max_posts=1, max_answer_bytes=_MAX_ANSWER_BYTES
        )

    async def reply(self, text: str, number: int, seed: int) -> Generated:
        """See `Responder.reply`."""
        check_question(number, seed)
        served = await self._learn()
        inputs = []
        sent = as_sent(text).encode()
        for name, kind, value in (
            ("TEXT", "BYTES", np.array([sent], np.object_)),
            ("NUMBER", "INT32", np.array([number], np.int32)),
            ("SEED", "INT64", np.array([seed], np.int64)),
        ):
            tensor = InferInput(name, [1], kind)
            tensor.set_data_from_numpy(value)
            inputs.append(tensor)
        asked = Asked(self._who, 1, (), served.version)

        def read(answer: InferResult) -> Generated:
            found = columns_of(asked, answer, served.outputs, self._model, self._version)
            return checked_replies(asked, text, number, seed, found)

        return await self._infer(inputs, served.outputs, 1, read)

    def _wanted(self, outputs: Collection[str]) -> tuple[str, ...]:
        if not set(RESPONDER_OUTPUTS) <= set(outputs):
            raise ValueError(", ".join(RESPONDER_OUTPUTS))
        return RESPONDER_OUTPUTS


def from_settings(responder: ResponderSettings, scorer: ScorerSettings) -> Responder:
    """The registry's entry: the model on the server of `scorer.url`, or on the pool of them."""

    def make(url: str) -> Responder:
        return TritonResponder(url, responder.model, responder.timeout_s, responder.version)

    return one_or_pooled(scorer.urls, make, PooledResponder, responder.timeout_s)
