"""Forecast and counts are better than either alone on what is still to come."""

import os
from pathlib import Path

import numpy as np
import pytest

from evaluation.forecasts.early import ALONE, BOTH, FLOOR, Lives, scores
from evaluation.forecasts.ignitions import simulate
from evaluation.forecasts.lives import made_up, rumoureval

DATA = Path(os.environ.get("GROUNDSWELL_DATA", "../shared/data"))


def expect_both_best(lives: Lives) -> None:
    means = {way: values.mean(axis=0) for way, values in scores(lives).items()}
    for way in (*ALONE, FLOOR):
        assert (means[BOTH] > means[way]).all(), (way, means)


@pytest.mark.slow
def test_both_are_better_than_either_on_replies_still_to_come() -> None:
    lives = rumoureval(DATA, "twitter")
    assert len(lives.finals) == 381
    expect_both_best(lives)


@pytest.mark.slow
def test_both_are_better_than_either_on_made_up_lives() -> None:
    expect_both_best(made_up(800, 1))


def test_no_score_is_of_a_post_that_was_learnt_from() -> None:
    lives = made_up(60, 3)
    changed = lives.finals.copy()
    row = int(np.flatnonzero(lives.folds == 0)[0])
    changed[row] += 500
    other = scores(Lives(lives.features, lives.seen, changed, lives.folds))
    before = scores(lives)
    same_fold = np.flatnonzero((lives.folds == 0) & (np.arange(60) != row))
    for way, values in before.items():
        assert np.array_equal(values[same_fold], other[way][same_fold])


@pytest.mark.slow
def test_made_up_ignitions_are_noticed_in_ten_minutes_with_hardly_a_false_alarm() -> None:
    found = simulate(hours=3, seed=2)
    assert found.ignited == 15
    assert found.in_time / found.ignited >= 0.9, found
    assert found.false <= 3, found
