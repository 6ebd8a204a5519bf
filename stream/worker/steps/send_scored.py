"""The step `SendScored`: scored posts go to the partition number of their source."""

from __future__ import annotations

from stream.topics import (
    SCORED_POSTS,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_TOPIC_HEADER,
)
from stream.worker.batch import PostBatch
from stream.worker.outlets import OutRecord, RecordSink
from stream.worker.step import Step
from stream.worker.steps.render import RENDERED


class SendScored(Step):
    """Produces the scored posts of a batch; the headers say where each was."""

    needs = (RENDERED,)

    def __init__(self, sink: RecordSink) -> None:
        self._sink = sink

    async def run(self, batch: PostBatch) -> None:
        """Send them; return once Kafka has acknowledged them."""
        if not batch[RENDERED]:
            return
        position = batch.position
        where = (
            (SOURCE_TOPIC_HEADER, position.topic.encode()),
            (SOURCE_PARTITION_HEADER, str(position.partition).encode()),
        )
        records = [
            OutRecord(key, value, (*where, (SOURCE_OFFSET_HEADER, b"%d" % offset)))
            for key, value, offset in batch[RENDERED]
        ]
        await self._sink.send(SCORED_POSTS, position.partition, records)
