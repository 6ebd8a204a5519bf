"""Figures of merit for classifiers, in numpy.

Shapes: `N` posts, `C` classes; `predicted` and `truth` (N,) are class indices, `probabilities`
(N, C). Every function takes at least one post.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer[Any]]


def confusion(predicted: Indices, truth: Indices, classes: int) -> NDArray[np.int64]:
    """Counts (C, C): rows are the truth, columns the prediction."""
    flat = np.bincount(truth.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def macro_recall(predicted: Indices, truth: Indices) -> float:
    """Recall averaged over the classes that occur in the truth (SemEval-2017's metric)."""
    present = np.unique(truth)
    return float(np.mean([np.mean(predicted[truth == c] == c) for c in present]))


def macro_f1(predicted: Indices, truth: Indices, classes: int) -> float:
    """F1 averaged over all classes; a class never predicted and never true counts 0."""
    table = confusion(predicted, truth, classes)
    hits = np.diag(table).astype(float)
    total = table.sum(0) + table.sum(1)
    return float(np.mean(np.divide(2 * hits, total, out=np.zeros(classes), where=total > 0)))


def accuracy(predicted: Indices, truth: Indices) -> float:
    """Share of posts whose class is right."""
    return float(np.mean(predicted == truth))


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]], truth: Indices, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over equally filled bins of confidence.

    Guo et al. 2017 (arXiv 1706.04599, equation 3) with bins of equal count rather than equal
    width: no bin is nearly empty, so the figure does not hang on a handful of posts. Posts of
    equal confidence share a bin, so their order does not matter.
    """
    confidence = probabilities.max(1)
    right = (probabilities.argmax(1) == truth).astype(float)
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    bin_of = np.searchsorted(edges, confidence, side="left")
    confidences = np.bincount(bin_of, confidence, bins)
    hits = np.bincount(bin_of, right, bins)
    return float(np.abs(confidences - hits).sum() / len(truth))
