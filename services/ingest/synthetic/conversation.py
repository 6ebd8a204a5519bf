"""The stream of items: posts and what follows them, in order of arrival, tick after tick.

Event time is cut into ticks. A tick's posts depend on the seed, the tick's number and the original
posts of a few ticks before; what they cause later (a late arrival, a duplicate, an edit) waits in a
heap. To go on at a tick, only the ticks before it that still reach into it are made again.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import accumulate
from typing import Any, Final, Literal

import msgspec

from core.clock import EPOCH, epoch_ms
from core.schemas import Post, PostEvent
from services.ingest.sources.base import RawRecord
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.authors import Author, make_authors, make_pools
from services.ingest.synthetic.lexicons import SENTIMENTS, Phrases, phrases, write_post
from services.ingest.synthetic.malformed import break_post, damage_post
from services.ingest.synthetic.schedule import Moment, Schedule

TICK_POSTS: Final = 256
"""About so many posts are made at once."""
RECENT_S: Final = 10.0
_RECENT_PER_TICK: Final = 64
_NETWORK_DELAY_MS: Final = 400
_NUMBERS_PER_TICK: Final = 1 << 24
_LEAST_LATE_MS: Final = 2_000

Kind = Literal["post", "duplicate", "malformed", "event"]


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
    """

    number: int
    arrival_ms: int
    kind: Kind
    record: Post | PostEvent | RawRecord
    detail: str = ""
    topic: str = ""
    sentiment: str = ""


class Conversation:
    """Everything that is said in one run.

    Args:
        options: The options of the source, already checked.
        start: The beginning of event time, aware.
    """

    def __init__(self, options: SyntheticOptions, start: datetime) -> None:
        self._options = options
        self._start_ms = epoch_ms(start)
        self.schedule = Schedule(options, start)
        wanted_ms = TICK_POSTS / options.posts_per_s * 1000
        self.tick_ms = int(min(1000.0, max(10.0, wanted_ms)))
        authors = make_authors(options)
        self._pools = make_pools(authors)
        self._names = [author.name for author in authors[:50]]
        self._recent_ticks = math.ceil(RECENT_S * 1000 / self.tick_ms)
        reach_s = max(options.follow_up_max_s + options.late_max_s, options.late_max_s) + 1
        self._reach_ticks = math.ceil(reach_s * 1000 / self.tick_ms)
        self._last_tick = (
            math.ceil(options.duration_s * 1000 / self.tick_ms) if options.duration_s else None
        )

    def tick_start_ms(self, tick: int) -> int:
        """Return when a tick begins, milliseconds since 1970."""
        return self._start_ms + tick * self.tick_ms

    def ticks(self, first: int = 0) -> Iterator[tuple[int, list[Utterance]]]:
        """Yield (tick, what arrives in it, in order) from tick `first` to the end, if there is one.

        The first tick costs as much as the ticks that reach into it.
        """
        waiting: list[tuple[int, int, Utterance]] = []
        recent: deque[list[Post]] = deque(maxlen=self._recent_ticks)
        tick = max(0, first - self._reach_ticks - self._recent_ticks)
        made = self._posts_before(tick)
        first_ms = self.tick_start_ms(first)
        while True:
            left = self._options.posts - made if self._options.posts else None
            ended = (left is not None and left <= 0) or (
                self._last_tick is not None and tick >= self._last_tick
            )
            if ended and not waiting and tick >= first:
                return
            if not ended:
                made += self._make(tick, left, recent, waiting)
            end_ms = self.tick_start_ms(tick + 1)
            arrived: list[Utterance] = []
            while waiting and waiting[0][0] < end_ms:
                utterance = heappop(waiting)[2]
                if utterance.arrival_ms >= first_ms:
                    arrived.append(utterance)
            if tick >= first:
                yield tick, arrived
            tick += 1

    def _posts_before(self, tick: int) -> int:
        """Count the posts of earlier ticks; only a bound on posts needs it."""
        if not self._options.posts:
            return 0
        return sum(self._volume(earlier)[2] for earlier in range(tick))

    def _volume(self, tick: int) -> tuple[random.Random, Moment, int]:
        draws = random.Random(f"{self._options.seed}:{tick}")
        moment = self.schedule.at((tick + 0.5) * self.tick_ms / 1000)
        return draws, moment, _poisson(draws, moment.posts_per_s * self.tick_ms / 1000)

    def _make(
        self,
        tick: int,
        left: int | None,
        recent: deque[list[Post]],
        waiting: list[tuple[int, int, Utterance]],
    ) -> int:
        """Make the posts of a tick and all they cause; return how many posts."""
        rng, moment, count = self._volume(tick)
        count = count if left is None else min(count, left)
        maker = _TickMaker(self, tick, rng, moment, recent)
        for utterance in maker.say(count):
            heappush(waiting, (utterance.arrival_ms, utterance.number, utterance))
        recent.append(maker.originals[-_RECENT_PER_TICK:])
        return count


class _TickMaker:
    """Makes the utterances of one tick; all its luck comes from the tick's own numbers."""

    def __init__(
        self,
        whole: Conversation,
        tick: int,
        rng: random.Random,
        moment: Moment,
        recent: deque[list[Post]],
    ) -> None:
        self._options = options = whole._options
        self._pools = whole._pools
        self._names = whole._names
        self._draw = rng.random
        self._start_ms = whole.tick_start_ms(tick)
        self._tick_ms = whole.tick_ms
        self._stem = f"{options.seed}-{tick}-"
        self._number = tick * _NUMBERS_PER_TICK
        self._cells = list(moment.cells)
        self._edges = list(accumulate(moment.cells.values()))
        self._opinion = {topic: (s[0], s[0] + s[1]) for topic, s in moment.sentiment.items()}
        self._recent = [post for posts in recent for post in posts]
        self.originals: list[Post] = []

    def say(self, count: int) -> Iterator[Utterance]:
        """Yield `count` posts and everything they cause, in no particular order."""
        draw, options = self._draw, self._options
        edges, last = self._edges, len(self._edges) - 1
        for place in range(count):
            topic, language = self._cells[bisect(edges, draw() * edges[-1], 0, last)]
            negative, not_positive = self._opinion[topic]
            luck = draw()
            feeling = 0 if luck < negative else 1 if luck < not_positive else 2
            utterance = self._post(place, topic, language, feeling)
            yield utterance
            luck = draw()
            if luck < options.malformed_share:
                yield self._malformed(utterance)
            follow_ups = options.duplicate_share + options.edit_share + options.delete_share
            if draw() < follow_ups + options.like_share:
                yield self._follow_up(utterance, topic, language)

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
            ingested_at=_time(claimed_ms + delay_ms),
            text=text,
            claimed_at=_time(claimed_ms),
            lang=language,
            repost_of=repost_of,
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
            again = msgspec.structs.replace(post, ingested_at=_time(at_ms))
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
            post_id=post.id, source=post.source, author=post.author, ingested_at=_time(at_ms),
            claimed_at=_time(at_ms - 100), **changes,
        )  # fmt: skip


def _time(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def _poisson(rng: random.Random, mean: float) -> int:
    """Draw a count; by the normal law where it is as good, by Knuth's method below."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
