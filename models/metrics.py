"""Figures of merit for classifiers, in numpy.

Shapes: `N` posts, `C` classes; `predicted` and `truth` (N,) are class indices, `probabilities`
(N, C); `scores` (N,) are probabilities of the positive class. Every function takes at least one
post.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

BINS: Final = 15
"""Bins of equal count, when nothing else is said."""


def confusion(predicted: Indices, truth: Indices, classes: int) -> NDArray[np.int64]:
    """Counts (C, C): rows are the truth, columns the prediction."""
    flat = np.bincount(truth.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def macro_recall(predicted: Indices, truth: Indices) -> float:
    """Recall averaged over the classes that occur in the truth (SemEval-2017's metric)."""
    present = np.unique(truth)
    return float(np.mean([np.mean(predicted[truth == c] == c) for c in present]))


def f1_scores(predicted: Indices, truth: Indices, classes: int) -> NDArray[np.float64]:
    """F1 of each class (C,); a class never predicted and never true counts 0."""
    table = confusion(predicted, truth, classes)
    hits = np.diag(table).astype(float)
    total = table.sum(0) + table.sum(1)
    return np.divide(2 * hits, total, out=np.zeros(classes), where=total > 0)


def macro_f1(predicted: Indices, truth: Indices, classes: int) -> float:
    """F1 averaged over all classes; a class never predicted and never true counts 0."""
    return float(np.mean(f1_scores(predicted, truth, classes)))


def weighted_f1(predicted: Indices, truth: Indices, classes: int) -> float:
    """F1 averaged with the classes' shares of the truth: rewards naming the frequent class."""
    shares = np.bincount(truth, minlength=classes) / len(truth)
    return float(shares @ f1_scores(predicted, truth, classes))


def ordinal_mae(predicted: Indices, truth: Indices) -> float:
    """Mean distance in levels between the predicted and the true level."""
    return float(np.mean(np.abs(predicted.astype(np.int64) - truth)))


def macro_ordinal_mae(predicted: Indices, truth: Indices) -> float:
    """`ordinal_mae` inside each true level that occurs, averaged over those levels.

    Naming the most frequent level everywhere is cheap under the plain mean and dear under this.
    """
    distance = np.abs(predicted.astype(np.int64) - truth)
    return float(np.mean([distance[truth == level].mean() for level in np.unique(truth)]))


def average_precision(scores: Floats, positive: Flags, prior: float | None = None) -> float:
    """Sum of precisions at each gain of recall, posts of equal score taken together.

    `prior` weighs the posts as if that share were positive. NaN when no post is positive.
    """
    share = float(positive.mean())
    if share == 0:
        return float("nan")
    weight = np.ones(len(positive))
    if prior is not None:
        weight = np.where(positive, prior / share, (1 - prior) / (1 - share))
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum((weight * positive)[order])[ends]
    recall = hits / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * hits / np.cumsum(weight[order])[ends]))


def roc_auc(scores: Floats, positive: Flags) -> float:
    """Chance that a positive post scores above a negative one, equal scores counting half.

    NaN when all posts are of one kind.
    """
    hits = int(positive.sum())
    misses = len(positive) - hits
    if hits == 0 or misses == 0:
        return float("nan")
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def brier(scores: Floats, positive: Flags) -> float:
    """Mean squared distance of a probability from what was true."""
    return float(np.mean((scores - positive) ** 2))


def multilabel_f1(chosen: Flags, truth: Flags) -> tuple[float, float]:
    """Micro and macro F1 of label sets (N, C); a label never chosen and never true counts 0."""
    hits = (chosen & truth).sum(0).astype(float)
    total = (chosen.sum(0) + truth.sum(0)).astype(float)
    each = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    return float(2 * hits.sum() / max(1.0, total.sum())), float(each.mean())


def accuracy(predicted: Indices, truth: Indices) -> float:
    """Share of posts whose class is right."""
    return float(np.mean(predicted == truth))


def bins_of(values: Floats, bins: int) -> NDArray[np.int64]:
    """Bin of each value, the bins filled equally; equal values share a bin."""
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def calibration_gap(claimed: Floats, held: Flags, bins: int = BINS) -> float:
    """Mean gap between a claimed probability and how often the claim held, over equal bins.

    Guo et al. 2017 (arXiv 1706.04599, equation 3) with bins of equal count rather than equal
    width: no bin is nearly empty, so the figure does not hang on a handful of posts. Posts of
    equal probability share a bin, so their order does not matter. It is never zero on finitely
    many posts: see `honest_gap`.
    """
    bin_of = bins_of(claimed, bins)
    sums = np.bincount(bin_of, claimed, bins)
    hits = np.bincount(bin_of, held.astype(float), bins)
    return float(np.abs(sums - hits).sum() / len(held))


def honest_gap(claimed: Floats, bins: int = BINS, draws: int = 200, seed: int = 1) -> float:
    """The `calibration_gap` to expect of these probabilities if every one of them were true."""
    rng = np.random.default_rng(seed)
    gaps = [
        calibration_gap(claimed, rng.random(len(claimed)) < claimed, bins) for _ in range(draws)
    ]
    return float(np.mean(gaps))


def expected_calibration_error(probabilities: Floats, truth: Indices, bins: int = BINS) -> float:
    """`calibration_gap` of the class on top: confidence (N,) against being right."""
    return calibration_gap(probabilities.max(1), probabilities.argmax(1) == truth, bins)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One point of a reliability plot."""

    claimed: float
    held: float
    posts: int


def reliability(claimed: Floats, held: Flags, bins: int = BINS) -> list[ReliabilityBin]:
    """Mean claimed probability and observed share in each bin that has posts, in order."""
    bin_of = bins_of(claimed, bins)
    return [
        ReliabilityBin(float(claimed[rows].mean()), float(held[rows].mean()), int(rows.sum()))
        for rows in (bin_of == number for number in range(bins))
        if rows.any()
    ]
