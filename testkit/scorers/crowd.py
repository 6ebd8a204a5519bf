"""A crowd model that needs no weights: what it says follows the heads, and it can lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.ports import CrowdAnswer, CrowdQuestions
from core.settings import ScorerSettings
from models.scorers.crowd_edge import as_sent, checked_crowd
from models.scorers.edge import Asked

Shares = NDArray[np.float32]


class FakeCrowd:
    """Satisfies `core.ports.CrowdModel`: the usual shares times the post's own sentiment.

    Attributes:
        asked: What it was asked, in order.
        lie: Makes another answer of its forecast; the edge is to refuse it.
        failure: Raised in place of an answer.
    """

    def __init__(self) -> None:
        self.asked: list[CrowdQuestions] = []
        self.lie: Callable[[Shares], object] = lambda shares: shares
        self.failure: Exception | None = None

    async def expect(self, questions: CrowdQuestions) -> CrowdAnswer:
        """See `CrowdModel.expect`."""
        self.asked.append(as_sent(questions))
        if self.failure is not None:
            raise self.failure
        tilted = questions.usual * (0.1 + np.nan_to_num(questions.heads[:, :3]))
        shares = (tilted / tilted.sum(axis=1, keepdims=True)).astype(np.float32)
        asked = Asked("the fake crowd model", len(questions.texts), ())
        return checked_crowd(asked, "fake-crowd-1", self.lie(shares), shares)

    async def is_ready(self) -> bool:
        """Whether it answers."""
        return self.failure is None

    async def close(self) -> None:
        """Do nothing."""


def from_settings(_scorer: ScorerSettings) -> FakeCrowd:
    """The registry's entry."""
    return FakeCrowd()
