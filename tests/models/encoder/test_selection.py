import numpy as np
import pytest

from models.encoder.heads import training_of
from models.metrics import average_precision


def test_a_perfect_order_has_average_precision_one_at_any_prior() -> None:
    score = np.array([0.9, 0.8, 0.2, 0.1])
    yes = np.array([True, True, False, False])
    assert average_precision(score, yes) == pytest.approx(1.0)
    assert average_precision(score, yes, 0.1) == pytest.approx(1.0)


def test_equal_scores_give_the_prior() -> None:
    yes = np.array([True] * 7 + [False] * 3)
    assert average_precision(np.zeros(10), yes) == pytest.approx(0.7)
    assert average_precision(np.zeros(10), yes, 0.258) == pytest.approx(0.258)


def test_a_reweighted_figure_is_that_of_a_set_with_that_prior() -> None:
    rng = np.random.default_rng(1)
    yes = rng.random(400) < 0.75
    score = rng.normal(yes, 1.0)
    repeated = np.concatenate([score[yes], np.repeat(score[~yes], 9)])
    truth = np.concatenate([np.ones(yes.sum(), bool), np.zeros(9 * (~yes).sum(), bool)])
    assert average_precision(score, yes, truth.mean()) == pytest.approx(
        average_precision(repeated, truth)
    )


@pytest.mark.parametrize("head", ["sentiment", "emotion", "participation", "topics"])
def test_right_answers_select_better_than_wrong_ones(head: str) -> None:
    truth = np.array([0, 1, 2, 1, 0, 2])
    logits = np.eye(3)[truth] * 4 - 2
    if head == "participation":
        logits = np.where(np.arange(4) < truth[:, None], 2.0, -2.0)
    if head == "topics":
        truth = np.eye(3, dtype=np.int64)[truth]
    assert training_of(head).figure(logits, truth) == pytest.approx(1.0)
    assert training_of(head).figure(-logits, truth) < 0.7
