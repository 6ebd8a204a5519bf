from datetime import UTC, datetime

from core.clock import ManualClock
from core.metrics import Metrics
from stream.worker.batching import BatchLimits
from stream.worker.waiting import STALLED_AFTER_S, WaitingRecords
from testkit.stream import MemoryPartition


def _waiting(partition: MemoryPartition, clock: ManualClock) -> WaitingRecords:
    limits = BatchLimits(max_posts=4, max_bytes=1000, max_age_s=0.05)
    return WaitingRecords("posts", 0, limits, partition.control(), clock, Metrics())


async def test_the_last_run_of_a_stream_that_was_dropped_on_its_way_is_fetched_again():
    partition, clock = (
        MemoryPartition([b"a", b"b", b"c"]),
        ManualClock(datetime(2026, 1, 1, tzinfo=UTC)),
    )
    waiting = _waiting(partition, clock)
    await waiting.seek(0, "assigned")
    await waiting.offer(partition.fetch(1))
    partition.fetch(2)  # dropped: nobody is offered it, and no other run follows
    assert len(waiting.cut()) == 1
    await waiting.seek_if_stalled()
    assert partition.seeks == [0]
    clock.advance(STALLED_AFTER_S + 1)
    await waiting.seek_if_stalled()
    assert partition.seeks == [0, 1]
    await waiting.offer(partition.fetch(5))
    assert [record.offset for record in waiting.cut()] == [1, 2]


async def test_a_partition_at_its_end_is_left_alone_however_long_it_is_quiet():
    partition, clock = MemoryPartition([b"a"]), ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    waiting = _waiting(partition, clock)
    await waiting.seek(0, "assigned")
    await waiting.offer(partition.fetch(1))
    waiting.cut()
    clock.advance(1000)
    await waiting.seek_if_stalled()
    assert partition.seeks == [0]
