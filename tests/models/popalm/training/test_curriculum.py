"""The curriculum takes in more as training goes on, and short replies are not favoured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.popalm.training.curriculum import (
    SelfPacing,
    accepted_share,
    choose,
    enhanced,
    pace_scores,
    ranked,
    rouge_l,
)

pytestmark = pytest.mark.train
WORDS = st.lists(st.sampled_from(["a", "b", "c", "好", "的"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    "text", ["一样的话", "the same words", "同じ言葉", "Ещё раз", "mixed 语言"]
)
def test_identical_texts_of_any_script_overlap_wholly(text: str) -> None:
    assert rouge_l(text, text) == 1.0


def test_overlap_is_of_words_in_order_and_nothing_overlaps_with_nothing() -> None:
    assert rouge_l("police closed the bridge", "the bridge was closed by police") == pytest.approx(
        2 * 2 / (4 + 6)
    )
    assert rouge_l("?!", "?!") == rouge_l("", "a") == 0.0


def longest_common(one: list[str], other: list[str]) -> int:
    """The recursion of the definition."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest_common(one[1:], other[1:])
    return max(longest_common(one[1:], other), longest_common(one, other[1:]))


@given(one=WORDS, other=WORDS)
def test_overlap_is_that_of_the_definition(one: list[str], other: list[str]) -> None:
    expected = 2 * longest_common(one, other) / (len(one) + len(other))
    assert rouge_l(" ".join(one), " ".join(other)) == pytest.approx(expected)


def test_enhancement_adds_the_overlap_with_the_closest_real_reply() -> None:
    found = enhanced(np.array([0.5, -1.0]), ["很好", "no"], [["不", "很好"], ["yes"]])
    assert found.tolist() == [1.5, -1.0]


def test_ranking_keeps_the_best_of_the_batch_and_one_at_least() -> None:
    assert ranked(np.array([3.0, 1.0, 5.0, 2.0, 4.0, 0.0]), 3).tolist() == [2, 4]
    assert ranked(np.array([1.0, 2.0]), 5).tolist() == [1]


@given(
    scores=st.lists(st.floats(-5, 5), min_size=2, max_size=40),
    steps=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_acceptance_never_falls_as_training_goes_on(
    scores: list[float], steps: tuple[float, float]
) -> None:
    early, late = sorted(steps)
    rows = np.array(scores)
    taken = [SelfPacing().accept(rows, progress) for progress in (early, late)]
    assert not (taken[0] & ~taken[1]).any()
    assert SelfPacing().accept(rows, 1.0).all()


def test_the_share_that_is_accepted_is_that_of_the_schedule() -> None:
    rng, pacing = np.random.default_rng(0), SelfPacing()
    pacing.accept(rng.normal(size=512), 1.0)
    for progress in (0.0, 0.5, 1.0):
        taken = np.mean([pacing.accept(rng.normal(size=64), progress).mean() for _ in range(50)])
        assert taken == pytest.approx(accepted_share(progress, 0.3), abs=0.04)


@given(
    reward=st.floats(-3, 3),
    likelihood=st.floats(-6, -0.01),
    lengths=st.tuples(st.integers(1, 32), st.integers(1, 32)),
)
def test_length_does_not_matter_at_equal_likelihood_a_token(
    reward: float, likelihood: float, lengths: tuple[int, int]
) -> None:
    means = np.array([np.full(length, likelihood).mean() for length in lengths])
    scores = pace_scores(np.array([reward, reward]), 0.3, means)
    assert scores[0] == pytest.approx(scores[1])


def test_a_bad_reply_is_not_easy_however_likely_it_is() -> None:
    scores = pace_scores(np.array([-2.0, -2.0, 0.5]), 0.0, np.log(np.array([0.9, 0.1, 0.1])))
    assert scores.argsort().tolist() == [0, 1, 2]


def test_what_is_chosen_is_ranked_first_and_then_accepted() -> None:
    rewards = np.array([1.0, 5.0, 3.0, 0.0, 4.0, 2.0])
    likelihoods = np.log(np.array([0.9, 0.1, 0.9, 0.9, 0.8, 0.9]))
    assert choose(rewards, likelihoods, SelfPacing(), 1.0, 2).tolist() == [1, 2, 4]
    assert choose(rewards, likelihoods, SelfPacing(), 0.0, 2).tolist() == [4]


def test_progress_outside_of_the_training_is_refused() -> None:
    with pytest.raises(ValueError, match="progress 2"):
        accepted_share(2, 0.3)
