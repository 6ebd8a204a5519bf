"""The step `DropUnscored`: what could not be scored is dead; other scores become integers.

Of an edit that could not be scored, what its post added before stands.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.codec import encode
from stream.windows.increments import MicroScores, to_micro
from stream.worker.batch import Column, DeadRecord, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import DECODED, OFFSETS
from stream.worker.steps.score import SCORED

SCORES: Final = Column[MicroScores]("scores", per_row=False)
"""The scores of the rows that are left, in micro-units; without rows no model has made them."""


class DropUnscored(Step):
    """Drops the rows without scores."""

    needs = (SCORED, DECODED, OFFSETS)
    adds = (SCORES,)
    drops = True

    def run(self, batch: PostBatch) -> None:
        """Move what has no scores to the dead, and round the scores of the others."""
        scored, found = batch[SCORED], batch[DECODED]
        for row, (reason, detail) in scored.unscored.items():
            dead = DeadRecord(batch[OFFSETS][row], reason, detail, encode(found[row]))
            batch.dead.append(dead)
        if scored.unscored:
            batch.keep([row for row in range(batch.size) if row not in scored.unscored])
        if scored.scores is None:
            batch[SCORES] = MicroScores("", np.zeros(0, np.bool_), {}, [])
        else:
            batch[SCORES] = to_micro(scored.scores)
