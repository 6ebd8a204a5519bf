"""What is said in one tick: its posts, and what follows them."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final, Literal

import msgspec

from core.clock import EPOCH
from core.schemas import Post, PostEvent
from services.ingest.sources.base import RawRecord
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.authors import Author, Pool
from services.ingest.synthetic.lexicons import SENTIMENTS, Draw, Phrases, phrases, write_post
from services.ingest.synthetic.malformed import break_post, damage_post
from services.ingest.synthetic.schedule import Moment

_NETWORK_DELAY_MS: Final = 400
NUMBERS_PER_TICK: Final = 1 << 24
_LEAST_LATE_MS: Final = 2_000

Kind = Literal["post", "duplicate", "malformed", "event"]


class IgnitedPost(msgspec.Struct, frozen=True, kw_only=True):
    """The truth about a post that takes off.

    Attributes:
        post_id, author: As on the post.
        start: When it begins: the time of the post.
        factor: How far beyond its author's normal it goes, at any age.
        normal_likes: The likes that posts of this author get as a rule, at the end of their lives.
        ages_s: Ages in event seconds.
        likes, replies, reposts: The totals reached by these ages.
    """

    post_id: str
    author: str
    start: datetime
    factor: float
    normal_likes: float
    ages_s: tuple[float, ...]
    likes: tuple[int, ...]
    replies: tuple[int, ...]
    reposts: tuple[int, ...]


class Utterance(msgspec.Struct, frozen=True, gc=False):
    """One item and the truth about it.

    Attributes:
        number: Unique in the run, the same whenever the run is repeated.
        arrival_ms: When it reaches ingest, milliseconds since 1970.
        kind: What sort of item it is.
        record: What is sent.
        detail: Of `malformed` the reason with which it must end in `dead-posts`, of a post the
            repair with which it must be accepted (or ""), of an `event` its kind.
        topic, sentiment: As intended; empty where that has no meaning.
        ignited: How far a post goes that takes off; None for all others.
    """

    number: int
    arrival_ms: int
    kind: Kind
    record: Post | PostEvent | RawRecord
    detail: str = ""
    topic: str = ""
    sentiment: str = ""
    ignited: IgnitedPost | None = None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who speaks in a run.

    Attributes:
        options: The options of the source.
        pools: The table (topic, language) -> who may speak.
        names: The accounts that others mention.
    """

    options: SyntheticOptions
    pools: Mapping[tuple[str, str], Pool]
    names: Sequence[str]


class TickMaker:
    """Makes the utterances of one tick; all its luck comes from the tick's own numbers.

    Args:
        crowd: Who speaks, and how.
        tick: The number of the tick.
        start_ms, tick_ms: Its beginning, milliseconds since 1970, and its length.
        draw: Its numbers.
        moment: What is intended in it.
        recent: The original posts of the ticks before it.
    """

    def __init__(
        self,
        crowd: Crowd,
        tick: int,
        start_ms: int,
        tick_ms: int,
        draw: Draw,
        moment: Moment,
        recent: Iterable[Sequence[Post]],
    ) -> None:
        self._options = options = crowd.options
        self._pools = crowd.pools
        self._names = crowd.names
        self._draw = draw
        self._start_ms = start_ms
        self._tick_ms = tick_ms
        self._stem = f"{options.seed}-{tick}-"
        self._number = tick * NUMBERS_PER_TICK
        self._cells = list(moment.cells)
        self._edges = list(accumulate(moment.cells.values()))
        self._opinion = {topic: (s[0], s[0] + s[1]) for topic, s in moment.sentiment.items()}
        self._recent = [post for posts in recent for post in posts]
        self.originals: list[Post] = []

    def say(self, count: int) -> Iterator[list[Utterance]]:
        """Yield `count` posts, each with what it causes, in no particular order."""
        draw, options = self._draw, self._options
        edges, last = self._edges, len(self._edges) - 1
        follow_ups = options.duplicate_share + options.edit_share + options.delete_share
        for place in range(count):
            topic, language = self._cells[bisect(edges, draw() * edges[-1], 0, last)]
            negative, not_positive = self._opinion[topic]
            luck = draw()
            feeling = 0 if luck < negative else 1 if luck < not_positive else 2
            utterance = self._post(place, topic, language, feeling)
            said = [utterance]
            if draw() < options.malformed_share:
                said.append(self._malformed(utterance))
            if draw() < follow_ups + options.like_share:
                said.append(self._follow_up(utterance, topic, language))
            yield said

    def _post(self, place: int, topic: str, language: str, feeling: int) -> Utterance:
        draw, options = self._draw, self._options
        author = self._pools[topic, language].pick(draw)
        claimed_ms = self._start_ms + int(draw() * self._tick_ms)
        if draw() < options.late_share and options.late_max_s:
            span_ms = max(0.0, options.late_max_s * 1000 - _LEAST_LATE_MS)
            delay_ms = _LEAST_LATE_MS + int(draw() * span_ms)
        else:
            delay_ms = int(draw() * draw() * _NETWORK_DELAY_MS)
        words = phrases(language)[topic, SENTIMENTS[feeling]]
        text, repost_of = self._text(words, author)
        post = Post(
            id=f"{self._stem}{place}",
            source="synthetic",
            author=author.name,
            ingested_at=moment_of(claimed_ms + delay_ms),
            text=text,
            claimed_at=moment_of(claimed_ms),
            lang=language,
            repost_of=repost_of,
            reply_to=None if repost_of else self._answered(),
        )
        repair = ""
        if repost_of is None:
            self.originals.append(post)
            if draw() < options.odd_share:
                repair, post = damage_post(post, draw)
        self._number += 1
        sentiment = "" if repost_of or repair else SENTIMENTS[feeling]
        return Utterance(
            self._number, claimed_ms + delay_ms, "post", post, repair, topic, sentiment
        )

    def _text(self, words: Phrases, author: Author) -> tuple[str, str | None]:
        """Return what is said, and the id of the post it repeats if it does."""
        draw, options = self._draw, self._options
        luck = draw()
        if luck < options.repost_share + options.near_duplicate_share and self._recent:
            original = self._recent[int(draw() * len(self._recent))]
            if luck < options.repost_share:
                return f"RT @{original.author}: {original.text}", original.id
            # Nobody says that it is a copy: no `repost_of`, one mark more.
            return f"{original.text} {'!.?'[int(draw() * 3)]}", None
        return write_post(words, author.habits, self._names, draw), None

    def _answered(self) -> str | None:
        """Return the id of the post that is answered, if one is; a share of 0 draws nothing."""
        share = self._options.reply_share
        if not share or not self._recent or self._draw() >= share:
            return None
        return self._recent[int(self._draw() * len(self._recent))].id

    def _malformed(self, utterance: Utterance) -> Utterance:
        assert isinstance(utterance.record, Post)  # noqa: S101 - a post is what was just said
        post = msgspec.structs.replace(utterance.record, id=f"{utterance.record.id}-broken")
        reason, value = break_post(post, self._draw)
        self._number += 1
        raw = RawRecord(value, post.author)
        return Utterance(self._number, utterance.arrival_ms, "malformed", raw, reason)

    def _follow_up(self, utterance: Utterance, topic: str, language: str) -> Utterance:
        """Return what happens to a post later: it comes again, is changed, goes, or is liked."""
        draw, options = self._draw, self._options
        post = utterance.record
        assert isinstance(post, Post)  # noqa: S101 - a post is what was just said
        longest_ms = max(0.0, options.follow_up_max_s * 1000 - 200)
        at_ms = utterance.arrival_ms + 200 + int(draw() * longest_ms)
        self._number += 1
        luck = draw() * (
            options.duplicate_share + options.edit_share + options.delete_share + options.like_share
        )
        if luck < options.duplicate_share:
            again = msgspec.structs.replace(post, ingested_at=moment_of(at_ms))
            return Utterance(self._number, at_ms, "duplicate", again, utterance.detail)
        event = self._event(post, at_ms, luck - options.duplicate_share, topic, language)
        return Utterance(self._number, at_ms, "event", event, event.kind)

    def _event(self, post: Post, at_ms: int, luck: float, topic: str, language: str) -> PostEvent:
        draw, options = self._draw, self._options
        changes: dict[str, Any]
        if luck < options.edit_share:
            words = phrases(language)[topic, SENTIMENTS[int(draw() * 3)]]
            author = self._pools[topic, language].authors[0]
            text = write_post(words, author.habits, self._names, draw)
            changes = {"kind": "edit", "text": text, "lang": language}
        elif luck < options.edit_share + options.delete_share:
            changes = {"kind": "delete"}
        elif draw() < 0.2:
            likes = int(1 / (1.001 - draw()))
            further = {"replies": likes // 5, "reposts": likes // 8}
            changes = {"kind": "counts", "likes": likes, **further}
        else:
            changes = {"kind": ("like", "like", "repost", "reply")[int(draw() * 4)]}
        return PostEvent(
            post_id=post.id, source=post.source, author=post.author, ingested_at=moment_of(at_ms),
            claimed_at=moment_of(at_ms - 100), **changes,
        )  # fmt: skip


def moment_of(ms: int) -> datetime:
    """Return the moment so many milliseconds after 1970."""
    return EPOCH + timedelta(milliseconds=ms)
