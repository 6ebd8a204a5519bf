"""The student is made to mean what the encoder means, and asks it where that matters."""

import msgspec
import numpy as np
import pytest

from models.encoder.config import uncalibrated
from models.serving.calibration import probabilities
from models.student.fitting import differs, expected_loss, fit_to_teacher, least_sureness

HEADS = ("sentiment", "topics", "participation", "problem")


@pytest.mark.parametrize("name", HEADS)
def test_what_was_distorted_is_found_again(name: str) -> None:
    head = uncalibrated(name)
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 2, (4_000, head.logits))
    wanted = probabilities(truth.astype(np.float32), head)
    distorted = truth * 2.5 + 1.5 * np.arange(head.logits)
    fitted = fit_to_teacher(head, distorted, wanted)
    found = probabilities(distorted.astype(np.float32), fitted)
    assert np.abs(found - wanted).mean() < 0.01
    assert np.abs(found.mean(0) - wanted.mean(0)).max() < 0.01


def test_nothing_is_lost_where_both_decide_alike() -> None:
    for name in HEADS:
        head = uncalibrated(name)
        found = probabilities(
            np.random.default_rng(1).normal(size=(50, head.logits)).astype(np.float32), head
        )
        assert not expected_loss(found, found, head, head).any()
        assert not differs(found, found, head, head).any()


def test_what_is_lost_is_what_the_encoder_holds_likelier() -> None:
    sentiment, problem = uncalibrated("sentiment"), uncalibrated("problem")
    theirs = np.array([[0.7, 0.2, 0.1]], np.float32)
    ours = np.array([[0.2, 0.7, 0.1]], np.float32)
    assert expected_loss(ours, theirs, sentiment, sentiment) == pytest.approx([0.5])
    cut = msgspec.structs.replace(problem, cut=0.4)
    yes, no = np.array([[0.9]], np.float32), np.array([[0.1]], np.float32)
    assert expected_loss(no, yes, cut, cut) == pytest.approx([0.5])
    levels = uncalibrated("participation")
    third = np.array([[0.1, 0.1, 0.6, 0.1, 0.1]], np.float32)
    second = np.array([[0.1, 0.6, 0.1, 0.1, 0.1]], np.float32)
    none = np.array([[0.8, 0.1, 0.05, 0.03, 0.02]], np.float32)
    assert expected_loss(second, third, levels, levels) == pytest.approx([0.5])
    assert expected_loss(none, third, levels, levels) == pytest.approx([0.4])


@pytest.mark.parametrize("most_lost", [0.0, 0.01, 0.05, 0.2, 1.0])
def test_no_more_is_left_than_may_be(most_lost: float) -> None:
    rng = np.random.default_rng(4)
    # Many are equally sure: a limit between them would not keep its promise.
    sure = rng.integers(0, 20, 1_000) / 20
    lost = rng.random(1_000) * (1 - sure)
    limit = least_sureness(sure, lost, most_lost)
    assert (lost * (sure >= limit)).mean() <= most_lost
    if limit > 0:
        assert (lost * (sure >= limit - 0.05)).mean() > most_lost


def test_a_student_that_loses_nothing_is_never_overruled() -> None:
    assert least_sureness(np.array([0.1, 0.9]), np.zeros(2), 0.0) == 0.0
