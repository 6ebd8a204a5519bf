"""The bank of CUSUMs against a plain loop, and against theory."""

import numpy as np
import pytest

from stream.shifts import cusum
from stream.shifts.columns import Rows
from stream.shifts.cores import new_cores
from stream.shifts.kinds import NAMED
from stream.shifts.layout import SUMS

DESIGNS = NAMED["opinion"].designs


def chart_of(rows: int) -> Rows:
    return new_cores(rows)["opinion"]


def step(chart: Rows, residuals: list[float], error: float, least: float, at: int) -> None:
    count = len(residuals)
    reading = cusum.Reading(
        np.array(residuals),
        np.full(count, error),
        np.full(count, least),
        ~np.isnan(np.array(residuals)),
    )
    sums = np.ones((count, len(SUMS)))
    cusum.step(chart, reading, DESIGNS, np.full(count, at), sums)


def slow_scores(residuals: list[float], error: float, least: float) -> list[tuple[float, float]]:
    """One CUSUM at a time, as in the textbook."""
    found: list[tuple[float, float]] = []
    for design in DESIGNS:
        size = max(design * error, least)
        up = down = 0.0
        for residual in residuals:
            cut = min(max(residual, -10 * error), 10 * error)
            up = min(60.0, max(0.0, up + (size * cut - size * size / 2) / error**2))
            down = min(60.0, max(0.0, down + (-size * cut - size * size / 2) / error**2))
        found.append((up, down))
    return found


@pytest.mark.parametrize("least", [0.0, 0.05])
def test_scores_are_those_of_a_plain_loop(least: float) -> None:
    rng = np.random.default_rng(1)
    residuals = (0.08 + 0.1 * rng.standard_normal(200)).tolist()
    chart = chart_of(1)
    for at, residual in enumerate(residuals):
        step(chart, [residual], 0.1, least, at)
    slow = np.array(slow_scores(residuals, 0.1, least))
    assert chart["score"][0] == pytest.approx(slow, rel=1e-9, abs=1e-9)


def test_onset_is_the_pane_after_the_score_was_last_zero() -> None:
    chart = chart_of(1)
    for at, residual in enumerate([-0.3, -0.3, 0.0, 0.4, 0.4, 0.4]):
        step(chart, [residual], 0.1, 0.05, at)
    assert chart["onset"][0, 5, 0] == 3
    assert chart["sums"][0, 5, 0, 0] == 3


def test_rows_without_a_reading_stay_as_they_are() -> None:
    chart = chart_of(2)
    step(chart, [0.4, 0.4], 0.1, 0.05, 0)
    before = chart[1:].copy()
    step(chart, [0.4, float("nan")], 0.1, 0.05, 1)
    assert chart[1:].tobytes() == before.tobytes()
    assert chart["score"][0].max() > before["score"].max()


def test_a_baseline_that_is_off_by_less_than_half_the_least_change_raises_nothing() -> None:
    chart = chart_of(200)
    rng = np.random.default_rng(2)
    for at in range(600):
        step(chart, (0.01 + 0.01 * rng.standard_normal(200)).tolist(), 0.01, 0.05, at)
    assert np.quantile(chart["score"].max(axis=(1, 2)), 0.9) < 3


@pytest.mark.parametrize("shift", [0.3, 1.0, 4.0])
def test_delay_is_near_the_limit_for_weak_and_strong_shifts(shift: float) -> None:
    rng = np.random.default_rng(4)
    chart, waiting = chart_of(200), np.zeros(200)
    needed = np.log(43_200)
    for at in range(int(8 * needed / shift**2) + 8):
        step(chart, (shift + rng.standard_normal(200)).tolist(), 1.0, 0.0, at)
        waiting += chart["score"].max(axis=(1, 2)) < 11
    limit = needed / (shift * shift / 2)
    assert waiting.mean() + 1 <= 1.5 * limit + 1
