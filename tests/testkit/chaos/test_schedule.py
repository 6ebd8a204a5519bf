"""Schedules of faults, and what is asked for."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from testkit.chaos.faults import FAULTS, STAND_IN_ONLY, kinds_for, never_fired, parse_faults
from testkit.chaos.schedule import make_schedule

WANTED = st.dictionaries(st.sampled_from(sorted(FAULTS)), st.integers(1, 5), min_size=1)


@given(WANTED, st.integers(0, 60), st.integers())
def test_schedule_is_the_same_for_a_seed_and_holds_what_was_asked_for(wanted, events, seed):
    schedule = make_schedule(wanted, events, seed)
    assert schedule == make_schedule(wanted, events, seed)
    assert len(schedule) == max(events, sum(wanted.values()))
    assert never_fired(wanted, [fault.kind for fault in schedule]) == []
    assert {fault.kind for fault in schedule} == set(wanted)


@given(WANTED, st.integers(0, 60), st.integers())
def test_faults_come_in_order_and_only_pairs_overlap(wanted, events, seed):
    schedule = make_schedule(wanted, events, seed)
    places = [fault.at for fault in schedule]
    assert places == sorted(places)
    assert places[0] > 0
    assert places[-1] < 1
    assert not schedule[0].overlaps
    assert not any(a.overlaps and b.overlaps for a, b in pairwise(schedule))


def test_another_seed_gives_another_schedule():
    wanted = dict.fromkeys(FAULTS, 1)
    assert make_schedule(wanted, 0, 1) != make_schedule(wanted, 0, 2)


def test_some_faults_of_a_long_schedule_overlap():
    schedule = make_schedule(dict.fromkeys(FAULTS, 5), 0, 1)
    assert 5 < sum(fault.overlaps for fault in schedule) < len(schedule) / 2


def test_nothing_asked_for_means_every_kind_once():
    assert parse_faults("", "fake") == dict.fromkeys(FAULTS, 1)
    assert parse_faults("", "triton") == dict.fromkeys(kinds_for("triton"), 1)


@pytest.mark.parametrize("text", ["redis-gone", "redis-killed:0", "redis-killed:x"])
def test_a_fault_that_does_not_exist_is_refused(text):
    with pytest.raises(ConfigError, match="redis"):
        parse_faults(text, "fake")


def test_a_real_triton_cannot_be_told_to_fail():
    for name in STAND_IN_ONLY:
        with pytest.raises(ConfigError, match="--scorer fake"):
            parse_faults(name, "triton")


def test_a_fault_that_fired_too_seldom_is_named():
    assert never_fired({"redis-killed": 2, "worker-killed": 1}, ["redis-killed"]) == [
        "redis-killed (1 of 2)",
        "worker-killed (0 of 1)",
    ]
