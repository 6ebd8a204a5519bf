import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics import (
    accuracy,
    average_precision,
    brier,
    calibration_gap,
    confusion,
    expected_calibration_error,
    f1_scores,
    honest_gap,
    macro_f1,
    macro_ordinal_mae,
    macro_recall,
    multilabel_f1,
    ordinal_mae,
    reliability,
    roc_auc,
    weighted_f1,
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


def test_f1_measures_by_hand() -> None:
    assert f1_scores(PREDICTED, TRUTH, 3).tolist() == pytest.approx([2 / 3, 4 / 5, 0])
    assert weighted_f1(PREDICTED, TRUTH, 3) == pytest.approx((3 * 2 / 3 + 2 * 4 / 5) / 6)
    none = np.zeros(809, int)
    truth = np.array([1] * 209 + [0] * 600)
    assert weighted_f1(none, truth, 2) == pytest.approx(0.632, abs=5e-4)


def test_distance_of_levels_by_hand() -> None:
    truth, predicted = np.array([0, 0, 0, 4]), np.array([0, 0, 0, 0])
    assert ordinal_mae(predicted, truth) == 1.0
    assert macro_ordinal_mae(predicted, truth) == 2.0


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_ranking_measures_agree_with_obvious_loops(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([s for s, _ in pairs], float) / 4
    positive = np.array([y for _, y in pairs])
    ours, theirs = [s for s, y in pairs if y], [s for s, y in pairs if not y]
    if not ours or not theirs:
        assert np.isnan(roc_auc(scores, positive))
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in ours for b in theirs)
    assert roc_auc(scores, positive) == pytest.approx(wins / len(ours) / len(theirs))
    area, before = 0.0, 0.0
    for cut in sorted(set(scores.tolist()), reverse=True):
        called = scores >= cut
        recall = positive[called].sum() / positive.sum()
        area += (recall - before) * positive[called].mean()
        before = recall
    assert average_precision(scores, positive) == pytest.approx(area)


def test_brier_and_label_sets_by_hand() -> None:
    assert brier(np.array([1.0, 0.5]), np.array([True, False])) == pytest.approx(0.125)
    chosen = np.array([[True, False], [True, False]])
    truth = np.array([[True, False], [False, False]])
    assert multilabel_f1(chosen, truth) == pytest.approx((2 / 3, 1 / 3))


def test_a_gap_that_honest_probabilities_have_too_is_known() -> None:
    claimed = np.random.default_rng(1).uniform(size=800)
    held = np.random.default_rng(2).uniform(size=800) < claimed
    honest = honest_gap(claimed, bins=10)
    assert 0.01 < honest < 0.05
    assert calibration_gap(claimed, held, bins=10) == pytest.approx(honest, abs=0.015)


def test_reliability_shows_every_post_once() -> None:
    claimed = np.random.default_rng(1).uniform(size=100)
    bins = reliability(claimed, claimed > 0.5, bins=10)
    assert sum(one.posts for one in bins) == 100
    assert [one.claimed for one in bins] == sorted(one.claimed for one in bins)
    assert (bins[0].held, bins[-1].held) == (0.0, 1.0)
