"""A store that went back while a partition is quiet: no apply is refused, and it is still seen."""

from __future__ import annotations

import asyncio

from core.errors import StateUnreadable, StoreUnavailable
from stream.store.increments import PartitionState
from stream.topics import POSTS
from stream.worker.flows import PartitionFlows
from tests.stream.worker.test_flow import World, world

__all__ = ["world"]


async def _quiet_at_the_end(world: World) -> None:
    await world.start()
    await world.feed(6)
    await world.until("release 4")
    assert world.flow.cursor == 5


def _is(world: World, cursor: int) -> None:
    world.state = PartitionState({POSTS: cursor}, -1, -1, {})


async def test_a_quiet_partition_is_counted_again_where_the_store_went_back(world: World) -> None:
    await _quiet_at_the_end(world)
    _is(world, 1)
    await world.flow.check_store()
    await world.until("state", 3)
    while world.flow.cursor != 1:  # noqa: ASYNC110 a flow tells nobody that it is placed
        await asyncio.sleep(0)
    assert world.partition.seeks == [0, 2]
    assert world.value("applies_refused_total", partition="3") == 1
    await world.feed(6)
    await world.until("release 4", 2)
    assert world.flow.cursor == 5
    _is(world, -1)
    await world.flow.check_store()
    await world.until("state", 5)
    assert world.partition.seeks[-1] == 0, "a second time as well"


async def test_who_knows_what_is_stored_goes_on(world: World) -> None:
    await _quiet_at_the_end(world)
    for cursor in (5, 9):  # where another is ahead, what it has not read is refused to us
        _is(world, cursor)
        await world.flow.check_store()
        await asyncio.sleep(0)
    assert world.partition.seeks == [0]


async def test_what_is_on_its_way_is_judged_by_its_apply(world: World) -> None:
    world.holds[4] = asyncio.Event()
    await world.start()
    await world.feed(6)
    await world.until("prepare 4")
    _is(world, -1)
    asked = world.done.count("state")
    await world.flow.check_store()
    assert world.done.count("state") == asked
    world.holds[4].set()
    await world.until("release 4")
    assert world.partition.seeks == [0]


async def test_what_is_applied_while_the_store_is_asked_is_not_taken_for_going_back(
    world: World,
) -> None:
    await world.start()
    await world.feed(2)
    await world.until("release 0")
    _is(world, 1)
    answers, goes_on = world.partition_state, asyncio.Event()

    async def slowly(partition: int) -> PartitionState:
        state = await answers(partition)
        await goes_on.wait()
        return PartitionState({POSTS: state.cursors[POSTS] - 1}, -1, -1, {})

    world.partition_state = slowly
    checking = asyncio.create_task(world.flow.check_store())
    await world.feed(4)
    await world.until("release 4")
    goes_on.set()
    await checking
    await asyncio.sleep(0)
    assert world.flow.cursor == 5
    assert world.partition.seeks == [0]


async def test_a_flow_that_has_not_begun_or_drains_asks_nothing(world: World) -> None:
    await world.flow.check_store()
    await _quiet_at_the_end(world)
    await world.flow.drain()
    asked = world.done.count("state")
    await world.flow.check_store()
    assert world.done.count("state") == asked


class _Asked:
    """A flow whose store answers with a fault."""

    failure = None

    def __init__(self, fault: Exception | None, asked: list[str]) -> None:
        self.fault, self.asked = fault, asked

    async def check(self) -> None:
        self.asked.append("check")

    async def check_store(self) -> None:
        self.asked.append("store")
        if self.fault is not None:
            raise self.fault


async def test_a_store_that_is_away_or_unreadable_ends_no_worker() -> None:
    asked: list[str] = []
    flows = PartitionFlows.__new__(PartitionFlows)
    faults = (StateUnreadable(0, "key", "found", "expected"), StoreUnavailable("away"), None)
    flows._flows = {(POSTS, n): _Asked(fault, asked) for n, fault in enumerate(faults)}
    await flows.check()
    assert asked == ["check"] * 3 + ["store"] * 2, "who is away is not asked once a partition"
