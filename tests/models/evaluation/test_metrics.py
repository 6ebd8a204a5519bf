import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.metrics import (
    accuracy,
    confusion,
    expected_calibration_error,
    macro_f1,
    macro_recall,
)

TRUTH = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 1, 0])


def test_figures_by_hand() -> None:
    assert confusion(PREDICTED, TRUTH, 3).tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert macro_recall(PREDICTED, TRUTH) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert macro_f1(PREDICTED, TRUTH, 3) == pytest.approx((2 / 3 + 4 / 5 + 0) / 3)
    assert accuracy(PREDICTED, TRUTH) == pytest.approx(4 / 6)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=60))
def test_figures_agree_with_scikit_like_loops(pairs: list[tuple[int, int]]) -> None:
    predicted, truth = (np.array(column) for column in zip(*pairs, strict=True))
    recalls = [
        sum(p == t == c for p, t in pairs) / sum(t == c for _, t in pairs)
        for c in range(3)
        if any(t == c for _, t in pairs)
    ]
    assert macro_recall(predicted, truth) == pytest.approx(sum(recalls) / len(recalls))
    assert confusion(predicted, truth, 3).sum() == len(pairs)


def test_calibrated_probabilities_have_a_small_error_and_boasting_ones_a_large_one() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1.0, 20_000)
    truth = (rng.uniform(size=20_000) > confidence).astype(int)
    honest = np.stack([confidence, 1 - confidence], 1)
    boasting = np.tile([[0.99, 0.01]], (20_000, 1))
    assert expected_calibration_error(honest, truth) < 0.015
    assert expected_calibration_error(boasting, truth) == pytest.approx(0.24, abs=0.01)


def test_order_of_equally_confident_posts_does_not_matter() -> None:
    probabilities = np.tile([[0.7, 0.3]], (100, 1))
    truth = np.array([0] * 70 + [1] * 30)
    assert expected_calibration_error(probabilities, truth) == pytest.approx(0.0, abs=1e-9)
