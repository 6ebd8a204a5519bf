"""The crowd model on a Triton server over gRPC."""

import asyncio
from collections.abc import Collection
from typing import Final

import numpy as np
from tritonclient.grpc import InferInput, InferResult

from core.ports import CrowdAnswer, CrowdModel, CrowdQuestions
from core.settings import ScorerSettings
from models.scorers.crowd_edge import as_sent, checked_crowd, joined_crowds
from models.scorers.edge import MAX_VERSION_CHARS, Asked
from models.scorers.pooled import PooledCrowd, one_or_pooled
from models.scorers.triton_client import ServedModel, TritonClient, columns_of
from models.socialalign.crowd_config import HEAD_CLASSES, LABELS
from models.socialalign.reaction import KINDS

INPUTS: Final = ("USUAL", "HEADS", "SEEN", "FLAGS", "TEXT")
OUTPUTS: Final = ("FORECAST", "REACTION", "MODEL_VERSION")
_MAX_POSTS: Final = 256
_MAX_ANSWER_BYTES: Final = 65_536 + _MAX_POSTS * (8 * LABELS + 4 + 4 * MAX_VERSION_CHARS)


class TritonCrowd(TritonClient):
    """Satisfies `core.ports.CrowdModel`; see `TritonClient`."""

    def __init__(
        self, url: str, model: str = "crowd", timeout_s: float = 10.0, version: str = ""
    ) -> None:
        super().__init__(
            url, model, version, timeout_s,
            max_posts=_MAX_POSTS, max_answer_bytes=_MAX_ANSWER_BYTES,
        )  # fmt: skip

    async def expect(self, questions: CrowdQuestions) -> CrowdAnswer:
        """See `CrowdModel.expect`. Larger batches than the server takes go in pieces."""
        served, rows = await self._learn(), len(questions.texts)
        if not rows:  # the server wants a question at least
            one = await self._ask(served, _of_nothing())
            return CrowdAnswer(one.model_version, one.forecast[:0], one.reaction[:0])
        step, sent = served.max_batch, as_sent(questions)
        parts = [_part(sent, slice(at, at + step)) for at in range(0, rows, step)]
        answers = await asyncio.gather(*(self._ask(served, part) for part in parts))
        return joined_crowds(self._who, answers)

    def _wanted(self, outputs: Collection[str]) -> tuple[str, ...]:
        if not set(OUTPUTS) <= set(outputs):
            raise ValueError(", ".join(OUTPUTS))
        return OUTPUTS

    async def _ask(self, served: ServedModel, questions: CrowdQuestions) -> CrowdAnswer:
        """Ask once."""
        posts = len(questions.texts)
        texts = np.empty((posts, 1), np.object_)
        texts[:, 0] = [text.encode() for text in questions.texts]
        numbers = (questions.usual, questions.heads, questions.seen, questions.flags)
        inputs = []
        for name, values in zip(INPUTS, (*numbers, texts), strict=True):
            tensor = InferInput(name, list(values.shape), "BYTES" if name == "TEXT" else "FP32")
            tensor.set_data_from_numpy(values)
            inputs.append(tensor)
        asked = Asked(self._who, posts, (), served.version)

        def read(answer: InferResult) -> CrowdAnswer:
            found = columns_of(asked, answer, served.outputs, self._model, self._version)
            return checked_crowd(
                asked, found["MODEL_VERSION"], found["FORECAST"], found["REACTION"]
            )

        return await self._infer(inputs, served.outputs, posts, read)


def _of_nothing() -> CrowdQuestions:
    return as_sent(CrowdQuestions(
        np.ones((1, LABELS), np.float32), np.full((1, HEAD_CLASSES), np.nan, np.float32),
        np.zeros((1, KINDS, LABELS), np.float32), np.zeros((1, 2), np.float32), [""],
    ))  # fmt: skip


def _part(whole: CrowdQuestions, rows: slice) -> CrowdQuestions:
    return CrowdQuestions(
        whole.usual[rows], whole.heads[rows], whole.seen[rows], whole.flags[rows],
        whole.texts[rows],
    )  # fmt: skip


def from_settings(scorer: ScorerSettings) -> CrowdModel:
    """The registry's entry: the model on the server of `scorer.url`, or on the pool of them."""

    def make(url: str) -> CrowdModel:
        return TritonCrowd(url, timeout_s=scorer.timeout_s)

    return one_or_pooled(scorer.urls, make, PooledCrowd, scorer.timeout_s)
