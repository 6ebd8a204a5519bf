"""The idle timer, back-off and hosts at their bounds, on a clock that the test moves."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from core.clock import ManualClock
from core.retry import Backoff
from services.ingest.sources.pacing import STRETCH_S, Hosts, IdleTimer


class Stream:
    """A stream whose messages come when the test says; limits of 5 to 600 s, 30 s at first."""

    def __init__(self, initial_s: float = 30.0) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.clock.advance(1_000.0)
        self.timer = IdleTimer(5.0, 600.0, initial_s, self.clock.monotonic)

    def hear(self, count: int, pause_s: float) -> None:
        for _ in range(count):
            self.clock.advance(pause_s)
            self.timer.heard()


def test_until_a_hundred_messages_the_limit_is_at_least_the_initial_one() -> None:
    stream = Stream()
    stream.hear(99, 0.1)
    assert stream.timer.limit_s == 30.0
    stream.hear(1, 0.1)
    assert stream.timer.limit_s == 5.0


def test_the_limit_is_three_times_the_longest_pause_or_25_times_the_mean() -> None:
    stream = Stream()
    stream.hear(100, 1.0)
    assert stream.timer.limit_s == pytest.approx(25.0)
    stream.hear(1, 20.0)
    assert stream.timer.limit_s == pytest.approx(60.0)
    stream.hear(1, 500.0)
    assert stream.timer.limit_s == 600.0


def test_silence_is_over_after_the_limit_and_not_at_it() -> None:
    stream = Stream(initial_s=8.0)
    stream.clock.advance(8.0)
    assert stream.timer.silent_s == 8.0
    assert not stream.timer.is_over
    stream.clock.advance(0.5)
    assert stream.timer.is_over
    stream.timer.restart()
    assert stream.timer.silent_s == 0.0
    assert stream.timer.limit_s == 8.0, "a restart is no pause of the stream"


def test_a_silence_that_was_given_up_is_a_pause_unless_a_longer_one_was_seen() -> None:
    stream = Stream()
    stream.hear(200, 0.1)
    stream.clock.advance(40.0)
    stream.timer.gave_up()
    assert stream.timer.silent_s == 0.0
    assert stream.timer.limit_s == 120.0
    stream.clock.advance(1.0)
    stream.timer.gave_up()
    assert stream.timer.limit_s == 120.0


def test_what_a_stretch_showed_holds_for_the_next_and_is_then_forgotten() -> None:
    stream = Stream()
    stream.hear(1, 50.0)
    stream.hear(int(STRETCH_S) - 51, 1.0)
    assert stream.timer.limit_s == 150.0
    stream.hear(1, 1.0)  # ten minutes are full
    assert stream.timer.limit_s == 150.0
    stream.hear(int(STRETCH_S) - 1, 1.0)
    assert stream.timer.limit_s == 150.0
    stream.hear(1, 1.0)
    assert stream.timer.limit_s == pytest.approx(25.0, rel=0.01)


def test_a_young_stretch_says_nothing_of_the_mean_before_a_hundred_and_one_messages() -> None:
    stream = Stream()
    stream.hear(int(STRETCH_S), 1.0)
    stream.hear(100, 2.0)
    assert stream.timer.limit_s == pytest.approx(25.0, rel=0.01)
    stream.hear(1, 2.0)
    assert stream.timer.limit_s == pytest.approx(50.0, rel=0.01)


def test_time_in_which_we_did_not_listen_shortens_a_silence_and_never_below_nothing() -> None:
    stream = Stream()
    stream.clock.advance(10.0)
    stream.timer.not_listening(4.0)
    assert stream.timer.silent_s == 6.0
    stream.timer.not_listening(60.0)
    assert stream.timer.silent_s == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_waits_double_up_to_the_longest_and_start_over_after_a_good_attempt(seed: int) -> None:
    backoff = Backoff(1.0, 6.0, random.Random(seed))
    for ceiling_s in (1.0, 2.0, 4.0, 6.0, 6.0):
        assert ceiling_s / 2 <= backoff.next_s() <= ceiling_s
    backoff.reset()
    assert 0.5 <= backoff.next_s() <= 1.0


def test_what_the_other_side_asks_for_is_kept_up_to_ten_times_the_longest() -> None:
    backoff = Backoff(2.0, 2.0, random.Random(1))
    assert 6.0 <= backoff.next_s(5.0) <= 7.0
    assert 21.0 <= backoff.next_s(21.0) <= 22.0
    assert 1.0 <= backoff.next_s(-3.0) <= 2.0
    assert 1.0 <= backoff.next_s(0.0) <= 2.0


def test_waits_are_spread_over_the_upper_half() -> None:
    waits_s = [Backoff(4.0, 4.0, random.Random(seed)).next_s() for seed in range(100)]
    assert min(waits_s) < 2.3
    assert max(waits_s) > 3.7


def test_a_stream_that_showed_nothing_yet_has_the_limits_it_was_given() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    timer = IdleTimer(0.01, 600.0, 2.0, clock.monotonic)
    assert timer.limit_s == 2.0
    for _ in range(200):
        clock.advance(0.01)
        timer.heard()
    assert timer.limit_s == pytest.approx(0.25)


def test_a_quick_stretch_sets_the_limit_by_its_own_pauses() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    timer = IdleTimer(0.01, 600.0, 2.0, clock.monotonic)
    for _ in range(int(STRETCH_S / 0.1) + 1):
        clock.advance(0.1)
        timer.heard()
    clock.advance(0.1)
    timer.heard()
    assert timer.limit_s == pytest.approx(2.5, rel=0.01)


def test_waits_of_many_attempts_stay_numbers() -> None:
    backoff = Backoff(1.0, 6.0)
    assert max(backoff.next_s() for _ in range(3_000)) <= 6.0


def test_hosts_take_turns_and_begin_again() -> None:
    hosts = Hosts(("a", "b", "c"))
    assert len(hosts) == 3
    assert hosts.current == "a"
    assert [hosts.rotate() for _ in range(4)] == ["b", "c", "a", "b"]
    assert hosts.current == "b"
