"""The step `CompareShadow`: a second model scores a sample, and its disagreement is exported.

The scores that count are the first model's. The second runs beside the batch, and whatever happens
to it, late, failing, away or answering nonsense, changes no score, no window and no order. Posts
are sampled by their text, so a text is in the sample of every worker and every replay, or in none.

Shapes: `B` sampled posts, `C` classes of a head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from core.clock import Clock
from core.errors import GroundswellError, InvalidAnswer
from core.heads import INDEPENDENT
from core.logs import get_logger
from core.metrics import Metrics
from core.ports import ScoreBatch, Scorer
from stream.worker.batch import PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, TEXTS
from stream.worker.steps.score import SCORED

_log = get_logger(__name__)

MAX_BATCHES: Final = 2
"""With so many batches at the second model, the next is left out: it takes what is to spare."""

_SALT: Final = 0x5EED
_CLOSE_WITHIN_S: Final = 1.0


class ShadowComparison:
    """Asks a second model for scores, and compares it with the first. One for a whole worker."""

    def __init__(self, shadow: Scorer, share: float, clock: Clock, metrics: Metrics) -> None:
        """Begin with nothing compared.

        Args:
            shadow: The second model; closed with the comparison.
            share: The share of the posts that the second model scores, in [0, 1].
            clock: The clock of the latencies.
            metrics: The metrics of this process.
        """
        self._shadow = shadow
        self._limit = round(share * 2**32)
        self._clock = clock
        self._metrics = metrics
        self._comparisons: set[asyncio.Task[None]] = set()
        self._versions: tuple[str, str] | None = None

    def begin(self, texts: Sequence[str], langs: Sequence[str], scores: ScoreBatch) -> None:
        """Compare a sample of the texts in the background; it holds nobody up.

        Args:
            texts: (B,) the texts that the first model has scored.
            langs: (B,) a BCP-47 tag or "" for each.
            scores: The scores of the first model, row by row.
        """
        rows = [row for row, text in enumerate(texts) if _number(text) < self._limit]
        if rows:
            self._begin([texts[row] for row in rows], [langs[row] for row in rows], scores, rows)

    async def close(self) -> None:
        """Give comparisons a second to end, then close the second model."""
        if self._comparisons:
            await asyncio.wait(self._comparisons, timeout=_CLOSE_WITHIN_S)
        for comparison in self._comparisons:
            comparison.cancel()
        await asyncio.gather(*self._comparisons, return_exceptions=True)
        await self._shadow.close()

    async def settle(self) -> None:
        """Wait until every comparison begun so far has ended."""
        await asyncio.gather(*self._comparisons)

    def _begin(
        self, texts: list[str], langs: list[str], scores: ScoreBatch, rows: list[int]
    ) -> None:
        if len(self._comparisons) >= MAX_BATCHES:
            self._metrics.shadow_skipped_posts.labels(cause="busy").inc(len(texts))
            return
        # Rows are copied out: the batch itself must not live as long as a slow second model.
        sampled = ScoreBatch(
            scores.model_version,
            scores.rated[rows],
            {name: values[rows] for name, values in scores.heads.items()},
        )
        comparison = asyncio.create_task(self._compare(texts, langs, sampled))
        self._comparisons.add(comparison)
        comparison.add_done_callback(self._comparisons.discard)

    async def _compare(self, texts: list[str], langs: list[str], first: ScoreBatch) -> None:
        sent = self._clock.monotonic()
        try:
            second = await self._shadow.score_batch(texts, langs)
            elapsed_s = self._clock.monotonic() - sent
            self._note(first, second, elapsed_s)
        except Exception as error:  # of a second model nothing may reach the first
            cause = "invalid" if isinstance(error, InvalidAnswer) else "failed"
            self._metrics.shadow_skipped_posts.labels(cause=cause).inc(len(texts))
            if not isinstance(error, GroundswellError):
                _log.warning("the shadow model cannot be compared", error=type(error).__name__)

    def _note(self, first: ScoreBatch, second: ScoreBatch, elapsed_s: float) -> None:
        metrics = self._metrics
        versions = first.model_version, second.model_version
        if versions != self._versions:
            metrics.shadow_info.clear()
            metrics.shadow_info.labels(model_version=versions[0], shadow_version=versions[1]).set(1)
            self._versions = versions
        right = np.ones(len(first.rated), np.bool_)
        right[list(second.wrong)] = False
        metrics.shadow_skipped_posts.labels(cause="invalid").inc(len(second.wrong))
        metrics.shadow_posts.inc(int(right.sum()))
        metrics.shadow_latency_seconds.observe(elapsed_s)
        metrics.shadow_rating_disagreements.inc(int((first.rated != second.rated)[right].sum()))
        both = first.rated & second.rated  # a wrong row is not rated
        for head in first.heads.keys() & second.heads.keys():
            one, other = first.heads[head][both], second.heads[head][both]
            apart = distances(head, one, other)
            metrics.shadow_compared_posts.labels(head=head).inc(len(apart))
            metrics.shadow_distance.labels(head=head).inc(float(apart.sum()))
            metrics.shadow_label_disagreements.labels(head=head).inc(
                int(other_labels(head, one, other).sum())
            )


class CompareShadow(Step):
    """Begins comparisons with a second model, where there is one."""

    needs = (DECODED, TEXTS, SCORED)

    def __init__(self, comparison: ShadowComparison | None) -> None:
        self._comparison = comparison

    def run(self, batch: PostBatch) -> None:
        """Begin; the batch goes on at once."""
        scored = batch[SCORED]
        if self._comparison is None or scored.scores is None:
            return
        rows = [row for row in range(batch.size) if row not in scored.unscored]
        texts, found = batch[TEXTS], batch[DECODED]
        self._comparison.begin(
            [texts[row] for row in rows], [found[row].lang for row in rows], scored.scores
        )


def distances(
    head: str, one: NDArray[np.float32], other: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return how far apart two models are on each post, (B,) in [0, 1].

    The total variation distance between the two distributions; of a head whose classes do not
    exclude one another the mean of it over its classes, each a distribution of yes and no.
    """
    gaps: Any = np.abs(one.astype(np.float64) - other)
    found: Any = gaps.mean(axis=1) if head in INDEPENDENT else gaps.sum(axis=1) / 2
    return found


def other_labels(
    head: str, one: NDArray[np.float32], other: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return on which posts two models would say something else, (B,).

    The likeliest class differs; of a head whose classes do not exclude one another: any class is
    likely (at least one half) to one model only.
    """
    found: Any
    if head in INDEPENDENT:
        found = ((one >= 0.5) != (other >= 0.5)).any(axis=1)
    else:
        found = one.argmax(axis=1) != other.argmax(axis=1)
    return found


def _number(text: str) -> int:
    """Return 32 bits that depend on the text alone."""
    return crc32(text.encode("utf-8", "surrogatepass"), _SALT)
