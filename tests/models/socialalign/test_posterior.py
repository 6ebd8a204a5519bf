"""The posterior of a crowd: what it expects, how it learns, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.socialalign.posterior import (
    LEAST_SHARE,
    STRENGTHS,
    CrowdPosterior,
    CrowdStrength,
    checked_shares,
)

FORECAST = (0.2, 0.5, 0.3)


def of_strength(strength: float, events: int = 300, answers: int = 40) -> CrowdStrength:
    """What is learnt from crowds that are drawn by one strength."""
    rng, known = np.random.default_rng(7), CrowdStrength()
    for _ in range(events):
        shares = rng.dirichlet(strength * np.array(FORECAST))
        crowd = CrowdPosterior(FORECAST, known)
        for label in rng.choice(3, answers, p=shares):
            crowd.add(int(label))
        known.learn(crowd)
    return known


def test_before_the_first_answer_the_forecast_is_expected() -> None:
    crowd = CrowdPosterior(FORECAST, CrowdStrength())
    np.testing.assert_allclose(crowd.shares(), checked_shares(FORECAST))


@pytest.mark.parametrize("strength", [2.0, 16.0, 64.0])
def test_the_strength_by_which_crowds_were_drawn_is_found(strength: float) -> None:
    assert strength / 2 < of_strength(strength).mean < strength * 2


def test_one_strength_gives_what_dirichlet_and_multinomial_give() -> None:
    crowd = CrowdPosterior(FORECAST, CrowdStrength())
    crowd.weights = lambda: np.eye(len(STRENGTHS))[3]  # type: ignore[method-assign]
    for label in (0, 0, 2):
        crowd.add(label)
    strength, forecast = STRENGTHS[3], checked_shares(FORECAST)
    expected = (strength * forecast + np.array([2, 0, 1])) / (strength + 3)
    np.testing.assert_allclose(crowd.shares(), expected)


def test_crowds_that_follow_their_forecast_move_it_less() -> None:
    loose, firm = of_strength(2.0), of_strength(128.0)
    after = []
    for known in (loose, firm):
        crowd = CrowdPosterior(FORECAST, known)
        for _ in range(5):
            crowd.add(0)
        after.append(crowd.shares()[0])
    assert after[0] > after[1] + 0.2


def test_a_crowd_that_is_not_as_forecast_is_believed_sooner_as_it_goes_on() -> None:
    crowd = CrowdPosterior(FORECAST, of_strength(128.0))
    for _ in range(60):
        crowd.add(0)
    strengths = crowd.weights() @ STRENGTHS
    assert strengths < of_strength(128.0).mean / 2
    assert crowd.shares()[0] > 0.8


@given(st.lists(st.integers(0, 2), max_size=60))
def test_shares_are_shares_and_their_interval_holds_them(labels: list[int]) -> None:
    crowd = CrowdPosterior(FORECAST, CrowdStrength())
    for label in labels:
        crowd.add(label)
    shares = crowd.shares()
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
    low, high = crowd.interval(1, 0.98)
    assert 0 < low < shares[1] < high < 1
    assert crowd.seen == len(labels)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng, known, inside = np.random.default_rng(3), of_strength(16.0), 0
    for _ in range(400):
        shares = rng.dirichlet(16.0 * np.array(FORECAST))
        crowd = CrowdPosterior(FORECAST, known)
        for label in rng.choice(3, 10, p=shares):
            crowd.add(int(label))
        low, high = crowd.interval(0)
        inside += low <= shares[0] <= high
    assert 0.75 < inside / 400 < 0.85


def test_the_order_of_answers_does_not_matter() -> None:
    one, other = (
        CrowdPosterior(FORECAST, CrowdStrength()),
        CrowdPosterior(FORECAST, CrowdStrength()),
    )
    for label in (0, 0, 1, 2, 1):
        one.add(label)
    for label in (1, 2, 0, 1, 0):
        other.add(label)
    np.testing.assert_allclose(one.shares(), other.shares())
    np.testing.assert_allclose(one.log_likelihoods, other.log_likelihoods)


@pytest.mark.parametrize(
    "shares", [(0.5,), (0.5, float("nan")), (0.5, -0.1), (0.0, 0.0), (1.0, float("inf"))]
)
def test_what_are_no_shares_is_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="shares"):
        CrowdPosterior(shares, CrowdStrength())


def test_a_label_that_does_not_exist_is_refused_and_changes_nothing() -> None:
    crowd = CrowdPosterior(FORECAST, CrowdStrength())
    for label in (3, -1):
        with pytest.raises(ValueError, match="label"):
            crowd.add(label)
    assert crowd.seen == 0


def test_no_label_is_impossible() -> None:
    assert (checked_shares((1.0, 0.0, 0.0)) >= LEAST_SHARE / 2).all()
    crowd = CrowdPosterior((1.0, 0.0, 0.0), CrowdStrength())
    for _ in range(50):
        crowd.add(2)
    assert crowd.shares()[2] > 0.5


@pytest.mark.parametrize("before", [[], [2, 2, 0]])
def test_answers_at_once_are_as_one_after_the_other(before: list[int]) -> None:
    labels = np.random.default_rng(2).integers(0, 3, 200).tolist()
    step, whole = (CrowdPosterior((0.2, 0.5, 0.3), CrowdStrength()) for _ in range(2))
    for label in before:
        step.add(label)
        whole.add(label)
    logs: dict[str, list[float]] = {}
    for label in labels:
        for name, shares in step.said_by().items():
            logs.setdefault(name, []).append(float(np.log(shares[label])))
        step.add(label)
    found = whole.add_all(labels)
    assert set(found) == set(logs)
    for name, scores in found.items():
        np.testing.assert_allclose(scores, logs[name], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(whole.counts, step.counts)
    np.testing.assert_allclose(whole.log_likelihoods, step.log_likelihoods, rtol=1e-12)


def test_no_or_wrong_answers_at_once_change_nothing() -> None:
    crowd = CrowdPosterior((0.2, 0.5, 0.3), CrowdStrength())
    before = crowd.shares().tolist()
    assert [len(scores) for scores in crowd.add_all([]).values()] == [0, 0, 0]
    for wrong in ([0, 3], [-1]):
        with pytest.raises(ValueError, match="0 to 2"):
            crowd.add_all(wrong)
    assert (crowd.shares().tolist(), crowd.seen) == (before, 0)
