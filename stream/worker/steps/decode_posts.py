"""The step `DecodePosts`: bytes become posts with a clean text and a time, or dead records.

A message is accepted, accepted with a documented repair (`core.reasons.REPAIRS`), or dead with its
reason. Nothing is dropped in silence and nothing upstream can stop the stream.
"""

from __future__ import annotations

from typing import Final, TypeVar

from core import reasons
from core.clock import Clock, epoch_ms
from core.codec import RecordDecoder
from core.errors import DecodeError
from core.schemas import Post, PostEvent
from core.text import clean_text
from stream.store.ids import id_hash
from stream.worker.batch import Column, DeadRecord, FetchedRecord, PostBatch
from stream.worker.step import Step

MAX_FUTURE_MS: Final = 60_000
MAX_PAST_MS: Final = 24 * 3_600_000
HOUR_MS: Final = 3_600_000
MAX_AHEAD_MS: Final = 12 * HOUR_MS
"""A record that was ingested so far in the future was not: event time would never come back."""

DECODED: Final = Column[list[Post] | list[PostEvent]]("decoded")
"""What is scored and matched: the posts themselves, or the edits of posts."""
TEXTS: Final = Column[list[str]]("texts")
"""The texts after repair."""
OFFSETS: Final = Column[list[int]]("offsets")
ID_HASHES: Final = Column[list[bytes]]("id_hashes")
"""The 64-bit hash of source and id, eight bytes."""
EVENT_MS: Final = Column[list[int]]("event_ms")
"""The event time, ms since 1970."""
INGESTED_MS: Final = Column[list[int]]("ingested_ms")
"""The ingest time, ms since 1970."""
NEAR_DUPLICATES: Final = Column[list[bool]]("near_duplicates")
"""Whether ingest has marked the post as a copy of another."""
SEEN_HOURS: Final = Column[list[tuple[int, ...]]]("seen_hours")
"""The hours in which a copy may have been counted; the post is remembered in the last."""

R = TypeVar("R", Post, PostEvent)


class DecodePosts(Step):
    """Decodes and repairs the records of `posts`."""

    adds = (
        DECODED, TEXTS, OFFSETS, ID_HASHES, EVENT_MS, INGESTED_MS, NEAR_DUPLICATES, SEEN_HOURS,
    )  # fmt: skip

    def __init__(self, max_message_bytes: int, clock: Clock) -> None:
        self._decoder = RecordDecoder(Post, max_message_bytes)
        self._clock = clock

    def run(self, batch: PostBatch) -> None:
        """Add the columns of the posts that can be used."""
        now_ms = epoch_ms(self._clock.now())
        posts: list[Post] = []
        texts: list[str] = []
        offsets: list[int] = []
        id_hashes: list[bytes] = []
        times: list[int] = []
        ingested: list[int] = []
        hours: list[tuple[int, ...]] = []
        for record in batch.records:
            post = decoded(batch, record, self._decoder, now_ms)
            if post is None:
                continue
            ingested_ms = epoch_ms(post.ingested_at)
            claimed_ms = None if post.claimed_at is None else epoch_ms(post.claimed_at)
            event_ms, time_repair = event_time(claimed_ms, ingested_ms)
            text, text_repair = clean_text(post.text)
            if time_repair is not None:
                batch.repairs[time_repair] += 1
            if text_repair is not None:
                batch.repairs[text_repair] += 1
            posts.append(post)
            texts.append(text)
            offsets.append(record.offset)
            id_hashes.append(id_hash(post.source, post.id))
            times.append(event_ms)
            ingested.append(ingested_ms)
            hours.append(seen_hours(event_ms, ingested_ms, time_repair))
        batch[DECODED] = posts
        batch[NEAR_DUPLICATES] = [post.near_duplicate for post in posts]
        batch[TEXTS], batch[OFFSETS], batch[ID_HASHES] = texts, offsets, id_hashes
        batch[EVENT_MS], batch[INGESTED_MS], batch[SEEN_HOURS] = times, ingested, hours


def decoded(
    batch: PostBatch, record: FetchedRecord, decoder: RecordDecoder[R], now_ms: int
) -> R | None:
    """Return what a record holds, None if it is dead: then it is among the batch's dead.

    Args:
        batch: The batch of the record.
        record: The record.
        decoder: The decoder of its topic.
        now_ms: The present time, ms since 1970; what was ingested long after it is dead.
    """
    raw = record.value or b""
    try:
        found = decoder.decode(raw)
        if epoch_ms(found.ingested_at) > now_ms + MAX_AHEAD_MS:
            said = f"ingested at {found.ingested_at.isoformat()}, which is yet to come"
            raise DecodeError(reasons.OUT_OF_RANGE, said)
        if isinstance(found, PostEvent) and found.kind == "edit" and found.text is None:
            raise DecodeError(reasons.MISSING_FIELD, "an edit needs `text`")
    except DecodeError as error:
        batch.dead.append(DeadRecord(record.offset, error.reason, error.detail, raw))
        return None
    return found


def event_time(claimed_ms: int | None, ingested_ms: int) -> tuple[int, str | None]:
    """Return the event time (ms) and the repair that it took, if any.

    The claimed time is clamped to `[ingested - 24 h, ingested + 60 s]`; without one, ingest time.

    Example:
        >>> event_time(None, 5), event_time(10**12, 0), event_time(7, 8)
        ((5, 'no_claimed_time'), (60000, 'clamped_future'), (7, None))
    """
    if claimed_ms is None:
        return ingested_ms, reasons.NO_CLAIMED_TIME
    if claimed_ms > ingested_ms + MAX_FUTURE_MS:
        return ingested_ms + MAX_FUTURE_MS, reasons.CLAMPED_FUTURE
    if claimed_ms < ingested_ms - MAX_PAST_MS:
        return ingested_ms - MAX_PAST_MS, reasons.CLAMPED_PAST
    return claimed_ms, None


def seen_hours(event_ms: int, ingested_ms: int, repair: str | None) -> tuple[int, ...]:
    """Return the hours in which a copy of this post may have been counted, its own last.

    A copy claims the same time as its original, so its hour is known. Where the claim was not
    usable, the copy's hour depends on when it was ingested: look back over a day.
    """
    if repair is None:
        return (event_ms // HOUR_MS,)
    last = ingested_ms // HOUR_MS
    return tuple(range(last - 24, last + 1))
