"""From an item of a source to the record that carries it: encoded, measured, or dead-lettered."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from core import codec, reasons
from core.clock import Clock
from core.schemas import DeadPost, Post
from core.sealing import PLAIN, Sealer
from services.ingest.outbox import Letter
from services.ingest.sources.base import Gap, Ignored, RawRecord, SourceItem, Unmappable

DEAD_PAYLOAD_BYTES = 65_536
"""A dead letter keeps so much of the message: enough to see what it was."""


@dataclass(frozen=True, slots=True)
class IngestTopics:
    """Where records go; tests that share a broker use names of their own."""

    posts: str = "posts"
    post_events: str = "post-events"
    dead_posts: str = "dead-posts"


class LetterWriter:
    """Turns items into letters.

    Args:
        source: registered name of the source.
        topics: where letters go.
        max_message_bytes: a larger value becomes a dead letter, reason `too_large`.
        clock: for the time on dead letters.
        sealer: Encrypts what dead letters carry; without one it stays plain, as authors do.
    """

    def __init__(
        self,
        source: str,
        topics: IngestTopics,
        max_message_bytes: int,
        clock: Clock,
        sealer: Sealer = PLAIN,
    ) -> None:
        self._source = source
        self._topics = topics
        self._max_message_bytes = max_message_bytes
        self._clock = clock
        self._sealer = sealer

    def letter(self, item: SourceItem) -> Letter:
        """Return the record that carries `item`; never raises for what the item holds."""
        record = item.record
        if isinstance(record, Unmappable):
            return self._dead(record.raw, reasons.UNMAPPABLE, record.detail, item.cursor)
        if isinstance(record, Ignored | Gap):
            tally = "ignored" if isinstance(record, Ignored) else "gaps"
            return Letter("", b"", b"", item.cursor, tally)
        if isinstance(record, RawRecord):
            value, tally = record.value, _raw_tally(record, item.duplicate)
            is_post = record.topic == "posts"
        else:
            value, is_post = codec.encode(record), isinstance(record, Post)
            tally = "posts_produced" if is_post else "events_produced"
            if item.duplicate and is_post:
                tally = "duplicates_produced"
        if len(value) > self._max_message_bytes:
            return self.too_large(value, item.cursor)
        topic = self._topics.posts if is_post else self._topics.post_events
        return Letter(topic, record.author.encode("utf-8", "replace"), value, item.cursor, tally)

    def too_large(self, value: bytes, cursor: object) -> Letter:
        """Return the dead letter of a value that is too large for the broker."""
        detail = f"{len(value)} bytes, expected at most {self._max_message_bytes}"
        return self._dead(value, reasons.TOO_LARGE, detail, cursor)

    def _dead(self, raw: bytes, reason: str, detail: str, cursor: object) -> Letter:
        dead = DeadPost(
            reason=reason,
            detail=f"source {self._source}: {detail}"[:500],
            topic=self._topics.posts,
            partition=-1,
            offset=-1,
            size=len(raw),
            dead_at=self._clock.now(),
            payload=self._sealer.seal(raw[:DEAD_PAYLOAD_BYTES]),
            sealed_by=self._sealer.key_id,
        )
        # The cursor makes the key the same when the item is sent again after a crash.
        place = msgspec.json.encode(cursor).decode()
        key = f"{self._source}|-1|{place}".encode()
        return Letter(self._topics.dead_posts, key, codec.encode(dead), cursor, reason)


def _raw_tally(record: RawRecord, is_duplicate: bool) -> str:
    if not record.well_formed:
        return "malformed_produced"
    if record.topic == "post-events":
        return "events_produced"
    return "duplicates_produced" if is_duplicate else "posts_produced"
