import math

import numpy as np
import pytest

from evaluation.encoder.bootstrap import Measured, bootstrap
from evaluation.encoder.single_label import measure_of, measures


def made_up(posts: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 3, posts)
    scores = rng.normal(0, 1, (posts, 3)) + 1.5 * np.eye(3)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return probabilities.astype(np.float32), truth


def test_intervals_hold_their_figure_and_are_repeatable() -> None:
    probabilities, truth = made_up()
    found = bootstrap(measure_of(probabilities, truth), len(truth), 200, seed=1)
    assert found == bootstrap(measure_of(probabilities, truth), len(truth), 200, seed=1)
    for name, value in measures(probabilities, truth).items():
        assert found[name].value == value
        if name != "ece":  # drawing again adds noise, which this measure can only count as error
            assert found[name].low < value < found[name].high


def test_intervals_narrow_with_more_posts() -> None:
    few, many = (
        bootstrap(measure_of(*made_up(posts)), posts, 100)["accuracy"] for posts in (100, 5_000)
    )
    assert many.high - many.low < (few.high - few.low) / 3


def test_a_measure_that_a_resample_leaves_undefined_has_an_interval_from_the_others() -> None:
    truth = np.array([True] + [False] * 9)

    def share(rows: np.ndarray) -> dict[str, float]:
        return {"x": 1.0 if truth[rows].any() else math.nan}

    assert bootstrap(share, 10, 50)["x"] == Measured(1.0, 1.0, 1.0)


def test_a_figure_without_spread_is_printed_without_an_interval() -> None:
    assert str(Measured(0.5, 0.5, 0.5)) == "0.500"
    assert str(Measured(0.5, 0.4, 0.6)) == "0.500 [0.400, 0.600]"
    assert pytest.approx(0.5) == Measured(0.5, 0.4, 0.6).value
