"""From records of our own topics to what the forecasts are told; what cannot be used is counted."""

from __future__ import annotations

from typing import Final, TypeVar

from core.clock import Clock, epoch_ms
from core.codec import RecordDecoder, post_event_decoder, scored_post_decoder
from core.errors import DecodeError
from core.logs import get_logger
from core.metrics import Metrics
from core.reasons import MISSING_FIELD, OUT_OF_RANGE
from core.schemas import PostEvent, ScoredPost
from models.engagement.items import CountsSeen, Item, PostGone, PostSeen
from models.engagement.layout import TARGETS, author_key, post_key
from services.forecaster.merging import Arrival
from services.kafka_client.messages import Record
from stream import heartbeat
from stream.queries.matcher import ALL
from stream.topics import (
    POST_EVENTS,
    POSTS,
    SCORED_POSTS,
    SOURCE_PARTITION_HEADER,
    SOURCE_TOPIC_HEADER,
    source_offset,
)
from stream.worker.steps.decode_posts import MAX_AHEAD_MS, event_time

_log = get_logger(__name__)

_Kind = TypeVar("_Kind", ScoredPost, PostEvent)
_SINGLES: Final = {"like": "likes", "reply": "replies", "repost": "reposts"}


class Intake:
    """Reads the records of one partition.

    Args:
        partition: Its number.
        seen: The highest offset of `posts` of which a scored post was taken.
        clock: The present time.
        metrics: The metrics of this process.
    """

    def __init__(self, partition: int, seen: int, clock: Clock, metrics: Metrics) -> None:
        self._partition = partition
        self._seen = seen
        self._clock = clock
        self._metrics = metrics

    def post(self, record: Record) -> Arrival:
        """Return what a record of `scored-posts` says; nothing of what is no new post."""
        written_s = record.timestamp_ms / 1000
        nothing = Arrival(record.offset, None, None, written_s, is_post=True)
        try:
            post = self._decoded(scored_post_decoder, record)
            offset, is_edit = self._origin(record)
        except DecodeError as error:
            self._refuse(SCORED_POSTS, record, error)
            return nothing
        if post.source == heartbeat.SOURCE:
            return nothing
        if is_edit or post.edit or offset <= self._seen:
            what = "edit" if is_edit or post.edit else "repeated"
            self._metrics.forecast_posts.labels(outcome=what).inc()
            return nothing
        self._seen = offset
        at_s = epoch_ms(post.event_at) / 1000
        author = author_key(post.source, post.author)
        item = PostSeen(
            key=post_key(author, post.id),
            post_id=post.id,
            source=post.source,
            author=post.author,
            at_s=at_s,
            shape=post.shape,
            heads=post.scores,
            rated=post.rated,
            queries=tuple(name for name in post.queries if name != ALL),
        )
        return Arrival(record.offset, at_s, item, written_s, is_post=True, source_offset=offset)

    def event(self, record: Record) -> Arrival:
        """Return what a record of `post-events` says; nothing of what no forecast is about."""
        written_s = record.timestamp_ms / 1000
        try:
            event = self._decoded(post_event_decoder, record)
        except DecodeError as error:
            self._refuse(POST_EVENTS, record, error)
            return Arrival(record.offset, None, None, written_s)
        claimed_ms = None if event.claimed_at is None else epoch_ms(event.claimed_at)
        at_s = event_time(claimed_ms, epoch_ms(event.ingested_at))[0] / 1000
        item = _item_of(event, at_s)
        return Arrival(record.offset, at_s if item else None, item, written_s)

    def _decoded(self, decoder: RecordDecoder[_Kind], record: Record) -> _Kind:
        """Return a record's content.

        Raises:
            DecodeError: It cannot be used.
        """
        found = decoder.decode(record.value or b"")
        if epoch_ms(found.ingested_at) > epoch_ms(self._clock.now()) + MAX_AHEAD_MS:
            raise DecodeError(OUT_OF_RANGE, "ingested in the future: time would never come back")
        return found

    def _origin(self, record: Record) -> tuple[int, bool]:
        """Return the offset that a scored post was made from, and whether it was of an edit.

        Raises:
            DecodeError: It does not say so; a worker's does.
        """
        headers = dict(record.headers)
        offset, topic = source_offset(record.headers), headers.get(SOURCE_TOPIC_HEADER, b"")
        if offset < 0 or topic.decode(errors="replace") not in (POSTS, POST_EVENTS):
            raise DecodeError(MISSING_FIELD, "no header says where the post was")
        if headers.get(SOURCE_PARTITION_HEADER) != str(self._partition).encode():
            raise DecodeError(OUT_OF_RANGE, "scored from another partition")
        return offset, topic == POST_EVENTS.encode()

    def _refuse(self, topic: str, record: Record, error: DecodeError) -> None:
        self._metrics.records_refused.labels(topic=topic, reason=error.reason).inc()
        _log.warning(
            "unreadable record", topic=topic, partition=record.partition, offset=record.offset,
            reason=error.reason,
        )  # fmt: skip


def _item_of(event: PostEvent, at_s: float) -> Item | None:
    """Return what the forecasts are told of an event; None of an edit."""
    author = author_key(event.source, event.author)
    key = post_key(author, event.post_id)
    if event.kind == "delete":
        return PostGone(key, at_s)
    if event.kind == "counts":
        totals = (event.likes, event.replies, event.reposts)
        return CountsSeen(key, event.post_id, event.source, event.author, at_s, totals)
    if event.kind in _SINGLES:
        single = TARGETS.index(_SINGLES[event.kind])
        return CountsSeen(key, event.post_id, event.source, event.author, at_s, None, single)
    return None
