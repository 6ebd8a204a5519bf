"""Intervals that hold: how much wider than modelled they have to be, learnt from outcomes.

Adaptive conformal inference (Gibbs and Candès 2021), one calibrator for each target and side of a
source. The conformity score is the error in units of the forecast's own half-width, so that one
calibrator serves accounts of ten and of ten million followers. Several quantile trackers of
different rates run side by side and are weighted by their pinball loss with a fixed share, as in
DtACI (Gibbs and Candès 2024): the slow ones are steady, the fast ones follow a drift.

Outcomes are counts and come a horizon late. Late: a tracker is told what *its present* factor
would have missed, which a pending post's widths as modelled allow; otherwise it would go on
widening for a whole horizon after it was wide enough. Counts: an outcome n is spread over
[n - 1/2, n + 1/2] by the forecast's own distribution, as in the randomised probability integral
transform for counts (Czado, Gneiting and Held 2009, the mean instead of a draw). So a source where
three posts in four have no like, whose 10 % quantile is 0, is covered to 80 % exactly when zero is
as likely as the forecast says; counting "10 % quantile <= 0 <= 90 % quantile" as covered would
call any such forecast too wide. For counts of ten or more the two are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.layout import TARGETS

MISSES: Final = 0.1
"""The share of outcomes that each side is to miss."""
Triple = tuple[float, float, float]
"""A number for each of `RATES`."""
RATES: Final = (0.005, 0.02, 0.08)
_AIM: Final = 0.095
"""What trackers aim at: a factor that follows misses a little more than what it aims at."""
_WEIGHT_RATE: Final = 0.6
_WEIGHT_SHARE: Final = 0.005
_FIRST: Final = 40.0
"""At first all trackers are as fast as the fastest, and slow down over some hundred outcomes."""
_LEAST, _MOST = 0.02, 50.0
_MAX_SCORE: Final = 20.0
_MOST_COUNTED: Final = 100_000
_LEAST_HALF: Final = 1e-3
_TAIL: Final = 0.445
"""Beyond the 10 % the tail falls by e in so much of the half-width, as that of a normal does."""

EPOCHS: Final = 64
"""Widths are served for a 48th of the horizon and remembered for longer than a post waits."""
EPOCHS_OF_HORIZON: Final = 48
FACTOR_STEPS: Final = 1000
"""Factors are kept in thousandths."""


class Spread:
    """A distribution in logs: a middle and the distances to its 10 % and 90 % quantile."""

    __slots__ = ("down", "middle", "up")

    def __init__(self, down: float, middle: float, up: float) -> None:
        self.down, self.middle, self.up = down, middle, up

    def survival(self, x: float) -> float:
        """Return the probability of more than x."""
        if x >= self.middle:
            return _beyond((x - self.middle) / max(self.up, _LEAST_HALF))
        return 1 - _beyond((self.middle - x) / max(self.down, _LEAST_HALF))


def _beyond(z: float) -> float:
    """Return the probability beyond z half-widths on one side."""
    return 0.5 - 0.4 * z if z <= 1 else MISSES * math.exp((1 - z) / _TAIL)


def edges_of(count: int) -> tuple[float, float]:
    """Return the logs between which a count is spread; none ends at minus infinity."""
    return (math.log(count + 0.5) if count else -math.inf), math.log(count + 1.5)


def covered(spread: Spread, count: int) -> float:
    """Return which share of a count lies between the 10 % and the 90 % quantile, in [0, 1]."""
    low, high = edges_of(count)
    down, middle, up = spread.down, spread.middle, spread.up
    below = _missed_below(down, middle, up, low, high)
    return 1 - below - _missed_above(down, middle, up, low, high)


def _missed_below(down: float, middle: float, up: float, low: float, high: float) -> float:
    edge = middle - down
    if low >= edge or high <= edge:
        return float(low < edge)
    spread = Spread(down, middle, up)
    first, last = spread.survival(low), spread.survival(high)
    return min(max((first - 1 + MISSES) / (first - last), 0.0), 1.0) if first > last else 0.0


def _missed_above(down: float, middle: float, up: float, low: float, high: float) -> float:
    edge = middle + up
    if low >= edge or high <= edge:
        return float(low >= edge)
    spread = Spread(down, middle, up)
    first, last = spread.survival(low), spread.survival(high)
    return min(max((MISSES - last) / (first - last), 0.0), 1.0) if first > last else 0.0


class WidthTracker:
    """By what factor one half of the intervals of a source and target is to be widened.

    Attributes:
        factors: (3,) one by each of `RATES`.
        weights: (3,) how much each is trusted; they sum to one.
        outcomes: How many it has learnt from, counted up to `_MOST_COUNTED`.
    """

    __slots__ = ("factors", "outcomes", "weights")

    def __init__(
        self,
        factors: Sequence[float] = (1.0,) * len(RATES),
        weights: Sequence[float] = (1 / len(RATES),) * len(RATES),
        outcomes: int = 0,
    ) -> None:
        self.factors = list(factors)
        self.weights = list(weights)
        self.outcomes = outcomes

    def to_parts(self) -> tuple[Triple, Triple, int]:
        """Return it as numbers, to be kept."""
        (a, b, c), (x, y, z) = self.factors, self.weights
        return (a, b, c), (x, y, z), self.outcomes

    def factor(self) -> float:
        """Return the factor that is served."""
        (a, b, c), (x, y, z) = self.factors, self.weights
        return a * x + b * y + c * z

    def update(self, missed: Sequence[float], score: float) -> None:
        """Learn from an outcome.

        Args:
            missed: (3,) which share of it each factor would have missed on this side.
            score: How far out it was on this side, in half-widths as modelled.
        """
        unit = self.factor()
        score = min(max(score, 0.0), _MAX_SCORE * unit)
        kept: list[float] = []
        first = RATES[-1] * _FIRST / (_FIRST + self.outcomes)
        self.outcomes = min(self.outcomes + 1, _MOST_COUNTED)
        for place, (rate, miss) in enumerate(zip(RATES, missed, strict=True)):
            factor = self.factors[place]
            beyond = score - factor
            loss = (1 - _AIM) * beyond if beyond > 0 else -_AIM * beyond
            kept.append(self.weights[place] * math.exp(-_WEIGHT_RATE * loss / unit))
            moved = factor * math.exp(max(rate, first) * (miss - _AIM))
            self.factors[place] = min(max(moved, _LEAST), _MOST)
        whole, back = sum(kept), _WEIGHT_SHARE / len(RATES)
        self.weights = [(1 - _WEIGHT_SHARE) * weight / whole + back for weight in kept]


class SourceWidths:
    """All the calibrators of a source.

    Args:
        trackers: For each of `TARGETS` the one below the median and the one above it, in a row.
    """

    def __init__(self, trackers: Sequence[WidthTracker] = ()) -> None:
        self._trackers = list(trackers) or [WidthTracker() for _ in range(2 * len(TARGETS))]

    def all(self) -> list[WidthTracker]:
        """Return all of them."""
        return self._trackers

    def outcomes(self, target: int) -> int:
        """Return how many outcomes of a target they have learnt from, see `WidthTracker`."""
        return self._trackers[2 * target].outcomes

    def factors(self) -> list[int]:
        """Return (6,) the factors to be served, in `FACTOR_STEPS`."""
        return [round(tracker.factor() * FACTOR_STEPS) for tracker in self._trackers]

    def update(self, target: int, modelled: Spread, count: int) -> None:
        """Learn from an outcome of a target, given the forecast with its widths as modelled."""
        low, high = edges_of(count)
        below, above = self._trackers[2 * target : 2 * target + 2]
        narrow, wide = below.factor(), above.factor()
        down, middle, up = modelled.down, modelled.middle, modelled.up
        missed_below = [
            _missed_below(down * factor, middle, up * wide, low, high) for factor in below.factors
        ]
        missed_above = [
            _missed_above(down * narrow, middle, up * factor, low, high) for factor in above.factors
        ]
        at = math.log(count + 1)
        below.update(missed_below, (middle - at) / down)
        above.update(missed_above, (at - middle) / up)


def are_factors(served: NDArray[np.uint16]) -> bool:
    """Tell whether these can be factors that were served, in `FACTOR_STEPS`."""
    least, most = round(_LEAST * FACTOR_STEPS), round(_MOST * FACTOR_STEPS)
    return bool(((served >= least) & (served <= most)).all())


def is_tracker(factors: Sequence[float], weights: Sequence[float], outcomes: int = 0) -> bool:
    """Tell whether these can be the numbers of a tracker."""
    return (
        0 <= outcomes <= _MOST_COUNTED
        and all(_LEAST <= factor <= _MOST for factor in factors)
        and all(0 <= weight <= 1 for weight in weights)
        and abs(sum(weights) - 1) < 1e-6
    )
