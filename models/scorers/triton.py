"""The post encoder on a Triton server over gRPC."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferResult

from core.heads import HEADS
from core.ports import ScoreBatch, Scorer
from core.routes import Routes
from core.settings import ScorerSettings
from models.scorers.edge import MAX_VERSION_CHARS, Asked, checked, joined, routes_of
from models.scorers.pooled import PooledScorer, one_or_pooled
from models.scorers.triton_client import ServedModel, TritonClient, columns_of

TEXT, LANG, RATED, VERSION = "TEXT", "LANG", "RATED", "MODEL_VERSION"
ROUTE, COST = "ROUTE", "COST"
"""Outputs of a model of two networks: how each post was answered, and its share of the seconds."""
_MAX_POSTS_ASKED: Final = 4_096
"""In one request, whatever the server says that it takes; the worker's batches are no larger."""
_MAX_ANSWER_BYTES: Final = 65_536 + _MAX_POSTS_ASKED * (
    # The probabilities at their widest, RATED, MODEL_VERSION with its length, ROUTE and COST.
    8 * sum(map(len, HEADS.values())) + 1 + 4 + 4 * MAX_VERSION_CHARS + 2 + 8
)


def _bytes_column(values: Sequence[str]) -> NDArray[np.object_]:
    """Strings as UTF-8 in the shape (B, 1); a lone surrogate becomes "?"."""
    column = np.empty((len(values), 1), np.object_)
    column[:, 0] = [value.encode("utf-8", "replace") for value in values]
    return column


class TritonScorer(TritonClient):
    """Satisfies `core.ports.Scorer`; see `TritonClient`."""

    def __init__(
        self, url: str, model: str = "post_encoder", timeout_s: float = 30.0, version: str = ""
    ) -> None:
        super().__init__(
            url, model, version, timeout_s,
            max_posts=_MAX_POSTS_ASKED, max_answer_bytes=_MAX_ANSWER_BYTES,
        )  # fmt: skip

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
                routes=None if padded.routes is None else Routes(padded.routes.bits[:0]),
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

    def _wanted(self, outputs: Collection[str]) -> tuple[str, ...]:
        heads = tuple(name for name in HEADS if name in outputs)
        if not heads:
            raise ValueError(f"some of {', '.join(HEADS)}")
        has_routes = {ROUTE, COST} <= set(outputs)
        return (*heads, ROUTE, COST) if has_routes else heads

    async def _score(
        self, served: ServedModel, texts: Sequence[str], langs: Sequence[str]
    ) -> ScoreBatch:
        """Ask once."""
        inputs = []
        for name, values in ((TEXT, texts), (LANG, langs)):
            tensor = InferInput(name, [len(values), 1], "BYTES")
            tensor.set_data_from_numpy(_bytes_column(values))
            inputs.append(tensor)
        posts = len(texts)
        return await self._infer(
            inputs, (RATED, VERSION, *served.outputs), posts,
            lambda answer: self._read(served, answer, posts),
        )  # fmt: skip

    def _read(self, served: ServedModel, answer: InferResult, posts: int) -> ScoreBatch:
        """Return the answer, checked."""
        names = tuple(name for name in served.outputs if name not in (ROUTE, COST))
        asked = Asked(self._who, posts, names, served.version)
        expected = (RATED, VERSION, *served.outputs)
        columns = columns_of(asked, answer, expected, self._model, self._version)
        heads = {name: columns[name] for name in names}
        routes = None
        if ROUTE in columns:
            routes = routes_of(asked, columns[ROUTE], columns[COST])
        return checked(asked, columns[VERSION], columns[RATED], heads, routes)


def from_settings(settings: ScorerSettings) -> Scorer:
    """The registry's entry: the one server, or the pool of them."""

    def make(url: str) -> Scorer:
        return TritonScorer(url, settings.model, settings.timeout_s, settings.version)

    return one_or_pooled(settings.urls, make, PooledScorer, settings.timeout_s)
