"""What a model's answers are worth on posts of known outcome, against the author's rolling median.

For choosing what to train; `evaluation.forecasts` judges what is served.
"""

from typing import Final

import numpy as np

from models.engagement.features import Floats
from models.engagement.layout import LEVELS
from models.engagement.training.dataset import MED32, Examples

LEAST_POSTS: Final = 20
"""So many test posts an author needs to be counted among authors."""
_LEVELS: Final = np.asarray(LEVELS, np.float64)
_MIDDLE: Final = LEVELS.index(0.5)


def figures_of(test: Examples, quantiles: Floats, target: int = 0) -> dict[str, float]:
    """Return figures of a target's quantiles on posts that all have an outcome and a floor.

    Args:
        test: The posts.
        quantiles: (N, 3, 5) what a model answered.
        target: Which count.
    """
    outcomes = test.outcomes[:, target].astype(np.float64)
    answered = quantiles[:, target].astype(np.float64)
    error = np.abs(outcomes - answered[:, _MIDDLE])
    floor = np.abs(outcomes - test.seen.floors[:, target, MED32])
    authors = authors_better(test.posts.author, error, floor)
    misses = outcomes[:, None] - answered
    pinball = np.maximum(_LEVELS * misses, (_LEVELS - 1) * misses).mean()
    inside = (outcomes >= answered[:, 0]) & (outcomes <= answered[:, -1])
    return {
        "posts": len(outcomes),
        "error": round(float(error.mean()), 4),
        "floor": round(float(floor.mean()), 4),
        "skill": round(float(1 - error.mean() / floor.mean()), 4),
        "authors": len(authors),
        "authors_positive_share": round(float(np.mean(authors)), 4) if len(authors) else 0.0,
        "pinball": round(float(pinball), 4),
        "coverage_10_90": round(float(inside.mean()), 4),
    }


def authors_better(author: np.ndarray, error: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Return, of each author of enough posts, whether the model errs less than the floor."""
    posts = np.bincount(author)
    gained = np.bincount(author, floor - error)
    return (gained > 0)[posts >= LEAST_POSTS]
