"""Early counts, judged on what is still to come: forecast alone, counts alone, and both.

The replies of the first minutes are a part of the final number, so a correlation with that number
says nothing. Each way gives a distribution of how many are still to come, and its score is the mean
log probability of what came.

Shapes: `N` posts, at `AGES_S`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.encoder.bootstrap import Measured, bootstrap
from models.engagement.distributions import Doubles, log_gamma
from models.engagement.exposure import Exposure
from models.engagement.layout import LEVELS
from models.engagement.posterior import Curve
from models.engagement.sharpening import log_scores

AGES_S: Final = (300, 900, 3_600)
HORIZON_S: Final = 86_400.0
BOTH: Final = "both"
ALONE: Final = ("forecast", "gamma_poisson", "negative_binomial")
FLOOR: Final = "floor"
WAYS: Final = (BOTH, *ALONE, FLOOR)
"""Forecast and counts; the forecast alone, which knows of the counts only that there are no fewer
in the end; counts alone with the share of the age, as Poisson and over-dispersed; and one
distribution for all posts."""
_SHRINK: Final = 20.0
_SIZES: Final = np.array([0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0])

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lives:
    """Posts with their counts over time.

    Attributes:
        features: (N, K) what is known of them as they are posted; K may be 0.
        seen: (N, 3) counts by `AGES_S`.
        finals: (N,) counts at the horizon.
        folds: (N,) posts of one fold are judged by what was learnt of the others.
    """

    features: Doubles
    seen: Doubles
    finals: Doubles
    folds: Rows


def scores(lives: Lives) -> dict[str, Doubles]:
    """Return, by `WAYS`, (N, 3) log probabilities of what was still to come."""
    found = {way: np.full(lives.seen.shape, np.nan) for way in WAYS}
    for fold in np.unique(lives.folds):
        test = np.flatnonzero(lives.folds == fold)
        train = np.flatnonzero(lives.folds != fold)
        for way, column, values in _of_fold(lives, train, test):
            found[way][test, column] = values
    return found


def _of_fold(lives: Lives, train: Rows, test: Rows) -> Iterator[tuple[str, int, Doubles]]:
    """Yield ways, columns of ages and (T,) scores of the posts of a fold."""
    priors = forecasts(lives, train)
    exposure = Exposure(HORIZON_S)
    for row in train:
        of_post = np.repeat(priors[row][None], 3, axis=0)
        for age_s, seen in zip(AGES_S, lives.seen[row], strict=True):
            counts, finals = np.array([seen, np.nan, np.nan]), np.full(3, lives.finals[row])
            exposure.observe(age_s, counts, finals, of_post)
    finals, prior = lives.finals[test], priors[test]
    for column, age_s in enumerate(AGES_S):
        seen = lives.seen[test, column]
        exposed = exposure.at(np.full(len(test), age_s))
        wide = np.repeat(seen[:, None], 3, axis=1), np.repeat(finals[:, None], 3, axis=1)
        both = log_scores(np.repeat(prior[:, None], 3, axis=1), *wide, exposed)
        yield BOTH, column, both[:, 0]
        yield "forecast", column, forecast_alone(prior, seen, finals)
        past, coming = lives.seen[train, column], lives.finals[train] - lives.seen[train, column]
        share = max(1e-3, past.sum() / max(1.0, lives.finals[train].sum()))
        for way, fit in (
            ("gamma_poisson", poisson_fit(share)),
            ("negative_binomial", dispersed_fit(past, coming, share)),
            (FLOOR, constant_fit(coming)),
        ):
            mean, size = fit.of(seen)
            yield way, column, log_negative_binomial(finals - seen, mean, size)


def forecasts(lives: Lives, train: Rows) -> Doubles:
    """Return (N, 5) log1p of final counts at `LEVELS`, learnt from the posts of `train`.

    A ridge regression of the log on the features, with the quantiles of what it leaves, each with
    its own post left out.
    """
    logs = np.log1p(lives.finals)
    mean = logs[train].mean()
    if not lives.features.shape[1]:
        return np.tile(np.quantile(logs[train], LEVELS), (len(logs), 1))
    spread = lives.features[train].std(axis=0)
    scaled = (lives.features - lives.features[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
    inverse = np.linalg.inv(scaled[train].T @ scaled[train] + _SHRINK * np.eye(scaled.shape[1]))
    weights = inverse @ scaled[train].T @ (logs[train] - mean)
    leverage = np.einsum("ij,jk,ik->i", scaled[train], inverse, scaled[train]) + 1 / len(train)
    left = (logs[train] - mean - scaled[train] @ weights) / (1 - leverage)
    return np.maximum(mean + (scaled @ weights)[:, None] + np.quantile(left, LEVELS), 0)


def forecast_alone(prior: Doubles, seen: Doubles, finals: Doubles) -> Doubles:
    """Return (N,) log probabilities of final counts given that they are not below what was seen."""
    curve = Curve(prior)
    edges = np.stack([finals - 0.5, finals + 0.5], axis=1)
    mass = curve.masses(edges, finals == 0)[0][:, 0]
    reach = np.stack([seen - 0.5, np.full(len(seen), 1e13)], axis=1)
    at_least = curve.masses(reach, seen == 0)[0][:, 0]
    return np.log(np.maximum(mass, 1e-300)) - np.log(np.maximum(at_least, 1e-300))


@dataclass(frozen=True, slots=True)
class Fit:
    """A negative binomial of what is still to come: its mean and size grow with what was seen.

    Attributes:
        added: Counts that are added to what was seen; with `per_seen` 0 they are all there is.
        ratio: Expected to come, for each that was seen.
        size: The size, or its constant part.
        size_per: The part of the size for each that was seen.
        per_seen: 1, or 0 if what was seen does not matter.
    """

    added: float
    ratio: float
    size: float
    size_per: float
    per_seen: float = 1.0

    def of(self, seen: Doubles) -> tuple[Doubles, Doubles]:
        """Return (N,) means and (N,) sizes."""
        base = self.per_seen * seen + self.added
        return base * self.ratio, self.size_per * base + self.size


def poisson_fit(share: float) -> Fit:
    """Return a Poisson count of unknown rate (Jeffreys' prior) that was seen for a share of it."""
    return Fit(added=0.5, ratio=(1 - share) / share, size=0.0, size_per=1.0)


def dispersed_fit(seen: Doubles, coming: Doubles, share: float) -> Fit:
    """Return the best over-dispersed fit, by likelihood on a grid, of what came after what."""
    usual = (1 - share) / share
    candidates = [
        Fit(added, usual * times, size, per)
        for added in (0.3, 1.0, 2.0, 4.0, 8.0)
        for times in (0.25, 0.5, 0.75, 1.0, 1.25)
        for size in (0.1, 0.3, 1.0, 2.0)
        for per in (0.0, 0.03, 0.1, 0.3, 1.0)
    ]
    return _best(candidates, seen, coming)


def constant_fit(coming: Doubles) -> Fit:
    """Return the best fit that does not look at the post."""
    mean = max(float(coming.mean()), 1e-3)
    candidates = [Fit(mean, times, size, 0.0, 0.0) for times in (0.8, 1.0, 1.2) for size in _SIZES]
    return _best(candidates, np.zeros_like(coming), coming)


def _best(candidates: list[Fit], seen: Doubles, coming: Doubles) -> Fit:
    return max(
        candidates, key=lambda fit: float(log_negative_binomial(coming, *fit.of(seen)).sum())
    )


def log_negative_binomial(count: Doubles, mean: Doubles, size: Doubles) -> Doubles:
    """Return log probabilities of counts, by their mean and size."""
    ways = log_gamma(count + size) - log_gamma(size) - log_gamma(count + 1)
    return ways + size * np.log(size / (size + mean)) + count * np.log(mean / (size + mean))


def measured(found: dict[str, Doubles], resamples: int) -> dict[str, Measured]:
    """Return scores by way and age, and what both are better by than each other way; by posts."""

    def measure(rows: NDArray[np.integer]) -> dict[str, float]:
        means = {way: values[rows].mean(axis=0) for way, values in found.items()}
        figures: dict[str, float] = {}
        for column, age_s in enumerate(AGES_S):
            minute = f"{age_s // 60}min"
            for way in WAYS:
                figures[f"{way}.{minute}"] = float(means[way][column])
            for way in (*ALONE, FLOOR):
                gain = means[BOTH][column] - means[way][column]
                figures[f"gain_over_{way}.{minute}"] = float(gain)
        return figures

    return bootstrap(measure, len(next(iter(found.values()))), resamples)
