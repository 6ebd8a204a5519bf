"""Where waiting records pause and resume, which gaps are taken, and when a seek is made again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.clock import ManualClock
from core.metrics import Metrics
from stream.worker.batching import BatchLimits
from stream.worker.waiting import (
    MAX_WAITING_BATCHES,
    RESEEK_AFTER_S,
    STALLED_AFTER_S,
    WaitingRecords,
)
from testkit.stream import MemoryPartition, MemoryRecord

POSTS, BYTES = 4, 100
FULL = MAX_WAITING_BATCHES * POSTS


class Bench:
    """Waiting records of one partition whose topic holds nothing before `first_offset`."""

    def __init__(self, first_offset: int = 0, records: int = 0) -> None:
        self.partition = MemoryPartition([b""] * records, first_offset)
        self.clock, self.metrics = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), Metrics()
        self.waiting = WaitingRecords(
            "posts", 3, BatchLimits(POSTS, BYTES, 0.05), self.partition.control(), self.clock,
            self.metrics,
        )  # fmt: skip

    async def offer(self, first: int, count: int, size: int = 0) -> None:
        await self.waiting.offer([MemoryRecord(first + i, b"x" * size) for i in range(count)])

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}_total", labels)

    @property
    def seeks(self) -> list[int]:
        return self.partition.seeks

    def taken(self) -> list[int]:
        found: list[int] = []
        while self.waiting.wait_s(0) is not None:
            found += [record.offset for record in self.waiting.cut()]
        return found


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.waiting.seek(0, "assigned")
    return made


async def test_a_partition_is_paused_at_sixteen_full_batches_and_resumed_at_eight(
    bench: Bench,
) -> None:
    await bench.offer(0, FULL - 1)
    assert not bench.partition.paused
    await bench.offer(FULL - 1, 1)
    assert bench.partition.paused
    for _ in range(MAX_WAITING_BATCHES // 2 - 1):
        assert len(bench.waiting.cut()) == POSTS
    assert bench.partition.paused
    bench.waiting.cut()
    assert not bench.partition.paused
    await bench.offer(FULL, FULL // 2)
    assert bench.partition.paused, "and again when it is full again"


async def test_a_partition_is_paused_and_resumed_by_bytes_too(bench: Bench) -> None:
    await bench.offer(0, MAX_WAITING_BATCHES - 1, BYTES)
    await bench.offer(MAX_WAITING_BATCHES - 1, 1, BYTES - 1)
    assert not bench.partition.paused
    await bench.offer(MAX_WAITING_BATCHES, 1, 1)
    assert bench.partition.paused
    for _ in range(MAX_WAITING_BATCHES // 2 - 1):
        assert len(bench.waiting.cut()) == 1
    assert bench.partition.paused
    bench.waiting.cut()
    assert not bench.partition.paused, "eight batches of bytes are left"


async def test_a_flow_that_forgets_gives_a_paused_partition_back(bench: Bench) -> None:
    await bench.offer(0, FULL, 9)
    assert bench.partition.paused
    assert bench.waiting.changed.is_set()
    bench.waiting.forget()
    assert not bench.partition.paused
    assert not bench.waiting.is_placed
    assert not bench.waiting.changed.is_set()
    assert bench.waiting.wait_s(0) is None
    await bench.offer(FULL, 1)
    assert bench.taken() == [], "nothing is taken before the next seek"
    await bench.waiting.seek(0, "refused")
    assert bench.waiting.wait_s(1) is None
    await bench.offer(0, MAX_WAITING_BATCHES - 1, BYTES)
    await bench.offer(MAX_WAITING_BATCHES - 1, 1, BYTES - 1)
    assert not bench.partition.paused, "what was forgotten weighs nothing"
    assert len(bench.waiting.cut()) == 1, "and has no size"
    await bench.offer(MAX_WAITING_BATCHES, 1, BYTES + 1)
    assert bench.partition.paused


async def test_only_records_that_were_not_taken_before_are_taken_and_counted(
    bench: Bench,
) -> None:
    await bench.offer(0, 3)
    await bench.offer(0, 3)
    await bench.offer(1, 4)
    await bench.waiting.offer([])
    assert bench.value("records_fetched", topic="posts", partition="3") == 5
    assert bench.taken() == [0, 1, 2, 3, 4]
    assert bench.seeks == [0]


async def test_a_run_from_before_a_seek_is_left_out_and_asks_for_no_other_seek(
    bench: Bench,
) -> None:
    await bench.offer(5, 2)
    bench.clock.advance(RESEEK_AFTER_S)
    await bench.offer(5, 2)
    assert bench.seeks == [0]
    bench.clock.advance(0.001)
    await bench.offer(5, 2)
    assert bench.seeks == [0, 0]
    assert bench.value("seeks", cause="gap") == 1
    await bench.offer(5, 2)
    assert bench.seeks == [0, 0], "one seek is enough for all that were on their way"
    assert bench.value("offset_gap_posts", partition="3") is None, "nothing is missing"
    assert bench.taken() == []


@pytest.mark.parametrize("first", [10, 8])
async def test_what_the_topic_no_longer_holds_is_counted_and_the_rest_taken(first: int) -> None:
    bench = Bench(first_offset=10)
    await bench.waiting.seek(7, "assigned")
    await bench.offer(first, 14 - first)
    assert bench.value("offset_gap_posts", partition="3") == 3
    assert bench.taken() == [10, 11, 12, 13]
    assert bench.seeks == [7]


async def test_a_gap_that_the_run_begins_after_is_counted_and_sought_at_once() -> None:
    bench = Bench(first_offset=10)
    await bench.waiting.seek(7, "assigned")
    await bench.offer(11, 3)
    assert bench.value("offset_gap_posts", partition="3") == 3
    assert bench.seeks == [7, 10]
    assert bench.taken() == []
    await bench.offer(10, 2)
    assert bench.value("offset_gap_posts", partition="3") == 3
    assert bench.taken() == [10, 11]


async def test_a_seek_made_while_a_gap_is_looked_into_decides() -> None:
    bench = Bench(first_offset=10)
    control = bench.partition.control()

    async def earliest() -> int:
        await bench.waiting.seek(11, "refused")
        return 10

    bench.waiting._control = replace(control, earliest=earliest)
    await bench.waiting.seek(7, "assigned")
    await bench.offer(10, 3)
    assert bench.taken() == []
    assert bench.seeks == [7, 11]
    assert bench.value("offset_gap_posts", partition="3") is None


async def test_a_partition_is_stalled_after_five_quiet_seconds_with_records_left() -> None:
    bench = Bench(records=3)
    await bench.waiting.seek(0, "assigned")
    bench.clock.advance(STALLED_AFTER_S)
    await bench.waiting.seek_if_stalled()
    assert bench.seeks == [0]
    bench.clock.advance(0.001)
    await bench.waiting.seek_if_stalled()
    assert bench.seeks == [0, 0]
    assert bench.value("seeks", cause="stalled") == 1
    await bench.waiting.seek_if_stalled()
    assert bench.seeks == [0, 0], "the seek itself is waited for"
    await bench.offer(0, 2)
    assert bench.taken() == [0, 1]
    bench.clock.advance(STALLED_AFTER_S + 1)
    await bench.offer(2, 1)
    bench.waiting.cut()
    bench.partition.records.append(MemoryRecord(3, b""))
    bench.clock.advance(STALLED_AFTER_S)
    await bench.waiting.seek_if_stalled()
    assert bench.seeks == [0, 0], "silence counts from the last record"


async def test_who_waits_is_paused_or_not_placed_is_not_stalled() -> None:
    bench = Bench(records=FULL + 2)
    bench.clock.advance(STALLED_AFTER_S + 1)
    await bench.waiting.seek_if_stalled()
    assert bench.seeks == []
    await bench.waiting.seek(0, "assigned")
    await bench.offer(0, 1)
    bench.clock.advance(STALLED_AFTER_S + 1)
    await bench.waiting.seek_if_stalled()
    await bench.offer(1, FULL - 1)
    assert bench.partition.paused
    bench.clock.advance(STALLED_AFTER_S + 1)
    await bench.waiting.seek_if_stalled()
    assert bench.seeks == [0]
    bench.waiting._control = replace(bench.partition.control(), end=lambda: None)
    bench.waiting.forget()
    await bench.waiting.seek(0, "refused")
    bench.clock.advance(STALLED_AFTER_S + 1)
    await bench.waiting.seek_if_stalled()
    assert bench.seeks == [0, 0], "before the first fetch nobody knows the end"


async def test_a_batch_ages_from_its_first_record_and_the_rest_from_the_cut(
    bench: Bench,
) -> None:
    assert bench.waiting.wait_s(1) is None
    bench.clock.advance(9.0)
    await bench.offer(0, 1)
    bench.clock.advance(0.02)
    await bench.offer(1, 1)
    assert bench.waiting.wait_s(1) == pytest.approx(0.03)
    assert bench.waiting.wait_s(0) == 0.0
    await bench.offer(2, 3)
    assert bench.waiting.wait_s(1) == 0.0
    assert [record.offset for record in bench.waiting.cut()] == [0, 1, 2, 3]
    assert bench.waiting.wait_s(1) == pytest.approx(0.05)
