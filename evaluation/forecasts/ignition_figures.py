"""What was noticed of made-up ignitions, as figures: by how far they go, with intervals of 95 %."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from evaluation.forecasts.ignitions import IN_TIME_S, PER_POSTS
from evaluation.forecasts.live_ignitions import Watched
from models.engagement.taking_off import HOUR_S

SIZES: Final = (10.0, 15.0, 25.0, 50.0, 100.0)
"""Bounds of the factors by which a post goes beyond its author's normal."""
Noticed = Sequence[tuple[float, float]]
"""Of each post that took off the factor, and its age in seconds when it was said; inf is never."""
_SCORE: Final = 1.959964
_TAIL: Final = 0.025


def figures_of(watched: Watched, horizon_s: float, noticed: Noticed) -> dict[str, float]:
    """Return the figures by name, with both ways to count false alarms.

    `false_an_hour_per_100k_waiting` is an hour for each 100,000 posts that are tracked at a time:
    those that wait for their outcome, which all may take off. `false_per_100k` is of 100,000 posts
    in all. Over a horizon of an hour they are the same, over a day the first is a 24th of the
    second.
    """
    found = watched.figures()
    waiting = HOUR_S / horizon_s if horizon_s else math.nan
    posts = max(watched.tracked, 1)
    rates = (watched.false, *poisson_interval(watched.false))
    for name, events in zip(("", "_low", "_high"), rates, strict=True):
        found[f"false_per_100k{name}"] = events * PER_POSTS / posts
        found[f"false_an_hour_per_100k_waiting{name}"] = events * PER_POSTS / posts * waiting
    low, high = wilson_interval(watched.in_time, watched.ignited)
    return found | {"recall_10min_low": low, "recall_10min_high": high} | _by_size(noticed)


def _by_size(noticed: Noticed) -> dict[str, float]:
    found: dict[str, float] = {}
    for low, high in pairwise(SIZES):
        ages = [age_s for factor, age_s in noticed if low <= factor < high]
        in_time = sum(age_s <= IN_TIME_S for age_s in ages)
        name = f"factor_{low:.0f}_{high:.0f}"
        bounds = wilson_interval(in_time, len(ages))
        found |= {f"{name}.ignited": len(ages), f"{name}.in_time": in_time}
        found |= {f"{name}.recall_low": bounds[0], f"{name}.recall_high": bounds[1]}
    return found


def wilson_interval(hits: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson); all of it where nothing was tried.

    Example:
        >>> [round(end, 3) for end in wilson_interval(9, 10)]
        [0.596, 0.982]
    """
    if not number:
        return 0.0, 1.0
    share, spread = hits / number, _SCORE**2 / number
    middle = share + spread / 2
    apart = _SCORE * math.sqrt(share * (1 - share) / number + spread / (4 * number))
    low, high = ((middle + side * apart) / (1 + spread) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)


def poisson_interval(events: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the number that was to be expected (Garwood).

    Example:
        >>> [round(end, 2) for end in poisson_interval(3)]
        [0.62, 8.77]
    """
    low = _mean_where(lambda mean: 1 - _at_most(events - 1, mean) < _TAIL, events) if events else 0
    return low, _mean_where(lambda mean: _at_most(events, mean) > _TAIL, events)


def _mean_where(is_below: Callable[[float], bool], events: int) -> float:
    """Return the mean up to which something holds that holds at first."""
    low, high = 0.0, 2.0 * events + 20
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low


def _at_most(events: int, mean: float) -> float:
    """Return the probability of so many or fewer where so many are to be expected."""
    return sum(
        math.exp(number * math.log(max(mean, 1e-300)) - mean - math.lgamma(number + 1))
        for number in range(events + 1)
    )
