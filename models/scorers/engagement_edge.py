"""The edge of every engagement model: what it answers becomes an `EngagementAnswer`, or is refused.

Each answer passes `checked_answer` exactly once. An answer of which one number is wrong is refused
whole: forecasts are made again, and a model that answers nonsense of one post is not to be believed
about the next.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidAnswer
from core.ports import EngagementAnswer
from models.engagement.answers import fault_of, shape_for
from models.engagement.layout import LEVELS
from models.scorers.edge import Asked, kind_of, shown, version_of


def checked_answer(asked: Asked, versions: object, quantiles: object) -> EngagementAnswer:
    """Return an answer that can be believed to be one.

    Args:
        asked: What was asked; it has no heads.
        versions: The model version, or one for each post, (B,) or (B, 1), as UTF-8.
        quantiles: (B, 3, 5) float32.

    Raises:
        InvalidAnswer: Rows, shape, type or version are not those asked for, or a number is not
            finite, below zero, beyond any count, or below the quantile before it.
    """
    if not isinstance(quantiles, np.ndarray) or quantiles.dtype != np.float32:
        raise asked.invalid("QUANTILES of type", kind_of(quantiles), "float32")
    expected = shape_for(asked.posts)
    if quantiles.shape != expected:
        raise asked.invalid("QUANTILES of shape", quantiles.shape, expected)
    if wrong := fault_of(quantiles):
        raise asked.invalid("QUANTILES:", wrong, "logs of counts in order of their level")
    version = version_of(asked, versions)
    return EngagementAnswer(version, np.ascontiguousarray(quantiles) + np.float32(0))


def joined_answers(who: str, parts: list[EngagementAnswer]) -> EngagementAnswer:
    """Return checked answers to the parts of one batch as one, in order; at least one is needed.

    Raises:
        InvalidAnswer: The parts are of different versions.
    """
    found = sorted({part.model_version for part in parts})
    if len(found) > 1:
        raise InvalidAnswer(f"{who}: the model changed within a batch: {shown(found)}")
    return EngagementAnswer(found[0], np.concatenate([part.quantiles for part in parts]))


@dataclass(frozen=True, slots=True)
class AnswerDistance:
    """How far a second model is from the first, over the posts of a batch.

    Attributes:
        posts: How many were compared.
        medians: (3,) the sum over the posts of the distance of the medians of each target, in logs.
        widths: (3,) the sum over the posts of how much wider the second's 10-90 % interval is.
    """

    posts: int
    medians: NDArray[np.float64]
    widths: NDArray[np.float64]


def distance_of(first: EngagementAnswer, second: EngagementAnswer) -> AnswerDistance:
    """Compare two models' answers of the same posts, for metrics.

    Raises:
        InvalidAnswer: They are of another number of posts.
    """
    one, other = (answer.quantiles.astype(np.float64) for answer in (first, second))
    if one.shape != other.shape:
        raise InvalidAnswer(
            f"{shown(second.model_version)} answered {len(other)} posts, expected {len(one)}"
        )
    middle = LEVELS.index(0.5)
    medians: Any = np.abs(other[:, :, middle] - one[:, :, middle]).sum(axis=0)
    widths: Any = (np.ptp(other, axis=2) - np.ptp(one, axis=2)).sum(axis=0)
    return AnswerDistance(len(one), medians, widths)
