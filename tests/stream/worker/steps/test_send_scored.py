"""Scored posts as they are sent: to which partition, and from where."""

from stream.topics import POST_EVENTS, SCORED_POSTS
from stream.windows.watermark import PartitionWatermark
from stream.worker.batch import PartitionPosition
from stream.worker.outlets import OutRecord
from stream.worker.steps.render import RENDERED
from stream.worker.steps.send_scored import SendScored
from testkit.stream import ListSink, batch_of


async def test_a_scored_post_goes_to_the_partition_of_its_source_and_says_where_it_was() -> None:
    sink = ListSink()
    position = PartitionPosition(POST_EVENTS, 5, -1, PartitionWatermark(0))
    batch = batch_of(b"", position=position)
    batch[RENDERED] = [(b"ana", b"{1}", 41), (b"ben", b"{2}", 42)]
    await SendScored(sink).run(batch)
    where = (("source-topic", b"post-events"), ("source-partition", b"5"))
    assert sink.records[SCORED_POSTS] == [
        (5, OutRecord(b"ana", b"{1}", (*where, ("source-offset", b"41")))),
        (5, OutRecord(b"ben", b"{2}", (*where, ("source-offset", b"42")))),
    ]


async def test_without_scored_posts_nothing_is_sent() -> None:
    sink, batch = ListSink(), batch_of(b"")
    batch[RENDERED] = []
    await SendScored(sink).run(batch)
    assert sink.records == {}
