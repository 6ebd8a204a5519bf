"""The step `SendDead`: what could not be used goes to `dead-posts`, with its place and reason."""

from __future__ import annotations

from core.clock import Clock
from core.codec import encode
from core.schemas import DEAD_PAYLOAD_BYTES, DeadPost
from core.sealing import Sealer
from stream.topics import DEAD_POSTS
from stream.worker.batch import PostBatch
from stream.worker.outlets import OutRecord, RecordSink
from stream.worker.step import Step


class SendDead(Step):
    """Produces the dead records of a batch, each with its bytes (cut at 64 KiB).

    The bytes are sealed: whoever else writes to `posts` need not hide authors as ingest does.
    """

    def __init__(self, sink: RecordSink, clock: Clock, sealer: Sealer) -> None:
        self._sink = sink
        self._clock = clock
        self._sealer = sealer

    async def run(self, batch: PostBatch) -> None:
        """Send them; return once Kafka has acknowledged them."""
        if not batch.dead:
            return
        now, position = self._clock.now(), batch.position
        records = [
            OutRecord(
                f"{position.topic}|{position.partition}|{dead.offset}".encode(),
                encode(
                    DeadPost(
                        reason=dead.reason,
                        detail=dead.detail,
                        topic=position.topic,
                        partition=position.partition,
                        offset=dead.offset,
                        size=len(dead.value),
                        dead_at=now,
                        payload=self._sealer.seal(dead.value[:DEAD_PAYLOAD_BYTES]),
                        sealed_by=self._sealer.key_id,
                    )
                ),
            )
            for dead in batch.dead
        ]
        await self._sink.send(DEAD_POSTS, 0, records)
