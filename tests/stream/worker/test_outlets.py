"""What a worker sends: the place of each record, and what the closer is told."""

from datetime import UTC, datetime

from core import reasons
from core.clock import ManualClock, epoch_ms
from core.codec import dead_post_decoder, progress_decoder
from stream.store.increments import ApplyBatch, PartitionState
from stream.topics import DEAD_POSTS, POST_EVENTS, POSTS, PROGRESS, SCORED_POSTS
from stream.worker.intake import DeadLetter
from stream.worker.outlets import MAX_DEAD_PAYLOAD_BYTES, KafkaOutlets, OutRecord
from stream.worker.pipeline import Outcome
from testkit.stream import ListSink

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _outlets() -> tuple[KafkaOutlets, ListSink]:
    sink = ListSink()
    return KafkaOutlets(sink, ManualClock(NOON)), sink


def _outcome(**fields: object) -> Outcome:
    outcome = Outcome(ApplyBatch(POSTS, -1, 0))
    for name, value in fields.items():
        setattr(outcome, name, value)
    return outcome


async def test_a_scored_post_goes_to_the_partition_of_its_source_and_says_where_it_was() -> None:
    outlets, sink = _outlets()
    scored = [(b"ana", b"{1}", 41), (b"ben", b"{2}", 42)]
    await outlets.send_scored(POST_EVENTS, 5, _outcome(scored=scored))
    where = (("source-topic", b"post-events"), ("source-partition", b"5"))
    assert sink.records[SCORED_POSTS] == [
        (5, OutRecord(b"ana", b"{1}", (*where, ("source-offset", b"41")))),
        (5, OutRecord(b"ben", b"{2}", (*where, ("source-offset", b"42")))),
    ]


async def test_a_dead_letter_has_its_size_and_the_first_64_kib_of_its_bytes() -> None:
    outlets, sink = _outlets()
    long = b"x" * (MAX_DEAD_PAYLOAD_BYTES + 1)
    letters = [
        DeadLetter(7, reasons.NOT_JSON, "why", long[:-1]),
        DeadLetter(8, reasons.TOO_LARGE, "why", long),
    ]
    await outlets.send_dead(POSTS, 2, _outcome(dead=letters))
    placed = sink.records[DEAD_POSTS]
    assert [(number, record.key) for number, record in placed] == [
        (0, b"posts|2|7"), (0, b"posts|2|8"),
    ]  # fmt: skip
    first, second = (dead_post_decoder.decode(record.value) for _, record in placed)
    assert (first.reason, first.detail, first.dead_at) == (reasons.NOT_JSON, "why", NOON)
    assert (first.topic, first.partition, first.offset) == (POSTS, 2, 7)
    assert (first.size, first.payload) == (65_536, long[:-1])
    assert (second.size, second.payload) == (65_537, long[:-1])


async def test_progress_tells_both_cursors_of_its_own_partition_and_no_others() -> None:
    outlets, sink = _outlets()
    at = epoch_ms(NOON)
    await outlets.send_progress(1, PartitionState({POSTS: 9}, at, -1, {}))
    await outlets.send_progress(1, PartitionState({POST_EVENTS: 4}, 0, -1, {}))
    await outlets.send_progress(2, PartitionState({POST_EVENTS: 3}, -1, -1, {}))
    told = [progress_decoder.decode(value) for value in sink.values(PROGRESS)]
    assert [(p.partition, p.cursor, p.event_cursor) for p in told] == [
        (1, 9, -1), (1, 9, 4), (2, -1, 3),
    ]  # fmt: skip
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [p.watermark for p in told] == [NOON, epoch, None]
    assert {p.applied_at for p in told} == {NOON}
    assert [(n, record.key) for n, record in sink.records[PROGRESS]] == [
        (0, b"1"), (0, b"1"), (0, b"2"),
    ]  # fmt: skip


async def test_progress_names_the_model_that_scored_last_also_after_a_batch_without_scores() -> (
    None
):
    outlets, sink = _outlets()
    state = PartitionState({POSTS: 1}, -1, -1, {})
    await outlets.send_progress(0, state)
    for version in ("m-1", "", "m-2"):
        await outlets.send_scored(POSTS, 0, _outcome(model_version=version))
        await outlets.send_progress(0, state)
    versions = [progress_decoder.decode(value).model_version for value in sink.values(PROGRESS)]
    assert versions == ["", "m-1", "m-1", "m-2"]
