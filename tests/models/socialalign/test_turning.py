"""Crowds that turn are noticed, others are not, however often one looks."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from evaluation.crowds.turning import measure_turning
from models.socialalign.posterior import CrowdPosterior, CrowdStrength
from models.socialalign.turning import STARTS, CrowdTurn, turn_of, turn_path


def watched(labels: list[int]) -> CrowdTurn:
    """The watch after all labels, of an even forecast."""
    crowd, turn = CrowdPosterior((0.3, 0.4, 0.3), CrowdStrength()), CrowdTurn(3)
    for label in labels:
        turn.add(label, crowd.shares())
        crowd.add(label)
    return turn


def test_the_statistic_grows_by_one_an_answer_on_average_while_nothing_turns() -> None:
    rng, expected = np.random.default_rng(5), np.array([0.3, 0.4, 0.3])
    sums = []
    for _ in range(4_000):
        turn = CrowdTurn(3)
        for label in rng.choice(3, 4, p=expected):
            turn.add(int(label), expected)
        sums.append(np.exp(turn.evidence))
    assert abs(np.mean(sums) - 4) < 0.25


def test_a_crowd_that_turns_is_noticed_and_since_when() -> None:
    calm = [1, 0, 2, 1, 1, 0, 1, 2, 1, 1] * 2
    assert watched(calm).evidence < log(100)
    turned = watched([*calm, *[0] * 12])
    assert turned.evidence > log(1_000)
    assert 11 <= turned.since <= 14


def test_nothing_is_said_before_the_first_answer_and_memory_is_bounded() -> None:
    turn = watched([])
    assert turn.evidence == float("-inf")
    assert turn.since == 0
    assert watched([0, 1, 2] * 60).since <= STARTS


def test_false_ones_stay_within_what_the_threshold_promises() -> None:
    found = measure_turning(16.0, log(50), 100, 3)
    # One in fifty answers at most, and a crowd counts once: far below what is allowed.
    assert found.false_an_hour < 700
    assert found.recall > 0.7
    assert measure_turning(16.0, log(50_000), 100, 3).false_an_hour == 0


@pytest.mark.parametrize("number", [0, 1, 7, STARTS, STARTS + 1, 150])
def test_at_once_is_as_one_after_the_other(number: int) -> None:
    labels = np.random.default_rng(number).choice(3, number, p=[0.6, 0.3, 0.1]).tolist()
    turn = watched(labels)
    said = CrowdPosterior((0.3, 0.4, 0.3), CrowdStrength()).add_all(labels)["posterior"]
    evidence, since = turn_of(labels, said, 3)
    assert evidence == pytest.approx(turn.evidence, abs=1e-9)
    assert since == turn.since


@pytest.mark.parametrize("number", [0, 1, STARTS, STARTS + 1, 150])
def test_the_path_is_what_was_found_after_each_answer(number: int) -> None:
    labels = np.random.default_rng(number).choice(3, number, p=[0.6, 0.3, 0.1]).tolist()
    said = CrowdPosterior((0.3, 0.4, 0.3), CrowdStrength()).add_all(labels)["posterior"]
    evidence, since = turn_path(labels, said, 3)
    assert evidence.shape == since.shape == (number,)
    for place in range(number):
        by_then = watched(labels[: place + 1])
        assert evidence[place] == pytest.approx(by_then.evidence, abs=1e-9)
        assert since[place] == by_then.since
