"""What the texts say of a shift: terms that came and went, posts that show it.

Read when an alert begins or grows, from the ends of `scored-posts` and `posts`, so that nobody
keeps texts for it. An alert does not wait long: without an answer of Kafka it goes out without.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from core.clock import epoch_ms
from core.codec import post_decoder, scored_post_decoder
from core.errors import DecodeError, TransientError
from core.heads import HEADS
from core.logs import get_logger
from core.schemas import MICRO, Alert, ExamplePost, ScoredPost, Term
from core.settings import KafkaSettings
from services.kafka_client import read_topic
from services.kafka_client.messages import Record
from stream.shifts.explanation import ExampleCandidate, choose_examples, telling_terms, to_alert
from stream.shifts.signals import ShiftSignal
from stream.topics import POSTS, SCORED_POSTS, source_offset

_log = get_logger(__name__)

LAST_RECORDS: Final = 5_000
"""Of each partition: the posts of a few minutes of a busy stream, of hours of a quiet one."""
BEFORE_S: Final = 86_400
"""What is compared with: so long before the change began. A whole day: what is said at night is no
measure of what is said at noon."""
TIMEOUT_S: Final = 20.0
MOST_TERMS: Final = 10
_WORD: Final = re.compile(r"[#@]?\w{3,}")
_LINK: Final = re.compile(r"https?://\S+")
_POSITIVE: Final = HEADS["sentiment"].index("positive")
_NEGATIVE: Final = HEADS["sentiment"].index("negative")


@dataclass(slots=True)
class PostsAround:
    """Posts of one query around a change.

    Attributes:
        before: author -> terms, before it began.
        after: author -> terms, since.
        posts: those since, as candidates to be shown.
    """

    before: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    after: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    posts: list[ExampleCandidate] = field(default_factory=list[ExampleCandidate])

    def add(self, post: ScoredPost, text: str, *, is_after: bool) -> None:
        """Take note of a post. An author counts a term once, however often it is repeated."""
        words = terms(text)
        side = self.after if is_after else self.before
        side.setdefault(f"{post.source}:{post.author}", set()).update(words)
        if is_after:
            self.posts.append(
                ExampleCandidate(
                    post.id, post.source, post.author, sorted(words), sentiment_of(post)
                )
            )

    def explain(self, change: float) -> tuple[list[Term], list[ExamplePost]]:
        """Return the telling terms and the posts to show.

        Args:
            change: of the mean sentiment.
        """
        before, after = Counter(_each(self.before)), Counter(_each(self.after))
        telling = telling_terms(before, after, MOST_TERMS)
        weights = {one.term: one.weight for one in telling}
        return telling, choose_examples(self.posts, weights, change)


def terms(text: str) -> set[str]:
    """Return the words of a text that may become terms: folded, without links.

    Example:
        >>> sorted(terms("The @Rail is LATE, late again! https://x.example/late"))
        ['@rail', 'again', 'late', 'the']
    """
    return set(_WORD.findall(_LINK.sub(" ", text).casefold()))


class TextEvidence:
    """From signals to alerts with what the texts say.

    Args:
        kafka: where the topics are.
        last_records: of each partition that are read.
    """

    def __init__(self, kafka: KafkaSettings, last_records: int = LAST_RECORDS) -> None:
        self._kafka = kafka
        self._last = last_records
        self._explained: dict[str, tuple[list[Term], list[ExamplePost]]] = {}

    async def describe(self, signal: ShiftSignal) -> Alert:
        """Return the alert of a signal; its end has the texts that it was last told with."""
        if signal.state == "resolved":
            return to_alert(signal, *self._explained.pop(signal.alert_id, ((), ())))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await asyncio.to_thread(self._read, signal)
        except (TransientError, TimeoutError) as error:
            _log.warning("an alert goes out without its texts", reason=str(error))
            return to_alert(signal, *self._explained.get(signal.alert_id, ((), ())))
        self._explained[signal.alert_id] = found
        return to_alert(signal, *found)

    def _read(self, signal: ShiftSignal) -> tuple[list[Term], list[ExamplePost]]:
        wanted: dict[tuple[int, int], ScoredPost] = {}
        for record in read_topic(self._kafka, SCORED_POSTS, last=self._last):
            post = _of(signal, record)
            if post is not None:
                wanted[record.partition, source_offset(record.headers)] = post
        around = PostsAround()
        for record in read_topic(self._kafka, POSTS, last=self._last) if wanted else ():
            post = wanted.get((record.partition, record.offset))
            if post is not None:
                is_after = _pane_s(post) >= signal.started_s
                around.add(post, _text(record), is_after=is_after)
        # Volume and brigading have no side of the mean; what is told then leans neither way.
        return around.explain(signal.mix + signal.opinion)


def _of(signal: ShiftSignal, record: Record) -> ScoredPost | None:
    """Return a scored post if it is of the query and near the change."""
    try:
        post = scored_post_decoder.decode(record.value or b"")
    except DecodeError:
        return None
    begins_s, ends_s = signal.started_s - BEFORE_S, signal.decided_s
    near = post.pane_start is not None and begins_s <= _pane_s(post) < ends_s
    return post if near and signal.query in post.queries else None


def _pane_s(post: ScoredPost) -> int:
    return epoch_ms(post.pane_start or post.event_at) // 1000


def _text(record: Record) -> str:
    try:
        return post_decoder.decode(record.value or b"").text
    except DecodeError:
        return ""


def sentiment_of(post: ScoredPost) -> float:
    """Return the sentiment that was found in a post, in [-1, 1]; 0 of one that was not rated."""
    found = post.scores.get("sentiment", ())
    if not post.rated or len(found) != len(HEADS["sentiment"]):
        return 0.0
    return (found[_POSITIVE] - found[_NEGATIVE]) / MICRO


def _each(by_author: dict[str, set[str]]) -> Iterator[str]:
    return (term for found in by_author.values() for term in found)
