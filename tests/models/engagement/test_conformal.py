"""Intervals hold: for any scale, with outcomes late, after a drift, and where most counts are 0."""

from collections import deque

import numpy as np
import pytest
from numpy.typing import NDArray

from models.engagement.conformal import (
    FACTOR_STEPS,
    SourceWidths,
    Spread,
    covered,
    is_tracker,
)

LATE = 100
"""So many outcomes are under way."""


def served(counts: NDArray[np.int64], middle: float, down: float, up: float) -> NDArray[np.float64]:
    """Return which share of each count was covered, when all posts have the same forecast."""
    widths, waiting, found = SourceWidths(), deque[int](), []
    modelled = Spread(down, middle, up)
    for count in counts.tolist():
        if len(waiting) == LATE:
            widths.update(0, modelled, waiting.popleft())
        below, above = (factor / FACTOR_STEPS for factor in widths.factors()[:2])
        found.append(covered(Spread(down * below, middle, up * above), count))
        waiting.append(count)
    return np.array(found)


@pytest.mark.parametrize("width", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("level", [3.0, 9.0])
def test_coverage_is_that_promised_whatever_the_width_as_modelled(
    width: float, level: float
) -> None:
    rng = np.random.default_rng(0)
    counts = np.rint(np.expm1(rng.normal(level, 0.8, 4_000))).astype(np.int64)
    found = served(counts, level, width, width)
    assert found[1_000:].mean() == pytest.approx(0.8, abs=0.02)


def test_the_misses_are_as_many_on_either_side() -> None:
    rng = np.random.default_rng(1)
    counts = np.rint(np.expm1(6 + rng.gamma(1, 1, 6_000))).astype(np.int64)  # skewed
    widths = SourceWidths()
    modelled = Spread(1.0, 6.7, 1.0)
    low, high = [], []
    for count in counts.tolist():
        below, above = (factor / FACTOR_STEPS for factor in widths.factors()[:2])
        low.append(np.log1p(count) < 6.7 - below)
        high.append(np.log1p(count) > 6.7 + above)
        widths.update(0, modelled, count)
    assert np.mean(low[1_000:]) == pytest.approx(0.1, abs=0.015)
    assert np.mean(high[1_000:]) == pytest.approx(0.1, abs=0.015)


def test_after_all_counts_triple_the_intervals_hold_again_within_a_few_hundred_outcomes() -> None:
    rng = np.random.default_rng(2)
    counts = np.expm1(rng.normal(5, 0.8, 5_000))
    counts[3_000:] *= 3
    found = served(np.rint(counts).astype(np.int64), 5.0, 1.0, 1.0)
    known = 3_000 + LATE
    assert found[3_000:known].mean() < 0.6
    assert found[known + 250 : known + 750].mean() >= 0.75


def test_where_three_in_four_have_none_zero_is_covered_as_far_as_it_is_as_likely_as_forecast() -> (
    None
):
    rng = np.random.default_rng(3)
    counts = np.where(rng.random(6_000) < 0.73, 0, rng.geometric(0.4, 6_000))
    found = served(counts, 0.0, 0.5, 0.5)
    assert found[2_000:].mean() == pytest.approx(0.8, abs=0.025)


def test_a_count_inside_is_covered_one_outside_is_not_and_one_at_the_edge_is_in_part() -> None:
    spread = Spread(1.0, np.log1p(100), 1.0)
    inside, outside = covered(spread, 100), covered(spread, 1_000)
    edge = covered(spread, round(np.expm1(np.log1p(100) + 1)))
    assert (inside, outside) == (1, 0)
    assert 0 < edge < 1


@pytest.mark.parametrize("count", [0, 1, 10**9])
@pytest.mark.parametrize("width", [0.0, 1e-9, 50.0])
def test_coverage_is_a_share_for_any_forecast(count: int, width: float) -> None:
    for middle in (0.0, 3.0, 21.0):
        assert 0 <= covered(Spread(width, middle, width), count) <= 1


def test_numbers_that_cannot_be_a_trackers_are_told() -> None:
    assert is_tracker((1, 1, 1), (0.2, 0.3, 0.5))
    assert not is_tracker((0, 1, 1), (0.2, 0.3, 0.5))
    assert not is_tracker((1, float("nan"), 1), (0.2, 0.3, 0.5))
    assert not is_tracker((1, 1, 1), (0.2, 0.3, 0.6))
