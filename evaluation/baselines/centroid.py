"""Cosine to the mean embedding of each class: the papers' second baseline, without its leak.

There, scores were scaled and cut on the test set itself. Here the cut is the one with the best
macro F1 on training posts, each judged with centroids of other groups only.

Shapes: `N` posts, `D` embedding width, `C` classes.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.metrics import macro_f1
from models.popalm.encoders import unit

Vectors = NDArray[np.float32]
Indices = NDArray[np.integer[Any]]
SHARPNESS: Final = 20.0
"""Turns cosines into something like probabilities; ranks do not depend on it."""


def centroids(vectors: Vectors, labels: Indices, classes: int) -> Vectors:
    """Return the mean of the unit vectors of each class (C, D), of length one."""
    return unit(np.stack([vectors[labels == c].mean(0) for c in range(classes)]))


def class_scores(vectors: Vectors, means: Vectors) -> NDArray[np.float64]:
    """Return the softmax of the sharpened cosines (N, C)."""
    scores = SHARPNESS * (vectors @ means.T).astype(np.float64)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def held_out_scores(
    vectors: Vectors, labels: Indices, classes: int, folds: Sequence[int]
) -> NDArray[np.float64]:
    """Return the scores (N, C) of labelled posts, each with the centroids of the other folds."""
    fold_of = np.asarray(folds)
    found = np.empty((len(labels), classes))
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        means = centroids(vectors[~inside], labels[~inside], classes)
        found[inside] = class_scores(vectors[inside], means)
    return found


def best_cut(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> float:
    """Return the cut on `scores` with the best macro F1 on these posts."""
    tried = np.quantile(scores, np.linspace(0.02, 0.98, 97))
    truth = positive.astype(np.int64)
    figures = [macro_f1((scores >= cut).astype(np.int64), truth, 2) for cut in tried]
    return float(tried[int(np.argmax(figures))])
