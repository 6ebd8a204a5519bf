"""Posts and events in order of time, however they are read."""

import random

from hypothesis import given
from hypothesis import strategies as st

from services.forecaster.merging import Arrival, Lag, TimeMerge

TIMES = st.lists(st.one_of(st.none(), st.integers(0, 40)), max_size=30)


def _arrivals(times: list[int | None], *, is_post: bool) -> list[Arrival]:
    return [
        Arrival(offset, None if at is None else float(at), None, is_post=is_post)
        for offset, at in enumerate(times)
    ]


def _plain(posts: list[Arrival], events: list[Arrival]) -> list[Arrival]:
    """The obvious program, which sees everything at once."""
    found: list[Arrival] = []
    clock, waiting = 0.0, list(events)

    def let_go(until: float) -> None:
        nonlocal clock
        while waiting and (waiting[0].at_s is None or waiting[0].at_s <= max(until, clock)):
            clock = max(clock, waiting[0].at_s or 0.0)
            found.append(waiting.pop(0))

    for post in posts:
        let_go(clock if post.at_s is None else post.at_s)
        clock = max(clock, post.at_s or 0.0)
        found.append(post)
    let_go(clock)
    return found


def _drained(merge: TimeMerge, most: int) -> list[Arrival]:
    found: list[Arrival] = []
    while taken := merge.take(most):
        assert sum(one.is_post for one in taken) <= most
        found += taken
    return found


@given(TIMES, TIMES, st.integers(1, 7), st.randoms(use_true_random=False))
def test_the_order_is_the_plain_programs_however_topics_are_read_and_batches_cut(
    post_times, event_times, most: int, chance: random.Random
) -> None:
    posts, events = _arrivals(post_times, is_post=True), _arrivals(event_times, is_post=False)
    merge = TimeMerge(0, 0)
    found: list[Arrival] = []
    left_posts, left_events = list(posts), list(events)
    while left_posts or left_events:
        if left_posts and (not left_events or chance.random() < 0.5):
            some = [left_posts.pop(0) for _ in range(min(chance.randint(1, 4), len(left_posts)))]
            merge.add_posts(some, len(events))
        else:
            some = [left_events.pop(0) for _ in range(min(chance.randint(1, 4), len(left_events)))]
            merge.add_events(some)
        found += _drained(merge, most)
    assert _by_time(found) == _by_time(_plain(posts, events))
    assert (merge.next_post, merge.next_event) == (len(posts), len(events))


def _by_time(found: list[Arrival]) -> list[Arrival]:
    """What has no time may stand anywhere in its own queue, which is looked at here."""
    timed = [one for one in found if one.at_s is not None]
    return timed + [one for one in found if one.is_post] + [one for one in found if not one.is_post]


@given(TIMES, TIMES)
def test_events_beyond_the_clock_wait_until_no_post_can_come(post_times, event_times) -> None:
    posts, events = _arrivals(post_times, is_post=True), _arrivals(event_times, is_post=False)
    merge = TimeMerge(0, 0)
    merge.add_events(events)
    merge.add_posts(posts, len(events))
    _drained(merge, 100)
    left = merge.events
    assert merge.take(100) == []
    merge.release(len(events) - 1)
    assert len(_drained(merge, 100)) == left
    assert merge.events == 0


def test_a_post_waits_until_events_are_read_as_far_as_they_reached_when_it_was_there() -> None:
    post, event = Arrival(0, 10.0, None, is_post=True), Arrival(0, 5.0, None)
    merge = TimeMerge(0, 0)
    merge.add_posts([post], 1)
    assert merge.take(9) == []
    merge.add_events([event])
    assert merge.take(9) == [event, post]


def test_a_released_event_still_gives_way_to_a_post_that_is_there() -> None:
    merge = TimeMerge(0, 0)
    merge.add_events([Arrival(0, 20.0, None)])
    merge.release(0)
    merge.add_posts([Arrival(0, 10.0, None, is_post=True)], 1)
    assert [one.is_post for one in merge.take(9)] == [True, False]


def test_an_event_behind_a_later_one_waits_with_it() -> None:
    merge = TimeMerge(0, 0)
    merge.add_events([Arrival(0, 30.0, None), Arrival(1, 1.0, None)])
    merge.add_posts([Arrival(0, 10.0, None, is_post=True)], 2)
    assert [one.is_post for one in merge.take(9)] == [True]
    assert merge.events == 2


def test_how_old_is_what_waits_is_said_of_both_topics() -> None:
    merge = TimeMerge(0, 0)
    assert merge.lag(100.0) == Lag(0.0, 0.0)
    merge.add_events([Arrival(0, 50.0, None, written_s=90.0)])
    merge.add_posts([Arrival(0, 40.0, None, written_s=97.5, is_post=True)], 5)
    assert merge.lag(100.0) == Lag(2.5, 10.0)
    assert merge.lag(80.0) == Lag(0.0, 0.0)
