"""Dead records as they are sent: their place, and their bytes."""

from core import reasons
from core.clock import ManualClock
from core.codec import dead_post_decoder
from core.schemas import DEAD_PAYLOAD_BYTES
from core.sealing import PLAIN
from stream.topics import DEAD_POSTS, POSTS
from stream.windows.watermark import PartitionWatermark
from stream.worker.batch import DeadRecord, PartitionPosition
from stream.worker.steps.send_dead import SendDead
from testkit.builders import NOON
from testkit.stream import ListSink, batch_of


async def test_a_dead_record_has_its_size_and_the_first_64_kib_of_its_bytes() -> None:
    sink = ListSink()
    long = b"x" * (DEAD_PAYLOAD_BYTES + 1)
    batch = batch_of(b"", position=PartitionPosition(POSTS, 2, -1, PartitionWatermark(0)))
    batch.dead += [
        DeadRecord(7, reasons.NOT_JSON, "why", long[:-1]),
        DeadRecord(8, reasons.TOO_LARGE, "why", long),
    ]
    await SendDead(sink, ManualClock(NOON), PLAIN).run(batch)
    placed = sink.records[DEAD_POSTS]
    assert [(number, record.key) for number, record in placed] == [
        (0, b"posts|2|7"), (0, b"posts|2|8"),
    ]  # fmt: skip
    first, second = (dead_post_decoder.decode(record.value) for _, record in placed)
    assert (first.reason, first.detail, first.dead_at) == (reasons.NOT_JSON, "why", NOON)
    assert (first.topic, first.partition, first.offset) == (POSTS, 2, 7)
    assert (first.size, first.payload) == (65_536, long[:-1])
    assert (second.size, second.payload) == (65_537, long[:-1])


async def test_without_dead_records_nothing_is_sent() -> None:
    sink = ListSink()
    await SendDead(sink, ManualClock(NOON), PLAIN).run(batch_of(b""))
    assert sink.records == {}
