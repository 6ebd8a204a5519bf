"""Where a worker's results go: `scored-posts`, `dead-posts` and `progress`.

What goes out is built here, from outcomes to records; `stream.runtime.app` gives the producer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core.clock import Clock, from_epoch_ms
from core.codec import encode
from core.schemas import DeadPost, Progress
from core.sealing import PLAIN, Sealer
from stream.store.increments import PartitionState
from stream.topics import (
    DEAD_POSTS,
    POST_EVENTS,
    POSTS,
    PROGRESS,
    SCORED_POSTS,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_TOPIC_HEADER,
)
from stream.worker.pipeline import Outcome

MAX_DEAD_PAYLOAD_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record on its way to Kafka."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class RecordSink(Protocol):
    """Produces records; `stream.runtime.app` has the real one, tests a list."""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Produce the records in order and return once Kafka has acknowledged them all.

        Raises:
            BrokerUnavailable: not acknowledged; some may have been written.
        """
        ...


class KafkaOutlets:
    """Builds the records of the three topics; satisfies `stream.worker.ports.Outlets`."""

    def __init__(self, sink: RecordSink, clock: Clock, sealer: Sealer = PLAIN) -> None:
        self._sink = sink
        self._sealer = sealer
        self._clock = clock
        self._cursors: dict[int, dict[str, int]] = {}
        self._model_version = ""

    async def send_scored(self, topic: str, partition: int, outcome: Outcome) -> None:
        """Produce scored posts to the partition of their source: same key, same number."""
        self._model_version = outcome.model_version or self._model_version
        where = (
            (SOURCE_TOPIC_HEADER, topic.encode()),
            (SOURCE_PARTITION_HEADER, str(partition).encode()),
        )
        records = [
            OutRecord(key, value, (*where, (SOURCE_OFFSET_HEADER, b"%d" % offset)))
            for key, value, offset in outcome.scored
        ]
        await self._sink.send(SCORED_POSTS, partition, records)

    async def send_dead(self, topic: str, partition: int, outcome: Outcome) -> None:
        """Produce dead letters, each with its bytes (cut at 64 KiB), place and reason.

        The bytes are sealed: whoever else writes to `posts` need not hide authors as ingest does.
        """
        now = self._clock.now()
        records = [
            OutRecord(
                f"{topic}|{partition}|{letter.offset}".encode(),
                encode(
                    DeadPost(
                        reason=letter.reason,
                        detail=letter.detail,
                        topic=topic,
                        partition=partition,
                        offset=letter.offset,
                        size=len(letter.value),
                        dead_at=now,
                        payload=self._sealer.seal(letter.value[:MAX_DEAD_PAYLOAD_BYTES]),
                        sealed_by=self._sealer.key_id,
                    )
                ),
            )
            for letter in outcome.dead
        ]
        await self._sink.send(DEAD_POSTS, 0, records)

    async def send_progress(self, partition: int, state: PartitionState) -> None:
        """Produce how far a partition has come."""
        cursors = self._cursors.setdefault(partition, {POSTS: -1, POST_EVENTS: -1})
        cursors.update(state.cursors)
        progress = Progress(
            partition=partition,
            cursor=cursors[POSTS],
            event_cursor=cursors[POST_EVENTS],
            applied_at=self._clock.now(),
            watermark=None if state.watermark_ms < 0 else from_epoch_ms(state.watermark_ms),
            model_version=self._model_version,
        )
        await self._sink.send(PROGRESS, 0, [OutRecord(b"%d" % partition, encode(progress))])
