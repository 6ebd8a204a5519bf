"""What becomes of a partition whose work has ended while the store is away."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from core.errors import StoreUnavailable
from services.forecaster.owned import OwnedPartitions
from services.forecaster.reading import PolledRecords
from stream.store.increments import PartitionState
from tests.services.forecaster.test_partitions import Bench, post


class _Reader:
    """Says where topics begin and end, and keeps from where each partition is read."""

    def __init__(self) -> None:
        self.started: list[tuple[int, int, int]] = []
        self.held: set[str] = set()

    async def bounds(self, partition: int) -> Any:
        return {"scored-posts": (0, 10**6), "post-events": (0, 10**6)}

    async def start(self, partition: int, posts: int, events: int) -> None:
        self.started.append((partition, posts, events))

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 9)

    async def hold(self, topic: str, partition: int, *, is_held: bool) -> None:
        self.held = self.held | {topic} if is_held else self.held - {topic}


class _Store:
    """Says what the workers have counted."""

    def __init__(self) -> None:
        self.counted = -1

    async def readable_states(self, partitions: Iterable[int]) -> Any:
        cursors = {"posts": self.counted, "post-events": -1}
        return {n: PartitionState(cursors, -1, -1, {}) for n in partitions}, {}


async def test_how_long_posts_wait_to_be_counted_is_looked_at_also_where_posts_are_read() -> None:
    bench, store = Bench(), _Store()
    owned = OwnedPartitions(bench.parts, _Reader(), store, 0.0)  # type: ignore[arg-type]
    await owned.begin(3, 1)
    owned.partitions[3].merge.add_posts([post(0)], 0)
    clock, delay = bench.parts.clock, bench.parts.pacer.delay
    await owned.let_time_pass()
    clock.advance(3.0)  # type: ignore[attr-defined]
    store.counted = 4
    await owned.let_time_pass()
    assert delay.now_s == 3.0
    store.counted = 8
    await owned.let_time_pass()
    assert delay.now_s == 0.0
    await owned.drop_all()


async def test_while_posts_wait_to_be_counted_nothing_is_read_ahead_and_that_is_counted() -> None:
    bench, reader, store = Bench(), _Reader(), _Store()
    owned = OwnedPartitions(bench.parts, reader, store, 0.0)  # type: ignore[arg-type]
    await owned.begin(3, 1)
    clock, merge = bench.parts.clock, owned.partitions[3].merge
    merge.add_posts([post(0)], 10)
    await owned.let_time_pass()
    await owned.hold()
    assert reader.held == set(), "nothing is known to wait yet"
    clock.advance(3.0)  # type: ignore[attr-defined]
    await owned.let_time_pass()
    await owned.hold()
    assert reader.held == {"scored-posts"}, "events are read: the post waits for them"
    clock.advance(2.0)  # type: ignore[attr-defined]
    store.counted = 8
    await owned.let_time_pass()
    await owned.hold()
    assert reader.held == set()
    clock.advance(7.0)  # type: ignore[attr-defined]
    await owned.hold()
    assert bench.value("forecaster_read_less_seconds_total") == 2.0
    await owned.drop_all()


async def test_a_partition_that_was_refused_is_begun_anew_once_the_store_is_back() -> None:
    bench, reader = Bench(), _Reader()
    owned = OwnedPartitions(bench.parts, reader, None, 0.0)  # type: ignore[arg-type]
    await owned.begin(3, 1)
    await bench.feed(await bench.begin(), [post(n, n) for n in range(4)])  # by another owner
    first = owned.partitions[3]
    first.merge.add_posts([post(0)], 0)
    first.wake()
    await asyncio.wait([owned._owned[3].task])
    bench.state.down = 2
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await owned.hold()
        assert list(owned.partitions) == [3], "it is not forgotten"
        owned.feed(PolledRecords(frozenset({3}), frozenset()))
    await owned.hold()
    assert owned.partitions[3] is not first
    assert reader.started == [(3, 0, 0), (3, 4, 0)]
    assert bench.value("forecaster_applies_refused_total", partition="3") == 1
    await owned.drop_all()
