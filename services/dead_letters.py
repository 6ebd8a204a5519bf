"""Dead letters for people: the last of them, how many of each reason, and one sent once more.

A dead letter stays in `dead-posts`: what is sent again is a new record of the topic it came from,
and whatever is wrong with that becomes a dead letter of its own. A post that was counted in the
meantime, by an earlier replay too, is known by its id and dropped as a `duplicate`: so a replay
counts once, however often it is asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from core import reasons
from core.authors import author_hasher
from core.codec import dead_post_decoder, encode, post_decoder, post_event_decoder
from core.errors import ConfigError, DecodeError, GroundswellError
from core.logs import get_logger
from core.schemas import DeadPost, Post, PostEvent
from core.sealing import Sealer
from core.settings import KafkaSettings, Secret, Settings
from services.kafka_client import RecordProducer, read_record, read_topic
from services.kafka_client.messages import Producer, Record
from stream.topics import DEAD_POSTS, POST_EVENTS, POSTS

_log = get_logger(__name__)

LOOKED_AT: Final = 2_000
"""The last records of the topic that are looked at."""
REPLAY_HEADER: Final = "replay-of"
"""A record that was sent again says which dead letter it was: `dead-posts@offset`."""
_USELESS: Final = {
    reasons.DUPLICATE: "its original was counted, so there is nothing to send",
    reasons.DROPPED_LATE: "its windows cannot change any more, so it would be dropped again; "
    "what an old recording holds is counted in a stack of its own",
}
_ADDING: Final = ("like", "repost", "reply")
_HIDDEN: Final = re.compile(r"[0-9a-f]{32}")


class ReplayRefused(GroundswellError):
    """A dead letter cannot be sent again; the message says why, and what to do.

    Attributes:
        is_unknown: There is no such dead letter, or not any more.
    """

    def __init__(self, message: str, *, is_unknown: bool = False) -> None:
        super().__init__(message)
        self.is_unknown = is_unknown


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be used.

    Attributes:
        place: Its offset in `dead-posts`, by which it is asked for.
        letter: The record.
    """

    place: int
    letter: DeadPost

    @property
    def replayable(self) -> str:
        """Say how it can be sent again: `as it is`, `repaired`, or `no`."""
        if self.letter.reason in _USELESS:
            return "no"
        is_whole = self.letter.payload and not self.letter.is_cut
        never_was = self.letter.reason == reasons.UNMAPPABLE
        return "as it is" if is_whole and not never_was else "repaired"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The last messages that could not be used.

    Attributes:
        letters: The newest first, each once.
        by_reason: Reason -> how many of these.
        notes: What could not be read, a sentence each.
        is_all: Whether the topic has no more than these.
    """

    letters: tuple[DeadLetter, ...] = ()
    by_reason: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()
    is_all: bool = True


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was sent.

    Attributes:
        place: Of the dead letter.
        topic: Where it went.
        source, post_id: The post that it is, or that it is about.
    """

    place: int
    topic: str
    source: str
    post_id: str


def dead_letters(records: Iterable[Record]) -> DeadLetters:
    """Return what records of `dead-posts`, in their order, come to; what was told twice once."""
    kept, notes, first = dict[bytes, DeadLetter](), list[str](), -1
    for record in records:
        first = record.offset if first < 0 else first
        try:
            letter = dead_post_decoder.decode(record.value or b"")
        except DecodeError as error:
            notes.append(f"offset {record.offset} is no dead letter: {error.reason}")
            continue
        kept.setdefault(record.key or b"%d" % record.offset, DeadLetter(record.offset, letter))
    counts = Counter(one.letter.reason for one in kept.values())
    return DeadLetters(
        tuple(sorted(kept.values(), key=lambda one: -one.place)),
        dict(counts.most_common()),
        tuple(notes),
        first <= 0,
    )


def read_dead_letters(settings: KafkaSettings) -> DeadLetters:
    """Read the last dead letters.

    Raises:
        BrokerUnavailable: The broker does not answer, or there is no such topic.
    """
    return dead_letters(read_topic(settings, DEAD_POSTS, last=LOOKED_AT))


def replay(settings: Settings, place: int, repaired: bytes | None = None) -> Replayed:
    """Send the record of a dead letter again, and return once every replica has it.

    Args:
        settings: Of the stream; `ingest.author_key` opens what is sealed.
        place: The offset of the dead letter in `dead-posts`.
        repaired: The record in place of the one that the letter has, as JSON.

    Raises:
        ReplayRefused: There is no such letter, or its record is still no good: nothing is sent.
        BrokerUnavailable: The broker does not answer; it may be asked for again.
    """
    found = read_record(settings.kafka, DEAD_POSTS, 0, place)
    if found is None:
        raise ReplayRefused(f"dead-posts has no record {place}, or not any more", is_unknown=True)
    producer = RecordProducer(settings.kafka)
    try:
        return send_again(settings, found, repaired, producer)
    finally:
        producer.close()


def send_again(
    settings: Settings, found: Record, repaired: bytes | None, producer: Producer
) -> Replayed:
    """Send what a record of `dead-posts` holds; see `replay`."""
    place = found.offset
    try:
        letter = dead_post_decoder.decode(found.value or b"")
    except DecodeError as error:
        raise ReplayRefused(f"record {place} is no dead letter: {error.reason}") from None
    record = _record_of(letter, settings, repaired)
    value = encode(record)
    if len(value) > settings.kafka.max_message_bytes:
        raise ReplayRefused(
            f"{len(value):,} bytes: expected at most {settings.kafka.max_message_bytes:,}"
        )
    header = (REPLAY_HEADER, f"{DEAD_POSTS}@{place}".encode())
    answer = producer.send(letter.topic, record.author.encode(), value, [header])
    producer.flush(settings.kafka.request_timeout_s)
    if answer.failed():
        raise producer.failure(answer)
    post_id = record.id if isinstance(record, Post) else record.post_id
    _log.info("a dead letter was sent again", place=place, topic=letter.topic,
              reason=letter.reason, repaired=repaired is not None)  # fmt: skip
    return Replayed(place, letter.topic, record.source, post_id)


def _record_of(letter: DeadPost, settings: Settings, repaired: bytes | None) -> Post | PostEvent:
    """Return the record to send: whole, right, and with its author hidden as the stream's are."""
    if letter.reason in _USELESS:
        raise ReplayRefused(f"{letter.reason}: {_USELESS[letter.reason]}")
    if letter.topic not in (POSTS, POST_EVENTS):
        raise ReplayRefused(f"it came from {letter.topic!r}: expected {POSTS} or {POST_EVENTS}")
    sealer = Sealer(settings.ingest.author_key)
    try:
        payload = sealer.open(letter.payload, letter.sealed_by)
    except ConfigError as error:  # even if repaired: its author would be another one
        raise ReplayRefused(str(error)) from None
    if repaired is None and (not payload or letter.is_cut):
        raise ReplayRefused(
            f"of {letter.size:,} bytes {len(payload):,} were kept: give the record repaired"
        )
    decoder = post_decoder if letter.topic == POSTS else post_event_decoder
    try:
        record = decoder.decode(payload if repaired is None else repaired)
    except DecodeError as error:
        what = "the record that was kept" if repaired is None else "the repaired record"
        raise ReplayRefused(f"{what} is still {error.reason}: {error.detail}") from None
    if isinstance(record, PostEvent) and record.kind in _ADDING:
        raise ReplayRefused(f"a {record.kind} counts one more each time that it is sent")
    return _hidden(record, settings.ingest.author_key)


def _hidden(record: Post | PostEvent, key: Secret) -> Post | PostEvent:
    """Return a record whose author is hidden where the stream hides authors."""
    if not key or _HIDDEN.fullmatch(record.author):
        return record
    return msgspec.structs.replace(record, author=author_hasher(key)(record.author))
