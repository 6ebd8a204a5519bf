"""From accepted posts to scores: waits out a scorer that is down, halves a batch it cannot take.

A scorer that is away is not a bad post: the batch waits, with back-off, and nothing is skipped. Nor
is one whose answer as a whole is invalid. A batch that the scorer refuses holds a post that it
cannot take: halving finds it in log2(B) rounds. A batch that is not answered in time is halved too,
or a slow scorer would be sent the same work for ever. A post whose scores are wrong is left out
alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from core import reasons
from core.clock import Clock
from core.errors import InvalidAnswer, ScorerRefused, ScorerTimedOut, ScorerUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.model_version import engine_of
from core.ports import ScoreBatch, Scorer
from core.retry import pause_s
from core.routes import AUDITED, READ, SENT, agreed_bit
from stream.worker.adaptive_limit import AdaptiveLimit

_log = get_logger(__name__)


class Unscored(NamedTuple):
    """Why a post has no scores: a code of `core.reasons`, and what was found."""

    reason: str
    detail: str


REFUSED: Final = Unscored(reasons.SCORER_REFUSED, "the scorer refuses this text alone")


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the posts that could be scored, and the rows that could not.

    Attributes:
        scores: The rows in the order of the texts, without the unscored ones; None if none is left.
        unscored: The index of each text without scores, in order, and why it has none.
    """

    scores: ScoreBatch | None
    unscored: Mapping[int, Unscored]


class PatientScorer:
    """Wraps a `Scorer` with patience (while it is away) and halving (of what it cannot take)."""

    def __init__(
        self,
        scorer: Scorer,
        clock: Clock,
        metrics: Metrics,
        seed: int = 0,
        limit: AdaptiveLimit | None = None,
    ) -> None:
        self._scorer = scorer
        self._clock = clock
        self._metrics = metrics
        self._rng = random.Random(seed)
        self._limit = limit
        self._model_version = ""

    async def score(self, texts: Sequence[str], langs: Sequence[str]) -> Scored:
        """Score the texts, however long the scorer is away; cancel to give up."""
        if not texts:
            return Scored(None, {})
        try:
            return _without_wrong(await self._wait_for_scores(texts, langs))
        except ScorerRefused:
            if len(texts) == 1:
                return Scored(None, {0: REFUSED})
        except ScorerTimedOut:
            pass  # raised of several posts only: fewer take less time
        middle = len(texts) // 2
        first = await self.score(texts[:middle], langs[:middle])
        second = await self.score(texts[middle:], langs[middle:])
        versions = {half.scores.model_version for half in (first, second) if half.scores}
        if len(versions) > 1:
            # The model was replaced between the halves, and a batch has one version.
            return await self.score(texts, langs)
        late = {row + middle: why for row, why in second.unscored.items()}
        return Scored(_joined(first.scores, second.scores), {**first.unscored, **late})

    async def _wait_for_scores(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        attempt = 0
        while True:
            sent = self._clock.monotonic()
            try:
                scores = await self._ask(texts, langs)
            except ScorerUnavailable as error:
                self._metrics.scorer_up.set(0)
                self._metrics.scorer_retries.inc()
                if isinstance(error, ScorerTimedOut):
                    self._metrics.scorer_timeouts.inc()
                if isinstance(error, InvalidAnswer):
                    self._metrics.scorer_invalid_answers.inc()
                if attempt in (0, 10) or attempt % 60 == 0:
                    _log.warning("scorer unavailable, waiting", error=str(error), tries=attempt + 1)
                await self._clock.sleep(pause_s(attempt, self._rng))
                if isinstance(error, ScorerTimedOut) and len(texts) > 1:
                    raise
                attempt += 1
                continue
            self._metrics.scorer_up.set(1)
            self._metrics.scorer_latency_seconds.observe(self._clock.monotonic() - sent)
            self._metrics.batch_posts.observe(len(texts))
            self._note_version(scores.model_version)
            self._count_routes(scores)
            return scores

    async def _ask(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        """Ask once; the limit learns how long it took, whatever came of it."""
        answered, sent = 0, self._clock.monotonic()
        if self._limit is not None:
            self._limit.asked()
        try:
            scores = await self._scorer.score_batch(texts, langs)
            answered = len(texts)
            return scores
        finally:
            if self._limit is not None:
                self._limit.ended(answered, self._clock.monotonic() - sent)

    def _note_version(self, version: str) -> None:
        if version != self._model_version:
            self._metrics.model_info.clear()
            engine = engine_of(version)
            self._metrics.model_info.labels(model_version=version, engine=engine).set(1)
            _log.info("posts are scored by", model_version=version, engine=engine or "not told")
            self._model_version = version

    def _count_routes(self, scores: ScoreBatch) -> None:
        """Count how a model of two networks answered."""
        routes, metrics = scores.routes, self._metrics
        if routes is None:
            return
        metrics.cascade_read_posts.inc(routes.count(READ))
        metrics.cascade_sent_posts.inc(routes.count(SENT))
        metrics.cascade_audited_posts.inc(routes.count(AUDITED))
        for head in scores.heads:
            metrics.cascade_agreed_posts.labels(head).inc(routes.count(agreed_bit(head)))
        metrics.cascade_seconds.labels("student").inc(routes.student_s)
        metrics.cascade_seconds.labels("encoder").inc(routes.encoder_s)


def _without_wrong(scores: ScoreBatch) -> Scored:
    """Return the scores without the rows that the edge found wrong."""
    if not scores.wrong:
        return Scored(scores, {})
    unscored = {row: Unscored(reasons.INVALID_SCORE, said) for row, said in scores.wrong.items()}
    kept = [row for row in range(len(scores.rated)) if row not in unscored]
    if not kept:
        return Scored(None, unscored)
    heads = {name: values[kept] for name, values in scores.heads.items()}
    return Scored(ScoreBatch(scores.model_version, scores.rated[kept], heads), unscored)


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
