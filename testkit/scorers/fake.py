"""A scorer without a model: probabilities from a hash of the text, for tests and benchmarks.

Deterministic over processes and machines, every head, about a million posts/s, and it can be
told to fail the way real scorers fail.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from core.errors import ScorerRefused, ScorerUnavailable
from core.heads import HEADS, INDEPENDENT
from core.ports import ScoreBatch
from core.settings import ScorerSettings
from models.scorers.edge import Asked, checked
from testkit.scorers.nonsense import RATED, VERSION, Answer

_VERSION: Final = "fake-1"
_HEADS: Final = tuple(HEADS)
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)


@dataclass(slots=True)
class Faults:
    """How the fake misbehaves; may be changed while it is in use.

    Attributes:
        refuse_marker: a batch with a text that contains this is refused; "" refuses none.
        delay_s: every answer takes so long.
        is_down: every call finds the scorer away.
        timeout_s: a delay beyond this counts as scorer away; 0 waits for ever.
        spoil: makes wrong answers of right ones, before the edge; None leaves them right.
    """

    refuse_marker: str = ""
    delay_s: float = 0.0
    is_down: bool = False
    timeout_s: float = 0.0
    spoil: Callable[[Answer], Answer] | None = None


class FakeScorer:
    """Satisfies `core.ports.Scorer`. Rates every non-empty text that claims English or nothing."""

    def __init__(self, version: str = _VERSION, faults: Faults | None = None) -> None:
        self.version = version
        self.faults = faults or Faults()
        self.calls = 0
        self.posts = 0
        self._columns: dict[str, slice] = {}
        start = 0
        for name, labels in HEADS.items():
            self._columns[name] = slice(start, start + len(labels))
            start += len(labels)
        self._steps = (np.arange(1, start + 1, dtype=np.uint64) * _GOLDEN)[:, None]

    async def score_batch(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        """See `Scorer.score_batch`; the model version is the one given at construction."""
        self.calls += 1
        await self._misbehave(texts)
        self.posts += len(texts)
        hashes = np.fromiter(
            (crc32(text.encode("utf-8", "surrogatepass")) for text in texts), np.uint64, len(texts)
        )
        weights = self._weights(hashes)
        heads = {name: self._probabilities(name, weights) for name in self._columns}
        rated = np.fromiter(
            (
                (not lang or lang[:2].lower() == "en") and bool(text)
                for text, lang in zip(texts, langs, strict=True)
            ),
            np.bool_,
            len(texts),
        )
        asked = Asked("the fake scorer", len(texts), _HEADS, self.version)
        if self.faults.spoil is None:
            return checked(asked, self.version, rated, heads)
        versions = np.full((len(texts), 1), self.version.encode(), np.object_)
        spoilt = self.faults.spoil({RATED: rated.reshape(-1, 1), VERSION: versions, **heads})
        return checked(asked, spoilt.pop(VERSION), spoilt.pop(RATED), spoilt)

    async def is_ready(self) -> bool:
        """Whether it was not told to be down."""
        return not self.faults.is_down

    async def close(self) -> None:
        """Nothing to release."""

    async def _misbehave(self, texts: Sequence[str]) -> None:
        faults = self.faults
        if faults.is_down:
            raise ScorerUnavailable("the fake scorer was told to be down")
        if faults.delay_s > 0:
            limit = faults.timeout_s
            await asyncio.sleep(min(faults.delay_s, limit) if limit else faults.delay_s)
            if limit and faults.delay_s > limit:
                raise ScorerUnavailable(f"the fake scorer did not answer within {limit:g} s")
        if faults.refuse_marker and any(faults.refuse_marker in text for text in texts):
            raise ScorerRefused(f"the fake scorer refuses a batch of {len(texts)} posts")

    def _weights(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """20-bit numbers (classes of all heads, B): splitmix64 of the text's hash and the class."""
        mixed = hashes[None, :] * _MIX_1 + self._steps
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_2
        return ((mixed >> np.uint64(44)) + np.uint64(1)).astype(np.uint32)

    def _probabilities(self, name: str, weights: NDArray[np.uint32]) -> NDArray[np.float32]:
        # Integer sums are exact, so a text's numbers cannot depend on its batch.
        own = weights[self._columns[name]]
        if name in INDEPENDENT:
            shares = own / np.float64(1 << 21)
        else:
            shares = own / own.sum(axis=0, dtype=np.uint64).astype(np.float64)
        return np.ascontiguousarray(shares.T, np.float32)


def from_settings(settings: ScorerSettings) -> FakeScorer:
    """The registry's entry."""
    return FakeScorer(faults=Faults(timeout_s=settings.timeout_s))
