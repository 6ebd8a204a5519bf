"""The step `Score`: texts become scores, however long the scorer is away, inside a budget."""

from __future__ import annotations

from typing import Final

from stream.worker.batch import Column, PostBatch
from stream.worker.batching import PostBudget
from stream.worker.scoring import PatientScorer, Scored
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, TEXTS

SCORED: Final = Column[Scored]("scored", per_row=False)
"""The scores of the rows that could be scored, and why the others could not."""


class Score(Step):
    """Scores the texts of a batch."""

    needs = (DECODED, TEXTS)
    adds = (SCORED,)

    def __init__(self, scorer: PatientScorer, budget: PostBudget) -> None:
        self._scorer = scorer
        self._budget = budget

    async def run(self, batch: PostBatch) -> None:
        """Wait for a part of the budget, then for the scores."""
        if not batch.size:
            batch[SCORED] = Scored(None, {})
            return
        held = await self._budget.acquire(batch.size)
        try:
            langs = [one.lang for one in batch[DECODED]]
            batch[SCORED] = await self._scorer.score(batch[TEXTS], langs)
        finally:
            self._budget.release(held)
