"""Usual shares of topics: leaning, bounds, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from models.socialalign import crowd
from models.socialalign.crowd import UsualShares


def test_a_topic_of_which_nothing_is_known_has_the_shares_of_all() -> None:
    usual = UsualShares(3)
    for _ in range(20):
        usual.learn("a", np.array([10.0, 0.0, 0.0]))
        usual.learn("b", np.array([0.0, 10.0, 0.0]))
    np.testing.assert_allclose(usual.forecast("new")[:2], 0.5, atol=0.01)
    assert usual.forecast("a")[0] > 0.9
    assert usual.forecast("b")[1] > 0.9


def test_one_event_of_thousands_does_not_decide() -> None:
    usual = UsualShares(2)
    for _ in range(10):
        usual.learn("a", np.array([20.0, 0.0]))
    before = usual.forecast("a")[0]
    usual.learn("a", np.array([0.0, 100_000.0]))
    assert before - usual.forecast("a")[0] < 0.12


def test_the_topic_that_was_longest_without_an_event_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crowd, "MOST_TOPICS", 2)
    usual = UsualShares(2)
    for topic in ("a", "b", "a", "c"):
        usual.learn(topic, np.array([10.0, 0.0]))
    assert usual.dropped == 1
    assert usual.forecast("b")[0] == usual.forecast("never")[0] < usual.forecast("a")[0]


@pytest.mark.parametrize(
    "counts", [(1.0,), (1.0, 2.0, 3.0), (1.0, float("nan")), (1.0, -1.0), (float("inf"), 1.0)]
)
def test_what_are_no_counts_is_refused(counts: tuple[float, ...]) -> None:
    usual = UsualShares(2)
    with pytest.raises(ValueError, match="counts"):
        usual.learn("a", np.array(counts))
    np.testing.assert_allclose(usual.forecast("a"), 0.5)


def test_an_event_without_answers_teaches_nothing() -> None:
    usual = UsualShares(2)
    usual.learn("a", np.zeros(2))
    np.testing.assert_allclose(usual.forecast("a"), 0.5)
