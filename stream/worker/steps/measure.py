"""The step `Measure`: what each row adds to the counters of a pane, and in which stratum."""

from __future__ import annotations

from typing import Final

from stream.windows.increments import Ints, counter_matrix
from stream.windows.strata import LanguageFold, stratum
from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, NEAR_DUPLICATES
from stream.worker.steps.drop_unscored import SCORES

STRATA: Final = Column[list[str]]("strata")
"""The stratum: source, language and topic."""
COUNTERS: Final = Column[Ints]("counters")
"""(B, W) integers, by position as in `stream.windows.layout.COUNTERS`."""


class Measure(Step):
    """Turns scores into counters."""

    needs = (DECODED, SCORES)
    wants = (NEAR_DUPLICATES,)
    adds = (STRATA, COUNTERS)

    def __init__(self, fold: LanguageFold) -> None:
        self._fold = fold

    def run(self, batch: PostBatch) -> None:
        """Add strata and counters."""
        scores = batch[SCORES]
        batch[STRATA] = [
            stratum(one.source, self._fold(one.lang), topic)
            for one, topic in zip(batch[DECODED], scores.topics, strict=True)
        ]
        batch[COUNTERS] = counter_matrix(scores, batch.get(NEAR_DUPLICATES) or ())
