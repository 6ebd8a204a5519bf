"""Windows of any mix, drawn from labelled posts, and how far each method is from their truth.

Shapes: `N` labelled posts, `C` classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.shares.estimators import Floats, Indices, Method

PRIORS: Final = tuple(np.round(np.arange(0.05, 0.951, 0.05), 2).tolist())
SIZES: Final = (50, 200, 1_000)
REPEATS: Final = 10
SEED: Final = 20173


@dataclass(frozen=True, slots=True)
class Labelled:
    """Scored posts whose class is known; `labels` are the model's own decisions."""

    probabilities: Floats
    labels: Indices
    truth: Indices

    def __len__(self) -> int:
        return len(self.truth)

    def select(self, rows: NDArray[np.integer]) -> "Labelled":
        """Return the posts of those row numbers."""
        return Labelled(self.probabilities[rows], self.labels[rows], self.truth[rows])


@dataclass(frozen=True, slots=True)
class Target:
    """What is swept from rare to frequent: a class, or several together."""

    name: str
    classes: tuple[int, ...]


def draw(
    truth: Indices, target: Target, prior: float, size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the rows of one window: `prior` of them of the target, each side in its natural mix.

    Drawn with replacement, so a rare class can fill a window.
    """
    inside = np.isin(truth, target.classes)
    hits = round(prior * size)
    chosen = rng.choice(np.flatnonzero(inside), hits)
    return np.concatenate([chosen, rng.choice(np.flatnonzero(~inside), size - hits)])


def windows_of(
    truth: Indices,
    target: Target,
    sizes: Sequence[int],
    repeats: int,
    seed: int,
    priors: Sequence[float] = PRIORS,
) -> Iterator[tuple[float, int, NDArray[np.int64]]]:
    """Return (prior, size, rows) of every window; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    for prior in priors:
        for size in sizes:
            for _ in range(repeats):
                yield prior, size, draw(truth, target, prior, size, rng)


@dataclass(frozen=True, slots=True)
class Errors:
    """Absolute error of the target's share, by window.

    Attributes:
        prior: (W,) of each window.
        size: (W,) posts.
        errors: Method -> its errors, (W,).
    """

    prior: Floats
    size: Indices
    errors: Mapping[str, Floats]

    def mean(self, method: str, prior: float | None = None, size: int | None = None) -> float:
        """Return the mean absolute error, of all windows or of those of a prior or size."""
        keep = np.ones(len(self.prior), np.bool_)
        if prior is not None:
            keep &= np.isclose(self.prior, prior)
        if size is not None:
            keep &= self.size == size
        return float(self.errors[method][keep].mean())


def join(parts: Sequence[Errors]) -> Errors:
    """Return all windows of several measurements of the same methods."""
    return Errors(
        np.concatenate([part.prior for part in parts]),
        np.concatenate([part.size for part in parts]),
        {name: np.concatenate([part.errors[name] for part in parts]) for name in parts[0].errors},
    )


def measure(
    posts: Labelled,
    target: Target,
    ways: Mapping[str, Method],
    sizes: Sequence[int] = SIZES,
    repeats: int = REPEATS,
    seed: int = SEED,
) -> Errors:
    """Ask every method for the target's share in every window; all see the same windows."""
    wanted = list(target.classes)
    priors: list[float] = []
    counts: list[int] = []
    errors: dict[str, list[float]] = {name: [] for name in ways}
    for prior, size, rows in windows_of(posts.truth, target, sizes, repeats, seed):
        window = posts.select(rows)
        actual = float(np.isin(window.truth, wanted).mean())
        priors.append(prior)
        counts.append(size)
        for name, way in ways.items():
            share = float(way(window.probabilities, window.labels)[wanted].sum())
            errors[name].append(abs(share - actual))
    return Errors(
        np.asarray(priors),
        np.asarray(counts),
        {name: np.asarray(values) for name, values in errors.items()},
    )
