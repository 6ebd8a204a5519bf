"""How good forecasts were, post by post: errors, orders, intervals, quantiles and zeros.

Shapes: `N` judged posts; logs are log1p of counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluation.forecasts.floors import FLOOR
from models.engagement.layout import LEVELS

Floats = NDArray[np.float64]

SERVED: Final = "served"
MODEL: Final = "model"
TREES: Final = "trees"
TITLES: Final = {TREES: "boosted trees", MODEL: "model alone", SERVED: "hedge (served)"}
LEAST_POSTS: Final = 20
"""An author with fewer judged posts counts for no figure that is of authors."""
_ONE: Final = np.log1p(0.5)
"""Between no like and one, as a log."""
_SIDE: Final = LEVELS[0]
_FALL: Final = 0.445
_LEAST_HALF: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Judged:
    """The posts of a set that are judged, and what was said of them.

    Attributes:
        authors: (N,) a number for the author of each.
        at_s: (N,) their times, in seconds since 1970.
        logs: (N,) what came of them.
        points: Predictor -> (N,) what it predicted, as a log.
        quantiles: Predictor -> (N, 5) what it gave as `LEVELS`.
        some: Predictor -> (N,) how likely at least one is.

    Where the author had no known outcome, what is said of them by floors is NaN.
    """

    authors: NDArray[np.integer[Any]]
    at_s: Floats
    logs: Floats
    points: Mapping[str, Floats]
    quantiles: Mapping[str, Floats]
    some: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.logs)

    def errors(self, name: str) -> Floats:
        """Return (N,) how far a predictor was off, in logs."""
        return np.abs(self.logs - self.points[name])

    def of_known_authors(self) -> Judged:
        """Return the posts whose author had a known outcome, those that skill is of."""
        return self.select(~np.isnan(self.points[FLOOR]))

    def select(self, rows: NDArray[Any]) -> Judged:
        """Return some of the posts, by their numbers or a mask."""
        return Judged(
            self.authors[rows],
            self.at_s[rows],
            self.logs[rows],
            {name: values[rows] for name, values in self.points.items()},
            {name: values[rows] for name, values in self.quantiles.items()},
            {name: values[rows] for name, values in self.some.items()},
        )


def skill(errors: Floats, of_floor: Floats) -> float:
    """Return how much smaller the mean error is than that of a floor, as a share of it.

    Zero where neither errs: nothing was gained, and nothing lost.
    """
    floor = float(of_floor.sum())
    own = float(errors.sum())
    if floor > 0:
        return 1 - own / floor
    return 0.0 if own == 0 else -np.inf


def covered(logs: Floats, quantiles: Floats) -> Floats:
    """Return (N,) which share of an outcome is from the 10 % to the 90 % quantile, in [0, 1].

    A count n is spread over [n - 1/2, n + 1/2] by the forecast's own distribution (the randomised
    probability integral transform for counts, its mean instead of a draw): where most posts get
    nothing, "0 <= 0 <= 3" would say of any forecast that it is too wide. That distribution has
    its mass even between the quantiles and falls as a normal does beyond them.
    """
    counts = np.rint(np.expm1(logs))
    with np.errstate(divide="ignore"):
        low = np.where(counts > 0, np.log(counts + 0.5), -np.inf)
    above, below = _survival(low, quantiles), _survival(np.log(counts + 1.5), quantiles)
    width = above - below
    inside = np.clip(above, _SIDE, 1 - _SIDE) - np.clip(below, _SIDE, 1 - _SIDE)
    return np.where(width > 0, inside / np.where(width > 0, width, 1), 0.0)


def _survival(x: Floats, quantiles: Floats) -> Floats:
    """Return (N,) the probability of more than x."""
    first, middle, last = (quantiles[:, column] for column in (0, LEVELS.index(0.5), -1))
    half = np.where(x >= middle, last - middle, middle - first)
    away = np.abs(x - middle) / np.maximum(half, _LEAST_HALF)
    beyond = np.where(away <= 1, 0.5 - (0.5 - _SIDE) * away, _SIDE * np.exp((1 - away) / _FALL))
    return np.where(x >= middle, beyond, 1 - beyond)


def is_inside(logs: Floats, quantiles: Floats) -> NDArray[np.bool_]:
    """Return (N,) whether an outcome is from the 10 % to the 90 % quantile, both included."""
    return (logs >= quantiles[:, 0]) & (logs <= quantiles[:, -1])


def pinball(logs: Floats, quantiles: Floats) -> Floats:
    """Return (N,) the mean quantile loss over `LEVELS`."""
    over = logs[:, None] - quantiles
    return np.maximum(np.array(LEVELS) * over, (np.array(LEVELS) - 1) * over).mean(axis=1)


def at_least_one(quantiles: Floats) -> Floats:
    """Return (N,) how likely at least one is, between the quantiles by a straight line.

    Beyond the first and last quantile half of what is there is taken.
    """
    steps = np.array([LEVELS[0] / 2, *LEVELS, (1 + LEVELS[-1]) / 2])
    below = (quantiles < _ONE).sum(axis=1)
    rows = np.arange(len(quantiles))
    low = np.clip(below - 1, 0, len(LEVELS) - 2)
    first, second = quantiles[rows, low], quantiles[rows, low + 1]
    width = np.where(second > first, second - first, 1.0)
    within = steps[low + 1] + (_ONE - first) / width * (steps[low + 2] - steps[low + 1])
    is_between = (below > 0) & (below < len(LEVELS))
    return 1 - np.where(is_between, within, np.where(below == 0, steps[0], steps[-1]))


def brier(logs: Floats, some: Floats) -> Floats:
    """Return (N,) squared errors of a probability of at least one."""
    return ((logs > 0) - some) ** 2


def ranks(values: Floats) -> Floats:
    """Return (N,) ranks from 0, equal values at the mean of their places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def spearman(one: Floats, other: Floats) -> float:
    """Return the rank correlation; NaN where one of them does not vary."""
    first, second = ranks(one), ranks(other)
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / scale) if scale > 0 else np.nan


def regular_authors(judged: Judged) -> list[NDArray[np.intp]]:
    """Return the rows of each author with `LEAST_POSTS` judged posts or more."""
    if not len(judged):
        return []
    order = np.argsort(judged.authors, kind="stable")
    _, starts = np.unique(judged.authors[order], return_index=True)
    return [rows for rows in np.split(order, starts[1:]) if len(rows) >= LEAST_POSTS]


def author_skills(judged: Judged, name: str = SERVED, floor: str = FLOOR) -> Floats:
    """Return the skill over a floor for each regular author."""
    own, base = judged.errors(name), judged.errors(floor)
    return np.array([skill(own[rows], base[rows]) for rows in regular_authors(judged)])


def author_orders(judged: Judged, name: str = SERVED) -> Floats:
    """Return the rank correlation with what came for each regular author in whom both vary."""
    points = judged.points[name]
    found = [spearman(points[rows], judged.logs[rows]) for rows in regular_authors(judged)]
    return np.array([value for value in found if not np.isnan(value)])
