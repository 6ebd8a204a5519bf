"""From an item of a source to the record that carries it: encoded, measured, or dead."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from core import codec, reasons
from core.clock import Clock
from core.schemas import DEAD_PAYLOAD_BYTES, DeadPost, Post
from core.sealing import PLAIN, Sealer
from services.ingest.sources.base import Cursor, Gap, Ignored, RawRecord, SourceItem, Unmappable
from services.kafka_client.messages import Acknowledgement


@dataclass(frozen=True, slots=True)
class IngestTopics:
    """Where records go; tests that share a broker use names of their own."""

    posts: str = "posts"
    post_events: str = "post-events"
    dead_posts: str = "dead-posts"


class OutgoingRecord(msgspec.Struct):
    """One record on its way.

    Attributes:
        topic: The topic that it goes to; "" if nothing is sent and only the cursor moves.
        key: Its key.
        value: Its bytes.
        cursor: The cursor of the source after the item that this record carries; the very object
            of the record before if the item does not move it.
        tally: The field of `Totals` that counts it once it is acknowledged.
        acknowledgement: The broker's answer; None until it was given to the producer.
    """

    topic: str
    key: bytes
    value: bytes
    cursor: Cursor
    tally: str
    acknowledgement: Acknowledgement | None = None


@dataclass(frozen=True, slots=True)
class RecordWriter:
    """Turns the items of one source into records.

    Attributes:
        source: The registered name of the source.
        topics: Where the records go.
        max_message_bytes: The largest value; a larger one becomes a dead record (`too_large`).
        clock: The clock that dates dead records.
        sealer: Encrypts what dead records carry; without one it stays plain, as authors do.
    """

    source: str
    topics: IngestTopics
    max_message_bytes: int
    clock: Clock
    sealer: Sealer = PLAIN

    def record(self, item: SourceItem) -> OutgoingRecord:
        """Return the record that carries `item`; never raises for what the item holds."""
        record = item.record
        if isinstance(record, Unmappable):
            return self._dead(record.raw, reasons.UNMAPPABLE, record.detail, item.cursor)
        if isinstance(record, Ignored | Gap):
            tally = "ignored" if isinstance(record, Ignored) else "gaps"
            return OutgoingRecord("", b"", b"", item.cursor, tally)
        if isinstance(record, RawRecord):
            value, tally = record.value, _raw_tally(record, item.duplicate)
            is_post = record.topic == "posts"
        else:
            value, is_post = codec.encode(record), isinstance(record, Post)
            tally = "posts_produced" if is_post else "events_produced"
            if item.duplicate and is_post:
                tally = "duplicates_produced"
        if len(value) > self.max_message_bytes:
            return self.too_large(value, item.cursor)
        topic = self.topics.posts if is_post else self.topics.post_events
        return OutgoingRecord(
            topic, record.author.encode("utf-8", "replace"), value, item.cursor, tally
        )

    def too_large(self, value: bytes, cursor: object) -> OutgoingRecord:
        """Return the dead record of a value that is too large for the broker."""
        detail = f"{len(value)} bytes, expected at most {self.max_message_bytes}"
        return self._dead(value, reasons.TOO_LARGE, detail, cursor)

    def _dead(self, raw: bytes, reason: str, detail: str, cursor: object) -> OutgoingRecord:
        dead = DeadPost(
            reason=reason,
            detail=f"source {self.source}: {detail}"[:500],
            topic=self.topics.posts,
            partition=-1,
            offset=-1,
            size=len(raw),
            dead_at=self.clock.now(),
            payload=self.sealer.seal(raw[:DEAD_PAYLOAD_BYTES]),
            sealed_by=self.sealer.key_id,
        )
        # The cursor makes the key the same when the item is sent again after a crash.
        place = msgspec.json.encode(cursor).decode()
        key = f"{self.source}|-1|{place}".encode()
        return OutgoingRecord(self.topics.dead_posts, key, codec.encode(dead), cursor, reason)


def _raw_tally(record: RawRecord, is_duplicate: bool) -> str:
    if not record.well_formed:
        return "malformed_produced"
    if record.topic == "post-events":
        return "events_produced"
    return "duplicates_produced" if is_duplicate else "posts_produced"
