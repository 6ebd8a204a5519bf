"""Ways from the posts of a window to the share of each class.

Shapes: `N` posts of a window, `C` classes, `B` blocks of classes (usually the same).
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.quantification import Correction, adjusted_shares

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]
Shares = NDArray[np.float64]
EM_STEPS: Final = 100
EM_TOLERANCE: Final = 1e-6


def classify_and_count(labels: Indices, classes: int) -> Shares:
    """Return the share (C,) of posts given each label (N,): the obvious way."""
    return np.bincount(labels, minlength=classes) / len(labels)


def probabilistic_count(probabilities: Floats) -> Shares:
    """Return the mean probability (C,) of (N, C): what a window's expected counts say."""
    return probabilities.mean(0, dtype=np.float64)


def adjusted_count(labels: Indices, confusion: Correction) -> Shares:
    """Return counted labels, corrected for how classes are mistaken (Forman 2008)."""
    counts = np.bincount(labels, minlength=len(confusion.labels))
    return np.asarray(adjusted_shares(counts.tolist(), len(labels), confusion))


def probabilistic_adjusted_count(probabilities: Floats, correction: Correction) -> Shares:
    """Return expected counts, corrected as a reader of windows corrects them."""
    counts = probabilities.sum(0, dtype=np.float64)
    return np.asarray(adjusted_shares(counts.tolist(), len(probabilities), correction))


def expectation_maximisation(probabilities: Floats, prior: Floats) -> Shares:
    """Return shares (C,) at which the probabilities agree with themselves: Saerens et al. 2002.

    Needs every single post, so a window's sums are not enough; here for comparison.

    Args:
        probabilities: (N, C), right where classes are as frequent as in `prior`.
        prior: (C,) those frequencies.
    """
    shares = np.asarray(prior, np.float64)
    ratio = probabilities / np.maximum(prior, 1e-12)
    for _ in range(EM_STEPS):
        weighted = ratio * shares
        updated = (weighted / np.maximum(weighted.sum(1, keepdims=True), 1e-300)).mean(0)
        moved = float(np.abs(updated - shares).max())
        shares = updated
        if moved < EM_TOLERANCE:
            break
    return shares / shares.sum()


def implied_prior(correction: Correction) -> Shares:
    """Return the class shares (C,) at which plain expected counts are right: M p = p.

    Inside a block all classes get an equal part; what is asked of it is the blocks' shares.
    """
    matrix = np.asarray(correction.matrix)
    size = len(matrix)
    system = np.vstack([matrix - np.eye(size), np.ones(size)])
    found = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0]
    found = np.maximum(found, 1e-6)
    blocks = np.asarray(correction.blocks)
    members = np.bincount(blocks)
    return (found / found.sum() / members)[blocks]


Method = Callable[[Floats, Indices], Shares]
"""Probabilities (N, C) and labels (N,) of a window to shares (C,)."""


def methods(soft: Correction, hard: Correction) -> dict[str, Method]:
    """Return every way by its short name; `soft` is fitted to probabilities, `hard` to labels."""
    classes = len(soft.labels)
    prior = implied_prior(soft)
    return {
        "cc": lambda p, y: classify_and_count(y, classes),
        "pcc": lambda p, y: probabilistic_count(p),
        "acc": lambda p, y: adjusted_count(y, hard),
        "pacc": lambda p, y: probabilistic_adjusted_count(p, soft),
        "em": lambda p, y: expectation_maximisation(p, prior),
    }


TITLES: Final = {
    "cc": "counting labels",
    "pcc": "expected counts",
    "acc": "labels, corrected",
    "pacc": "expected counts, corrected",
    "em": "EM over single posts",
    "local": "expected counts, corrected with labelled posts from the place of use",
}
