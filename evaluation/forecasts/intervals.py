"""Intervals of means, ratios and shares: whole authors drawn again, or whole days where few are.

Posts of one author, or of one day, are not independent, so that drawing single posts would claim
too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measured
from evaluation.forecasts.floors import FLOOR
from evaluation.forecasts.judging import (
    MODEL,
    SERVED,
    Judged,
    author_orders,
    author_skills,
    brier,
    covered,
    is_inside,
    pinball,
)

Floats = NDArray[np.float64]

LEAST_AUTHORS: Final = 20
"""With fewer authors days are drawn."""
LEAST_ZEROS: Final = 0.05
"""Whether a post gets anything is judged where at least so many get nothing."""
_DAY_S: Final = 86_400
_ORDER_RESAMPLES: Final = 200
"""Ranks are taken anew in every draw of days, which takes long."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """What is drawn again: authors, or days.

    Attributes:
        of: (N,) the number of the cluster of each post.
        count: How many there are.
        are_authors: Whether they are authors.
    """

    of: NDArray[np.intp]
    count: int
    are_authors: bool

    def sums(self, values: Floats) -> Floats:
        """Return the sum of (N,) values in each cluster."""
        return np.bincount(self.of, values, minlength=self.count).astype(np.float64)

    def draws(self, resamples: int) -> NDArray[np.int64]:
        """Return (resamples, count) how often each is drawn."""
        rng = np.random.default_rng(SEED)
        return rng.multinomial(self.count, np.full(self.count, 1 / self.count), size=resamples)


def clusters_of(judged: Judged) -> Clusters:
    """Return authors as clusters, or days where there are under `LEAST_AUTHORS` of them."""
    authors, of = np.unique(judged.authors, return_inverse=True)
    if len(authors) >= LEAST_AUTHORS:
        return Clusters(of, len(authors), are_authors=True)
    days, of = np.unique(judged.at_s // _DAY_S, return_inverse=True)
    return Clusters(of, len(days), are_authors=False)


def ratio_of_sums(
    over: Floats, under: Floats, clusters: Clusters, resamples: int = RESAMPLES
) -> Measured:
    """Return the ratio of two sums over posts, with its interval."""
    draws = clusters.draws(resamples)
    above, below = clusters.sums(over), clusters.sums(under)
    if below.sum() <= 0:
        return Measured(np.nan, np.nan, np.nan)
    under_draws = draws @ below
    drawn = (draws @ above)[under_draws > 0] / under_draws[under_draws > 0]
    return _measured(float(above.sum() / below.sum()), drawn)


def mean_of(values: Floats, clusters: Clusters, resamples: int = RESAMPLES) -> Measured:
    """Return the mean over posts, with its interval."""
    return ratio_of_sums(values, np.ones(len(values)), clusters, resamples)


def skill_of(judged: Judged, name: str, floor: str, clusters: Clusters, resamples: int) -> Measured:
    """Return the skill of a predictor over a floor, with its interval."""
    found = ratio_of_sums(judged.errors(name), judged.errors(floor), clusters, resamples)
    return Measured(1 - found.value, 1 - found.high, 1 - found.low)


def mean_of_authors(values: Floats, resamples: int) -> Measured:
    """Return the mean over authors, with its interval; NaN of none, a bare figure of few."""
    if not len(values):
        return Measured(np.nan, np.nan, np.nan)
    if len(values) < LEAST_AUTHORS:
        return Measured(*[float(values.mean())] * 3)
    rng = np.random.default_rng(SEED)
    drawn = values[rng.integers(0, len(values), (resamples, len(values)))].mean(axis=1)
    return _measured(float(values.mean()), drawn)


def order_of(judged: Judged, clusters: Clusters, resamples: int, name: str = SERVED) -> Measured:
    """Return the rank correlation within authors, averaged over them, with its interval."""
    values = author_orders(judged, name)
    if clusters.are_authors or not len(values):
        return mean_of_authors(values, resamples)
    rng = np.random.default_rng(SEED)
    days = np.split(
        np.argsort(clusters.of, kind="stable"), np.cumsum(np.bincount(clusters.of))[:-1]
    )
    drawn = []
    for _ in range(min(resamples, _ORDER_RESAMPLES)):
        rows = np.concatenate([days[day] for day in rng.integers(0, len(days), len(days))])
        drawn.append(author_orders(judged.select(rows), name).mean())
    return _measured(float(values.mean()), np.array(drawn))


def figures_of(settled: Judged, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """Return the figures of a set whose names are promised, and of zeros.

    Coverage is over all settled posts, all else over those of authors who had a known outcome.
    `coverage_closed` counts "10 % quantile <= outcome <= 90 % quantile", whatever is at the edge.

    `never_worse` is the mean error of what is served over that of the floor: at most 1.005 where
    the hedge keeps its word. `pinball_ratio` and `brier_ratio` are the served losses over those of
    the author's last 32 outcomes; the latter where posts without a like are not rare.
    """
    judged = settled.of_known_authors()
    everybody, clusters = clusters_of(settled), clusters_of(judged)
    of_all, bounds = settled.logs, settled.quantiles[SERVED]
    floor, served = judged.errors(FLOOR), judged.errors(SERVED)
    found = {
        "skill_med32": skill_of(judged, SERVED, FLOOR, clusters, resamples),
        "skill_30d": skill_of(judged, SERVED, "days30", clusters, resamples),
        "authors_positive_share": mean_of_authors(
            (author_skills(judged) > 0).astype(np.float64), resamples
        ),
        "spearman": order_of(judged, clusters, resamples),
        "coverage_10_90": mean_of(covered(of_all, bounds), everybody, resamples),
        "coverage_closed": mean_of(
            is_inside(of_all, bounds).astype(np.float64), everybody, resamples
        ),
        "coverage_model": mean_of(covered(of_all, settled.quantiles[MODEL]), everybody, resamples),
        "never_worse": ratio_of_sums(served, floor, clusters, resamples),
    }
    return found | _losses(judged, clusters, resamples)


def _losses(judged: Judged, clusters: Clusters, resamples: int) -> dict[str, Measured]:
    losses = {"pinball": {name: pinball(judged.logs, of) for name, of in judged.quantiles.items()}}
    if len(judged) and (judged.logs == 0).mean() >= LEAST_ZEROS:
        losses["brier"] = {name: brier(judged.logs, of) for name, of in judged.some.items()}
    found: dict[str, Measured] = {}
    for loss, of in losses.items():
        found[loss] = mean_of(of[SERVED], clusters, resamples)
        found[f"{loss}_floor"] = mean_of(of[FLOOR], clusters, resamples)
        found[f"{loss}_ratio"] = ratio_of_sums(of[SERVED], of[FLOOR], clusters, resamples)
    return found


def _measured(value: float, drawn: NDArray[Any]) -> Measured:
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return Measured(value, value, value)
    low, high = np.percentile(kept, (2.5, 97.5)).tolist()
    return Measured(value, low, high)
