"""From probabilities to a decision, where the class on top is not the answer.

Shapes: `N` posts, `C` classes.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.floating[Any]]
EVEN: Final = 0.5


def participating(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the probability (N,) of any level above the first."""
    return 1.0 - probabilities[:, 0].astype(np.float64)


def layered(probabilities: Probabilities, cut: float = EVEN) -> NDArray[np.int64]:
    """Return the level (N,): the first where participation is below `cut`, else the likeliest."""
    above = probabilities[:, 1:].argmax(1) + 1
    return np.where(participating(probabilities) >= cut, above, 0).astype(np.int64)


def with_prior(
    probabilities: Probabilities, fitted: Sequence[float], used: Sequence[float]
) -> NDArray[np.float32]:
    """Return probabilities (N, C) for other shares than the `fitted` ones: Saerens et al. 2002.

    p'(c) is proportional to p(c) used(c) / fitted(c), which is right as long as only the shares
    differ and not what the posts of a class look like.
    """
    ratio = np.asarray(used, np.float64) / np.maximum(np.asarray(fitted, np.float64), 1e-12)
    weighted = probabilities * ratio
    return (weighted / weighted.sum(1, keepdims=True)).astype(np.float32)


def unread_as(
    probabilities: Probabilities, label: int | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the probabilities with the rows that the model did not read put wholly on a class.

    Such rows are all zero. None leaves them so: no class of many. Also which rows those were.
    """
    found = probabilities.astype(np.float32, copy=True)
    unread = found.sum(axis=1) == 0
    if label is not None:
        found[unread] = np.eye(found.shape[1], dtype=np.float32)[label]
    return found, unread
