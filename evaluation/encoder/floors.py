"""Classifiers that know next to nothing, for the same table as the model.

Shapes: `N` posts, `C` classes.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines.linear import RECIPE

Probabilities = NDArray[np.float32]
KEPT: Final = Path(".groundswell/evaluation")
"""Where fitted floors are kept: a minute each, and the same whatever the model is."""


def shares_of(labels: Sequence[int], classes: int) -> NDArray[np.float64]:
    """Return the share of each class (C,) among labels."""
    return np.bincount(np.asarray(labels), minlength=classes) / len(labels)


def constant_floor(shares: NDArray[np.float64], posts: int) -> Probabilities:
    """Return the same probabilities for every post (N, C): those shares."""
    return np.tile(shares.astype(np.float32), (posts, 1))


def random_floor(shares: NDArray[np.float64], posts: int, seed: int) -> Probabilities:
    """Return a class at random for every post (N, C), as often as its share, with certainty."""
    drawn = np.random.default_rng(seed).choice(len(shares), posts, p=shares / shares.sum())
    return np.eye(len(shares), dtype=np.float32)[drawn]


def kept(
    name: str, texts: Sequence[str], make: Callable[[], Probabilities], folder: Path | None = KEPT
) -> Probabilities:
    """Return `make()`, or what it gave the last time for the same name, texts and recipe.

    Args:
        name: Of the floor, with all that distinguishes it.
        texts: Everything that it learns from and is asked about, in order.
        make: Fits it and asks it.
        folder: None keeps nothing.
    """
    if folder is None:
        return make()
    digest = hashlib.sha256("\x00".join((RECIPE, name, *texts)).encode("utf-8", "replace"))
    file = folder / f"{name}-{digest.hexdigest()[:16]}.npy"
    if file.is_file():
        return np.load(file)
    found = make()
    folder.mkdir(parents=True, exist_ok=True)
    np.save(file, found)
    return found
