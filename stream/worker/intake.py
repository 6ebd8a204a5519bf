"""From records to accepted posts: decode, repair, place in event time. Pure code on whole runs.

A message is accepted, accepted with a documented repair (`core.reasons.REPAIRS`), or becomes a dead
letter with its reason. Nothing is dropped in silence and nothing upstream can stop the stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final, Protocol

from core import reasons
from core.clock import epoch_ms, from_epoch_ms
from core.codec import RecordDecoder
from core.errors import DecodeError
from core.schemas import Post, PostEvent
from core.text import clean_text

MAX_FUTURE_MS: Final = 60_000
MAX_PAST_MS: Final = 24 * 3_600_000
HOUR_MS: Final = 3_600_000
MAX_AHEAD_MS: Final = 12 * HOUR_MS
"""A record that was ingested so far in the future was not: event time would never come back."""
NO_LIMIT_MS: Final = 2**62


class RawRecord(Protocol):
    """What Kafka carries, as far as decoding needs it; aiokafka's record satisfies it."""

    @property
    def offset(self) -> int:
        """Offset in its partition."""
        ...

    @property
    def value(self) -> bytes | None:
        """The message, None for a tombstone."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be used, with its bytes."""

    offset: int
    reason: str
    detail: str
    value: bytes


@dataclass(slots=True)
class AcceptedPosts:
    """Posts of one run, column by column; row i is the i-th accepted post in order of offset.

    Attributes:
        posts: the decoded records.
        texts: their texts after repair.
        offsets: where they stand in the partition.
        event_ms: event time, ms since 1970.
        ingested_ms: ingest time, ms since 1970.
        id_hashes: 64-bit hash of source and id, eight bytes.
        seen_hours: hours in which a copy may have been counted; it is remembered in the last.
        dead: what could not be accepted.
        repairs: repair code -> how often.
    """

    posts: list[Post] = field(default_factory=list[Post])
    texts: list[str] = field(default_factory=list[str])
    offsets: list[int] = field(default_factory=list[int])
    event_ms: list[int] = field(default_factory=list[int])
    ingested_ms: list[int] = field(default_factory=list[int])
    id_hashes: list[bytes] = field(default_factory=list[bytes])
    seen_hours: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    dead: list[DeadLetter] = field(default_factory=list[DeadLetter])
    repairs: Counter[str] = field(default_factory=Counter[str])

    def event_at(self, row: int) -> datetime:
        """Return the event time of a post; the claimed one itself where it was not clamped."""
        claimed_at = self.posts[row].claimed_at
        if claimed_at is not None and claimed_at.tzinfo is UTC and len(self.seen_hours[row]) == 1:
            return claimed_at
        return from_epoch_ms(self.event_ms[row])

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows, in order; `dead` and `repairs` stay."""
        if len(rows) == len(self.posts):
            return
        self.posts = [self.posts[i] for i in rows]
        self.texts = [self.texts[i] for i in rows]
        self.offsets = [self.offsets[i] for i in rows]
        self.event_ms = [self.event_ms[i] for i in rows]
        self.ingested_ms = [self.ingested_ms[i] for i in rows]
        self.id_hashes = [self.id_hashes[i] for i in rows]
        self.seen_hours = [self.seen_hours[i] for i in rows]


def id_hash(source: str, post_id: str) -> bytes:
    """Return eight bytes that stand for a post in the store.

    Two of a million posts share them with probability 3e-8 (birthday bound on 64 bits).

    Example:
        >>> len(id_hash("replay", "1"))
        8
    """
    return blake2b(f"{source}\0{post_id}".encode(), digest_size=8).digest()


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


def _check_ingested(ingested_at: datetime, now_ms: int) -> None:
    if epoch_ms(ingested_at) > now_ms + MAX_AHEAD_MS:
        raise DecodeError(
            reasons.OUT_OF_RANGE, f"ingested at {ingested_at.isoformat()}, which is yet to come"
        )


def accept_posts(
    records: Sequence[RawRecord], decoder: RecordDecoder[Post], now_ms: int = NO_LIMIT_MS
) -> AcceptedPosts:
    """Decode and repair the records of one run of `posts`.

    Args:
        records: The run.
        decoder: Decodes a record.
        now_ms: Present time, ms since 1970; what was ingested long after it is a dead letter.
    """
    run = AcceptedPosts()
    for record in records:
        raw = record.value or b""
        try:
            post = decoder.decode(raw)
            _check_ingested(post.ingested_at, now_ms)
        except DecodeError as error:
            run.dead.append(DeadLetter(record.offset, error.reason, error.detail, raw))
            continue
        ingested_ms = epoch_ms(post.ingested_at)
        claimed_ms = None if post.claimed_at is None else epoch_ms(post.claimed_at)
        event_ms, time_repair = event_time(claimed_ms, ingested_ms)
        text, text_repair = clean_text(post.text)
        if time_repair is not None:
            run.repairs[time_repair] += 1
        if text_repair is not None:
            run.repairs[text_repair] += 1
        run.posts.append(post)
        run.texts.append(text)
        run.offsets.append(record.offset)
        run.event_ms.append(event_ms)
        run.ingested_ms.append(ingested_ms)
        run.id_hashes.append(id_hash(post.source, post.id))
        run.seen_hours.append(seen_hours(event_ms, ingested_ms, time_repair))
    return run


@dataclass(slots=True)
class AcceptedEvents:
    """Events of one run of `post-events` in order of offset, and what could not be accepted."""

    events: list[PostEvent] = field(default_factory=list[PostEvent])
    offsets: list[int] = field(default_factory=list[int])
    dead: list[DeadLetter] = field(default_factory=list[DeadLetter])


def accept_events(
    records: Sequence[RawRecord], decoder: RecordDecoder[PostEvent], now_ms: int = NO_LIMIT_MS
) -> AcceptedEvents:
    """Decode the records of one run of `post-events`; see `accept_posts`."""
    run = AcceptedEvents()
    for record in records:
        raw = record.value or b""
        try:
            event = decoder.decode(raw)
            _check_ingested(event.ingested_at, now_ms)
            if event.kind == "edit" and event.text is None:
                raise DecodeError(reasons.MISSING_FIELD, "an edit needs `text`")
        except DecodeError as error:
            run.dead.append(DeadLetter(record.offset, error.reason, error.detail, raw))
            continue
        run.events.append(event)
        run.offsets.append(record.offset)
    return run
