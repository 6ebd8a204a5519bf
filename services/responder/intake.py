"""From records to what the responder is told; what cannot be used is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from core.clock import Clock, epoch_ms
from core.codec import (
    RecordDecoder,
    forecast_event_decoder,
    post_decoder,
    post_event_decoder,
    scored_post_decoder,
)  # fmt: skip
from core.errors import DecodeError
from core.heads import SENTIMENT
from core.logs import get_logger
from core.metrics import Metrics
from core.reasons import OUT_OF_RANGE
from core.schemas import ForecastEvent, Post, PostEvent, ScoredPost
from core.text import clean_text
from services.kafka_client.messages import Record
from services.responder.crowd_told import TURNED
from services.responder.post_heads import packed_heads
from stream import heartbeat
from stream.store.response_texts import post_name
from stream.topics import EVENTS, POST_EVENTS, POSTS, SCORED_POSTS
from stream.worker.steps.decode_posts import event_time

_log = get_logger(__name__)
_Kind = TypeVar("_Kind", Post, PostEvent, ForecastEvent, ScoredPost)

MAX_TEXT_CHARS: Final = 1_000
"""Of a text; what comes after is neither compared nor shown."""
_MAX_AHEAD_MS: Final = 60_000
"""Nobody's clock moves ours further."""


@dataclass(frozen=True, slots=True)
class TextSeen:
    """A post; times in seconds since 1970.

    Attributes:
        name: The post, as `post_name` writes it.
        source: Its source.
        text: Its text, cut to `MAX_TEXT_CHARS`.
        at_s: When it was published.
        ingested_s: When ingest took it.
        root: The post that it answers, "" if none.
    """

    name: str
    source: str
    text: str
    at_s: float
    ingested_s: float
    root: str = ""


@dataclass(frozen=True, slots=True)
class LikesSeen:
    """Likes of a post by now: their number, or one more if that is None."""

    name: str
    at_s: float
    likes: int | None


@dataclass(frozen=True, slots=True)
class TextEdited:
    """A post says something else now."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TextGone:
    """A post was deleted."""

    name: str


@dataclass(frozen=True, slots=True)
class TakeOffSaid:
    """A post takes off, or does so no more; `at_s` is when that was decided.

    `posted_s` is when it was published. Times are in seconds since 1970.
    """

    name: str
    source: str
    post_id: str
    event_id: str
    at_s: float
    is_firing: bool
    is_deleted: bool = False
    topic: str = ""
    posted_s: float | None = None


@dataclass(frozen=True, slots=True)
class TurnTold:
    """A turn of a crowd was told, or its end, by this responder or an earlier one."""

    event: ForecastEvent


@dataclass(frozen=True, slots=True)
class AnswerRated:
    """The sentiment of a reply; times in seconds since 1970.

    Attributes:
        name: The reply, as `post_name` writes it.
        at_s: When it was published.
        ingested_s: When ingest took it.
        root: The post that it answers; "" of an edit, which stays where it was.
        label: Its sentiment, as its place in `core.heads.SENTIMENT`; None if it is not rated.
        is_copy: It says what was said shortly before.
        heads: Its heads, should it take off itself, as `packed_heads` gives them.
    """

    name: str
    at_s: float
    ingested_s: float
    root: str
    label: int | None
    is_copy: bool = False
    heads: bytes = b""


@dataclass(frozen=True, slots=True)
class PostRated:
    """The heads of a post that answers nothing, as `packed_heads` gives them."""

    name: str
    ingested_s: float
    heads: bytes


Said = (
    TextSeen | LikesSeen | TextEdited | TextGone | TakeOffSaid | TurnTold | AnswerRated | PostRated
)


class ReplyIntake:
    """Reads records of `posts`, `scored-posts`, `post-events` and `events`.

    Args:
        clock: The present time.
        metrics: The metrics of this process.

    Attributes:
        clock_s: The latest ingest time read, in seconds since 1970: the stream's time.
    """

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self.clock_s = 0.0

    def post(self, record: Record) -> TextSeen | None:
        """Return what a record of `posts` says; nothing of a repost or a heartbeat."""
        post = self._decoded(POSTS, post_decoder, record)
        if post is None:
            return None
        ingested_s = self._ingested_s(epoch_ms(post.ingested_at))
        if post.source == heartbeat.SOURCE or post.repost_of:
            return None
        claimed_ms = None if post.claimed_at is None else epoch_ms(post.claimed_at)
        return TextSeen(
            post_name(post.source, post.id), post.source, _cut(post.text),
            event_time(claimed_ms, epoch_ms(post.ingested_at))[0] / 1000, ingested_s,
            post_name(post.source, post.reply_to) if post.reply_to else "",
        )  # fmt: skip

    def event(self, record: Record) -> Said | None:
        """Return what a record of `post-events` says; nothing of what no reply is ranked by."""
        event = self._decoded(POST_EVENTS, post_event_decoder, record)
        if event is None:
            return None
        at_s = self._ingested_s(epoch_ms(event.ingested_at))
        name = post_name(event.source, event.post_id)
        if event.kind == "delete":
            return TextGone(name)
        if event.kind == "edit" and event.text is not None:
            return TextEdited(name, _cut(event.text))
        if event.kind == "like" or (event.kind == "counts" and event.likes is not None):
            return LikesSeen(name, at_s, event.likes if event.kind == "counts" else None)
        return None

    def take_off(self, record: Record) -> TakeOffSaid | TurnTold | None:
        """Return what a record of `events` says; nothing of kinds that are not known."""
        said = self._decoded(EVENTS, forecast_event_decoder, record)
        if said is not None and said.kind == TURNED:
            return TurnTold(said)
        if said is None or said.kind != "taking_off":
            return None
        return TakeOffSaid(
            post_name(said.source, said.post_id), said.source, said.post_id, said.event_id,
            epoch_ms(said.decided_at) / 1000, said.state == "firing", said.ended_as == "deleted",
            said.query, epoch_ms(said.posted_at) / 1000,
        )  # fmt: skip

    def rated(self, record: Record) -> AnswerRated | PostRated | None:
        """Return what a record of `scored-posts` says; nothing of what cannot be used."""
        post = self._decoded(SCORED_POSTS, scored_post_decoder, record)
        if post is None or post.source == heartbeat.SOURCE:
            return None
        heads = packed_heads(post.scores) if post.rated else b""
        name, ingested_s = post_name(post.source, post.id), epoch_ms(post.ingested_at)
        if not post.reply_to and not post.edit:
            return PostRated(name, self._ingested_s(ingested_s), heads) if heads else None
        shares = post.scores.get("sentiment") if post.rated else None
        if shares is not None and not _is_rating(shares):
            self._metrics.records_refused.labels(topic=SCORED_POSTS, reason=OUT_OF_RANGE).inc()
            return None
        return AnswerRated(
            name, epoch_ms(post.event_at) / 1000, self._ingested_s(ingested_s),
            post_name(post.source, post.reply_to) if post.reply_to else "",
            None if shares is None else shares.index(max(shares)), post.near_duplicate, heads,
        )  # fmt: skip

    def _ingested_s(self, ingested_ms: int) -> float:
        """Return an ingest time that is not of the future, and move the stream's time."""
        now_ms = epoch_ms(self._clock.now())
        ingested_s = min(ingested_ms, now_ms + _MAX_AHEAD_MS) / 1000
        self.clock_s = max(self.clock_s, ingested_s)
        return ingested_s

    def _decoded(self, topic: str, decoder: RecordDecoder[_Kind], record: Record) -> _Kind | None:
        try:
            return decoder.decode(record.value or b"")
        except DecodeError as error:
            self._metrics.records_refused.labels(topic=topic, reason=error.reason).inc()
            _log.warning(
                "unreadable record", topic=topic, partition=record.partition,
                offset=record.offset, reason=error.reason,
            )  # fmt: skip
            return None


def _is_rating(shares: list[int]) -> bool:
    return len(shares) == len(SENTIMENT) and min(shares) >= 0 and any(shares)


def _cut(text: str) -> str:
    return clean_text(text[:MAX_TEXT_CHARS])[0]
