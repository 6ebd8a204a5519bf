"""Turns by size: what is drawn, what passes a threshold, and the best possible above the watch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.crowds.turning import CLASSES, WITHIN
from evaluation.crowds.turning_sizes import (
    best,
    draw,
    interval,
    is_noticed,
    measure,
    threshold,
    watch_calm,
    watched,
)
from models.socialalign.live import LiveCrowd, SourceCrowds
from models.socialalign.posterior import CrowdStrength
from models.socialalign.turns import CrowdPath


def test_crowds_turn_as_far_as_they_should() -> None:
    rng = np.random.default_rng(1)
    for size in ((0.3, 0.5), (0.7, 0.85)):
        for turns in (True, False):
            crowd = draw(16.0, size, rng, turns=turns)
            assert size[0] <= np.abs(crowd.after - crowd.before).sum() / 2 < size[1]
            assert len(crowd.labels) == (crowd.turned + WITHIN if turns else crowd.turned)
            assert crowd.nats > 0
            assert best(crowd).shape == (len(crowd.labels),)


def test_the_best_possible_statistic_grows_by_one_an_answer_while_nothing_turns() -> None:
    rng, sums = np.random.default_rng(3), []
    for _ in range(3_000):
        sums.append(np.exp(best(draw(16.0, (0.3, 0.4), rng, turns=False))[3]))
    assert abs(np.mean(sums) - 4) < 0.5


def test_evidence_before_the_turn_is_no_notice() -> None:
    path = np.array([0.0, 5.0, 1.0, 6.0])
    assert is_noticed(path, 1, 5.0)
    assert not is_noticed(path, 2, 5.0)
    assert is_noticed(path, 2, 5.5)
    assert not is_noticed(path, 0, 7.0)


def test_the_threshold_lets_as_many_pass_as_the_budget_allows() -> None:
    paths = [np.array([float(n), 0.0]) for n in range(2_000)]
    for budget in (1, 24):
        least = threshold(paths, budget)
        assert sum(path.max() >= least for path in paths) == 2 * budget


def test_intervals_are_those_of_wilson() -> None:
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert interval(0, 100)[1] == pytest.approx(0.0370, abs=1e-4)


def test_larger_turns_are_noticed_more_often_and_the_best_notices_most() -> None:
    calm = watch_calm(16.0, 100, 4)
    small, large = (measure(16.0, size, 60, calm, 4) for size in ((0.3, 0.5), (0.85, 1.0)))
    assert calm.false["told"] == 0
    assert calm.least["day"] < calm.least["hour"]
    assert small["told_recall"] < large["told_recall"]
    assert small["told_recall"] <= small["day_recall"]
    assert small["nats"] < large["nats"]
    for found in (small, large):
        assert found["best_hour_recall"] > found["told_recall"] - 0.05
        assert found["told_low"] < found["told_recall"] < found["told_high"] + 1e-9


def test_what_is_measured_is_what_the_stream_looks_at() -> None:
    rng = np.random.default_rng(9)
    source = SourceCrowds(CLASSES)
    start = source.start("t")
    for _ in range(5):
        crowd = draw(16.0, (0.7, 0.85), rng, turns=True)
        crowd = replace(crowd, forecast=np.array(start.forecast))
        live = LiveCrowd(start)
        for n, label in enumerate(crowd.labels):
            live.add(f"a{n}", float(n), label)
        path = CrowdPath(live)
        assert path.evidence == pytest.approx(watched(crowd, CrowdStrength(start.learnt)))
        if is_noticed(path.evidence, crowd.turned, 6.0):
            place = path.last_beyond(6.0, -1.0)
            assert place is not None
            assert path.turned(place).upto_s == place
            assert sum(path.turned(place).observed) >= 1
