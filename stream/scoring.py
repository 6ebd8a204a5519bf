"""From accepted posts to scores: waits out a scorer that is down, halves a batch it refuses.

A scorer that is away is not a bad post: the batch waits, with back-off, and nothing is skipped. A
batch that the scorer refuses holds a post that it cannot take: halving finds it in log2(B) rounds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.clock import Clock
from core.errors import ScorerRefused, ScorerUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.ports import ScoreBatch, Scorer
from core.retry import pause_s

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the posts that could be scored, and the rows that could not.

    Attributes:
        scores: rows in the order of the texts, without the refused ones; None if none is left.
        refused: indices of the texts that alone make the scorer refuse.
    """

    scores: ScoreBatch | None
    refused: tuple[int, ...]


class PatientScorer:
    """Wraps a `Scorer` with patience (waits while it is away) and halving (when it refuses)."""

    def __init__(self, scorer: Scorer, clock: Clock, metrics: Metrics, seed: int = 0) -> None:
        self._scorer = scorer
        self._clock = clock
        self._metrics = metrics
        self._chance = random.Random(seed)
        self._model_version = ""

    async def score(self, texts: Sequence[str], langs: Sequence[str]) -> Scored:
        """Score the texts, however long the scorer is away; cancel to give up."""
        if not texts:
            return Scored(None, ())
        try:
            return Scored(await self._wait_for_scores(texts, langs), ())
        except ScorerRefused:
            if len(texts) == 1:
                return Scored(None, (0,))
        middle = len(texts) // 2
        first = await self.score(texts[:middle], langs[:middle])
        second = await self.score(texts[middle:], langs[middle:])
        refused = first.refused + tuple(row + middle for row in second.refused)
        return Scored(_joined(first.scores, second.scores), refused)

    async def _wait_for_scores(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        attempt = 0
        while True:
            sent = self._clock.monotonic()
            try:
                scores = await self._scorer.score_batch(texts, langs)
            except ScorerUnavailable as error:
                self._metrics.scorer_up.set(0)
                self._metrics.scorer_retries.inc()
                if attempt in (0, 10) or attempt % 60 == 0:
                    _log.warning("scorer unavailable, waiting", error=str(error), tries=attempt + 1)
                await self._clock.sleep(pause_s(attempt, self._chance))
                attempt += 1
                continue
            self._metrics.scorer_up.set(1)
            self._metrics.scorer_latency_seconds.observe(self._clock.monotonic() - sent)
            self._metrics.batch_posts.observe(len(texts))
            self._note_version(scores.model_version)
            return scores

    def _note_version(self, version: str) -> None:
        if version != self._model_version:
            self._metrics.model_info.clear()
            self._metrics.model_info.labels(model_version=version).set(1)
            self._model_version = version


def _joined(first: ScoreBatch | None, second: ScoreBatch | None) -> ScoreBatch | None:
    """Return both batches as one; a head that one of them lacks is left out."""
    if first is None or second is None:
        return first or second
    return ScoreBatch(
        model_version=second.model_version,
        rated=np.concatenate([first.rated, second.rated]),
        heads={
            name: np.concatenate([first.heads[name], second.heads[name]])
            for name in first.heads
            if name in second.heads
        },
    )
