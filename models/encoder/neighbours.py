"""Classes of the most similar labelled posts: what an embedding gives without any training.

Shapes: `N` posts, `M` labelled posts, `D` embedding width, `C` classes.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS: Final = (3, 5, 10, 20)
"""Tried on the labelled posts themselves, each without itself."""
_SHARPNESS: Final = 10.0


def neighbour_scores(
    asked: NDArray[np.float32],
    known: NDArray[np.float32],
    tags: NDArray[np.bool_],
    k: int,
    is_same: bool = False,
) -> NDArray[np.float32]:
    """Share of each class (N, C) among the `k` nearest, weighted by exp(10 cosine).

    Args:
        asked: Unit embeddings (N, D).
        known: Unit embeddings (M, D) of the labelled posts.
        tags: Their classes (M, C).
        k: How many neighbours.
        is_same: `asked` are the labelled posts themselves; none is its own neighbour.
    """
    cosine = asked @ known.T
    if is_same:
        np.fill_diagonal(cosine, -np.inf)
    nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    weight = np.exp(_SHARPNESS * np.take_along_axis(cosine, nearest, axis=1))
    weight /= weight.sum(1, keepdims=True)
    return np.einsum("nk,nkc->nc", weight, tags[nearest].astype(np.float64)).astype(np.float32)


def choose_neighbours(
    known: NDArray[np.float32], tags: NDArray[np.bool_], tried: Sequence[int] = NEIGHBOURS
) -> int:
    """The k with the least squared error on the labelled posts, each left out in turn."""
    errors = {
        k: float(np.mean((neighbour_scores(known, known, tags, k, is_same=True) - tags) ** 2))
        for k in tried
        if k < len(known)
    }
    return min(errors, key=lambda k: errors[k])
