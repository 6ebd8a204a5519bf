"""Forecasts take little while posts wait to be counted, and all that they need when none does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock
from services.pacing import PATIENCE, CountingDelay, Pacer

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class World:
    """A pacer whose processor time is told."""

    def __init__(self) -> None:
        self.clock, self.spent_s = ManualClock(NOON), 0.0
        self.rests: list[float] = []
        self.pacer = Pacer(self.clock, self.rests.append, lambda: self.spent_s)

    async def batch(self, spent_s: float) -> float:
        """Spend this much, rest, and return how long the rest was."""
        self.spent_s += spent_s
        before_s = self.clock.monotonic()
        await self.pacer.rest()
        return self.clock.monotonic() - before_s


def test_the_delay_is_the_age_of_the_oldest_look_that_is_not_counted_yet() -> None:
    delay, found = CountingDelay(), []
    for at_s, end, counted in [
        (0, 10, 10), (1, 500, 10), (2, 500, 200), (3, 600, 400), (4, 600, 500), (5, 600, 600),
    ]:  # fmt: skip
        delay.look({0: end}, {0: counted}, at_s)
        found.append(delay.now_s)
    # 500 was there at 1 and is counted at 4; what came by 3 waits for one second then.
    assert found == [0, 0, 1, 2, 1, 0]


def test_a_topic_that_is_made_anew_is_not_waited_for_up_to_its_old_end() -> None:
    delay = CountingDelay()
    for at_s, end, counted in [(0, 900, 500), (1, 10, 0), (2, 20, 10), (60, 80, 60), (61, 90, 80)]:
        delay.look({0: end}, {0: counted}, at_s)
    assert delay.now_s <= 1


def test_the_slowest_partition_counts_and_those_that_are_lost_or_unreadable_do_not() -> None:
    delay = CountingDelay()
    delay.look({0: 9, 1: 9}, {0: 0, 1: 0}, 0)
    delay.look({0: 9, 1: 9}, {0: 8, 1: 9}, 5)
    assert delay.now_s == 5
    delay.look({0: 9, 1: 9}, {1: 9}, 6)
    assert delay.now_s == 0, "nothing is known of a partition whose state cannot be read"
    delay.look({1: 9}, {1: 9}, 7)
    delay.look({0: 20, 1: 9}, {0: 8, 1: 9}, 8)
    assert delay.now_s == 0, "it was another's in the meantime"


def test_a_partition_in_which_nothing_is_counted_any_more_holds_up_no_forecast() -> None:
    delay, found = CountingDelay(), []
    for at_s in range(0, 40, 5):
        delay.look({0: 9}, {0: 3}, at_s)
        found.append(delay.now_s)
    assert found == [0, 5, 10, 15, 20, 25, 0, 0]
    delay.look({0: 9}, {0: 4}, 40)
    assert delay.now_s == 40, "somebody counts again, and is far behind"


@given(
    counted=st.lists(st.integers(0, 5), min_size=1, max_size=1_500),
    come=st.lists(st.integers(0, 5), min_size=1_500, max_size=1_500),
)
def test_the_delay_is_never_longer_than_the_time_since_something_was_missing(
    counted: list[int], come: list[int]
) -> None:
    delay, end, upto, since = CountingDelay(), 0, 0, 0
    for at_s, (new, done) in enumerate(zip(come, counted, strict=False)):
        end, upto = end + new, min(end + new, upto + done)
        if upto == end:
            since = at_s
        delay.look({7: end}, {7: upto}, at_s)
        assert 0 <= delay.now_s <= at_s - since
        assert delay.now_s == 0 or upto < end


async def test_nothing_rests_while_nothing_waits() -> None:
    world = World()
    assert await world.batch(3.0) == 0
    assert not world.rests


async def test_rest_grows_with_what_was_spent_and_with_how_long_posts_wait_up_to_a_bound() -> None:
    world = World()
    world.pacer.delay.now_s = 0.5
    assert await world.batch(0.1) == pytest.approx(0.1 * PATIENCE * 0.5)
    assert await world.batch(0.2) == pytest.approx(0.2 * PATIENCE * 0.5)
    world.pacer.delay.now_s = 3_600.0
    assert await world.batch(0.1) == pytest.approx(5.0), "a fiftieth of a core is kept"
    assert sum(world.rests) == pytest.approx(1.0 + 2.0 + 5.0)


async def test_rest_ends_when_nothing_waits_any_more() -> None:
    world = World()
    world.pacer.delay.now_s = 10.0
    slept = world.clock.sleep

    async def sleep(delay_s: float) -> None:
        await slept(delay_s)
        world.pacer.delay.now_s = 0.0

    world.clock.sleep = sleep  # type: ignore[method-assign]
    assert await world.batch(1.0) == pytest.approx(0.5), "the first look after it"


async def test_time_that_went_by_without_work_is_rest_already() -> None:
    world = World()
    world.pacer.delay.now_s = 1.0
    world.clock.advance(1.5)
    assert await world.batch(0.1) == pytest.approx(0.1 * PATIENCE - 1.5)
    world.clock.advance(60)
    assert await world.batch(0.1) == 0


async def test_partitions_take_turns_so_that_many_spend_no_more_than_one() -> None:
    world = World()
    world.pacer.delay.now_s = 1.0
    world.spent_s = 0.1
    await asyncio.gather(*(world.pacer.rest() for _ in range(4)))
    assert world.rests == [pytest.approx(0.1 * PATIENCE)], "it was spent once"
