"""Fit corrections on held-out posts. Never on a test.

Shapes: `N` posts, `C` classes, `B` blocks of classes.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.quantification import Correction
from evaluation.shares.estimators import Floats, Indices, methods
from evaluation.shares.windows import Labelled, Target, measure

LEAST_POSTS: Final = 20
"""Held-out posts that a class needs for a column of its own: a mean over 20 is good to 0.06."""
LEAST_HELD_OUT: Final = 100
"""Held-out posts without which a head ships no correction: where classes overlap, the error of a
column is multiplied by five and more."""
PRIOR_POSTS: Final = 10
"""As many posts a class are the held-out ones worth beside those from the place of use."""
RIDGES: Final = (0.0, 1.0, 3.0, 10.0, 30.0)
"""Tried on held-out posts; see `core.quantification.Correction.ridge`."""
_SPLITS: Final = 2
_REPEATS: Final = 2
_SIZES: Final = (50, 200)


def blocks_of(truth: Indices, classes: int, least: int = LEAST_POSTS) -> tuple[int, ...]:
    """Return the block of each class: its own if it has enough posts, else one for all such.

    That one takes in the least of the others until it has enough posts itself. The first class
    never shares: for ordered levels it is the absence of the others.
    """
    counts = np.bincount(truth, minlength=classes)
    own = [c for c in range(1, classes) if counts[c] >= least]
    shared = [c for c in range(1, classes) if counts[c] < least]
    while own and shared and counts[shared].sum() < least:
        shared.append(own.pop(min(range(len(own)), key=lambda place: counts[own[place]])))
    block = {c: position for position, c in enumerate([0, *own])}
    return tuple(block.get(c, len(block)) for c in range(classes))


def confusion_matrix(
    answered: Floats, truth: Indices, blocks: Sequence[int]
) -> NDArray[np.float64]:
    """Return the mean answer (N, C) over the posts of each true class, both by block: (B, B).

    Raises:
        ValueError: A block has no post.
    """
    block_of = np.asarray(blocks)
    size = int(block_of.max()) + 1
    into = np.eye(size)[block_of]  # (C, B)
    summed, own = answered.astype(np.float64) @ into, block_of[truth]
    if len(np.unique(own)) < size:
        raise ValueError("a block of classes has no held-out post")
    return np.stack([summed[own == block].mean(0) for block in range(size)], axis=1)


def fit_correction(
    answered: Floats,
    truth: Indices,
    labels: Sequence[str],
    blocks: Sequence[int],
    ridge: float = 0.0,
    fitted_on: str = "",
) -> Correction:
    """Return a correction from held-out probabilities, or from one-hot labels, (N, C)."""
    matrix = confusion_matrix(answered, truth, blocks)
    matrix /= matrix.sum(0, keepdims=True)
    return Correction(
        labels=tuple(labels),
        blocks=tuple(blocks),
        matrix=tuple(tuple(round(float(value), 6) for value in row) for row in matrix),
        ridge=ridge,
        posts=len(truth),
        block_posts=tuple(np.bincount(np.asarray(blocks)[truth]).tolist()),
        fitted_on=fitted_on,
    )


def refit_on_site(shipped: Correction, local: Labelled) -> Correction:
    """Return the shipped correction, moved towards labelled posts from the place of use.

    Posts of a class look different elsewhere, and no amount of held-out posts tells how. Each
    column is the mean over the local posts of its block and `PRIOR_POSTS` worth of the shipped one;
    the ridge is chosen on the local posts.
    """
    block_of = np.asarray(shipped.blocks)
    size = len(shipped.matrix)
    own = block_of[local.truth]
    answered = local.probabilities.astype(np.float64) @ np.eye(size)[block_of]
    matrix = np.asarray(shipped.matrix) * PRIOR_POSTS
    for block in range(size):
        matrix[:, block] += answered[own == block].sum(0)
    matrix /= matrix.sum(0, keepdims=True)
    return msgspec.structs.replace(
        shipped,
        ridge=choose_ridge(local, shipped.labels, shipped.blocks),
        matrix=tuple(tuple(round(float(value), 6) for value in row) for row in matrix),
        posts=shipped.posts + len(local),
        block_posts=tuple((PRIOR_POSTS + np.bincount(own, minlength=size)).tolist()),
        fitted_on=f"{shipped.fitted_on}, and {len(local)} posts from the place of use",
    )


def one_hot(labels: Indices, classes: int) -> Floats:
    """Return the labels (N,) as probabilities (N, C)."""
    return np.eye(classes)[labels]


def choose_ridge(posts: Labelled, labels: Sequence[str], blocks: Sequence[int]) -> float:
    """Return the ridge of the least error on held-out posts that the matrix was not fitted on.

    Over the shares of every block, in windows of every mix; each part of the posts is judged with
    the matrix of the other parts.
    """
    size = max(blocks) + 1
    targets = [
        Target(str(block), tuple(c for c, own in enumerate(blocks) if own == block))
        for block in range(size)
    ]
    errors = dict.fromkeys(RIDGES, 0.0)
    order = np.random.default_rng(1).permutation(len(posts))
    for split in range(_SPLITS):
        inside = order[split::_SPLITS]
        outside = np.setdiff1d(order, inside)
        own = np.asarray(blocks)[posts.truth]
        if len(np.unique(own[inside])) < size or len(np.unique(own[outside])) < size:
            continue
        known = posts.select(outside)
        fitted = fit_correction(known.probabilities, known.truth, labels, blocks)
        for target in targets:
            ways = {
                str(ridge): methods(msgspec.structs.replace(fitted, ridge=ridge), fitted)["pacc"]
                for ridge in RIDGES
            }
            found = measure(posts.select(inside), target, ways, _SIZES, _REPEATS)
            for ridge in RIDGES:
                errors[ridge] += found.mean(str(ridge))
    return min(RIDGES, key=lambda ridge: errors[ridge])
