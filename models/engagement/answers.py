"""What a model answered for a batch: checked, and put beside what the floors predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidAnswer
from core.ports import EngagementAnswer
from models.engagement.experts import experts_of
from models.engagement.features import AsOf
from models.engagement.layout import LEVELS, TARGETS, to_log16

_LEAST_WIDTH = 0.05
"""In logs: a model that is surer than that of a count is wrong."""
MAX_LOG: Final = 50.0
"""No count has a greater log."""
_MIDDLE = LEVELS.index(0.5)


@dataclass(frozen=True, slots=True)
class AnsweredBatch:
    """The posts of a batch with all that is predicted of them.

    Attributes:
        model_version: The model that answered.
        kept: (B, 3, 6) floors and model of each target, as kept logs.
        experts: (B, 3, 7) the experts, as logs.
        widths: (B, 3, 2) as kept logs: from the quantile .1 to the median, from it to .9.
        inner: (B, 3, 2) logs: the same of .25 and .75.
        known: (B, 3) whether the author has a known outcome of the target.
    """

    model_version: str
    kept: NDArray[np.uint16]
    experts: NDArray[np.float64]
    widths: NDArray[np.uint16]
    inner: NDArray[np.float64]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, as_of: AsOf, answer: EngagementAnswer) -> AnsweredBatch:
        """Return a batch with its answer.

        Raises:
            InvalidAnswer: The answer cannot be one for these posts.
        """
        quantiles = checked(answer, len(as_of.features))
        middle = quantiles[:, :, _MIDDLE]
        kept = to_log16(np.concatenate([as_of.floors, middle[:, :, None]], axis=2))
        below, above = middle[:, :, None] - quantiles, quantiles - middle[:, :, None]
        widths = np.stack([below[:, :, 0], above[:, :, -1]], axis=2)
        return cls(
            answer.model_version,
            kept,
            experts_of(kept),
            to_log16(np.maximum(widths, _LEAST_WIDTH)),
            np.stack([below[:, :, 1], above[:, :, -2]], axis=2),
            as_of.known,
        )


def checked(answer: EngagementAnswer, posts: int) -> NDArray[np.float64]:
    """Return the quantiles of an answer for so many posts, in double precision.

    Raises:
        InvalidAnswer: They cannot be; the message says what is wrong with which.
    """
    quantiles = np.asarray(answer.quantiles)
    expected = shape_for(posts)
    if quantiles.shape != expected or quantiles.dtype.kind != "f":
        raise InvalidAnswer(
            f"{answer.model_version} answered {quantiles.dtype} of shape {quantiles.shape}, "
            f"expected real numbers of shape {expected}"
        )
    if wrong := fault_of(quantiles):
        raise InvalidAnswer(f"{answer.model_version} answered {wrong}")
    return quantiles.astype(np.float64)


def shape_for(posts: int) -> tuple[int, int, int]:
    """Return the shape of the quantiles of so many posts."""
    return posts, len(TARGETS), len(LEVELS)


def fault_of(quantiles: NDArray[Any]) -> str:
    """Return what is wrong with (B, 3, 5) quantiles, and where; "" for nothing."""
    falls = np.zeros(quantiles.shape, np.bool_)
    falls[:, :, 1:] = quantiles[:, :, 1:] < quantiles[:, :, :-1]
    wrong = {
        "not finite": ~np.isfinite(quantiles),
        "below zero": quantiles < 0,
        "beyond any count": quantiles > MAX_LOG,
        "below the quantile before it": falls,
    }
    for what, where in wrong.items():
        if where.any():
            row, target, level = np.argwhere(where)[0].tolist()
            return (
                f"{quantiles[row, target, level]} for the quantile {LEVELS[level]} of "
                f"{TARGETS[target]} of post {row}, which is {what}"
            )
    return ""
