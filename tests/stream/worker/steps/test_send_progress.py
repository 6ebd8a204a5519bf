"""Progress as the closer hears it: both cursors, the watermark, and the model."""

from datetime import UTC, datetime

import numpy as np

from core.clock import ManualClock, epoch_ms
from core.codec import progress_decoder
from stream import heartbeat
from stream.topics import POST_EVENTS, POSTS, PROGRESS
from stream.windows.increments import MicroScores
from stream.windows.watermark import PartitionWatermark
from stream.worker.batch import PartitionPosition, PostBatch
from stream.worker.steps.drop_unscored import SCORES
from stream.worker.steps.match import QUERIES_DIGEST
from stream.worker.steps.send_progress import SendProgress
from testkit.builders import NOON
from testkit.stream import ListSink, batch_of


def _applied(
    topic: str = POSTS, partition: int = 0, cursor: int = 1, watermark_ms: int = -1, version=""
) -> PostBatch:
    position = PartitionPosition(topic, partition, cursor, PartitionWatermark(0))
    batch = batch_of(b"", position=position)
    batch.apply.watermark_ms = watermark_ms
    batch[SCORES] = MicroScores(version, np.zeros(0, np.bool_), {}, [])
    return batch


async def test_progress_tells_both_cursors_of_its_own_partition_and_no_others() -> None:
    sink, at = ListSink(), epoch_ms(NOON)
    step = SendProgress(sink, ManualClock(NOON))
    await step.run(_applied(POSTS, 1, 9, at))
    await step.run(_applied(POST_EVENTS, 1, 4, 0))
    await step.run(_applied(POST_EVENTS, 2, 3))
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
    sink = ListSink()
    step = SendProgress(sink, ManualClock(NOON))
    for version in ("", "m-1", "", "m-2"):
        await step.run(_applied(version=version))
    versions = [progress_decoder.decode(value).model_version for value in sink.values(PROGRESS)]
    assert versions == ["", "m-1", "m-1", "m-2"]


async def test_progress_says_with_which_queries_its_batch_was_matched() -> None:
    sink = ListSink()
    step = SendProgress(sink, ManualClock(NOON))
    batch = _applied()
    batch[QUERIES_DIGEST] = "0123456789abcdef"
    await step.run(batch)
    await step.run(_applied())
    told = [progress_decoder.decode(value).queries for value in sink.values(PROGRESS)]
    assert told == ["0123456789abcdef", ""]


async def test_heartbeats_alone_move_no_cursor_that_the_closer_hears_of() -> None:
    sink = ListSink()
    step = SendProgress(sink, ManualClock(NOON))
    beats = _applied(cursor=7)
    beats.apply.totals[heartbeat.TOTAL] = 2
    await step.run(beats)
    assert sink.records == {}
    await step.run(_applied(POST_EVENTS, cursor=3))
    (told,) = [progress_decoder.decode(value) for value in sink.values(PROGRESS)]
    assert (told.cursor, told.event_cursor) == (-1, 3)


async def test_a_broker_that_is_away_holds_no_batch_up() -> None:
    sink = ListSink(failures_left=1)
    await SendProgress(sink, ManualClock(NOON)).run(_applied())
    assert sink.failures_left == 0
    assert sink.records == {}
