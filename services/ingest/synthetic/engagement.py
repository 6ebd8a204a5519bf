"""How far posts go: likes, replies and reposts over a post's life, and posts that take off.

All luck is that of a post's id, so that posts are the same with and without engagement, and a run
that goes on makes the same of the posts before.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate
from typing import Final

import msgspec

from core.schemas import Post, PostEvent
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.authors import Author
from services.ingest.synthetic.chance import poisson
from services.ingest.synthetic.utterances import (
    NUMBERS_PER_TICK,
    IgnitedPost,
    Utterance,
    moment_of,
)

AGES: Final = (1 / 288, 1 / 144, 1 / 96, 1 / 48, 1 / 24, 1 / 8, 1.0)
"""When totals are told, in lives: 5, 10, 15 and 30 minutes, 1, 3 and 24 hours of a day."""
FACTORS: Final = (10.0, 100.0)
"""How far beyond its author's normal a post goes that takes off, where the options do not say."""
SEEK_S: Final = 10.0
"""An ignition takes the first post that can take off in so much event time, or none."""
LEAST_LEVEL: Final = 20.0
"""Whoever has fewer likes as a rule cannot take off within minutes."""
_TYPICAL_LEVEL: Final = 30.0
_LEVELS_APART: Final = 1.2
_POSTS_ALIKE: Final = 1.5
"""Shape of the gamma law of a post's luck; its counts are negative binomial."""
_EARLY: Final = (0.3, 0.2)
"""Median and log-deviation of the exponent of a post's age curve: a fifth comes in 5 minutes."""
_DELAY_MS: Final = 100
_PER_POST: Final = 8
_FIRST_NUMBER: Final = NUMBERS_PER_TICK // 2
_SINGLES: Final = frozenset(("like", "repost", "reply", "counts"))


@dataclass(frozen=True, slots=True)
class Following:
    """What posts of an author get as a rule: likes, and replies and reposts for each like."""

    likes: float
    replies: float
    reposts: float


def make_followings(options: SyntheticOptions, authors: Sequence[Author]) -> dict[str, Following]:
    """Return author -> following, for the share of the authors whose posts get engagement."""
    rng = random.Random(f"followings:{options.seed}")
    found: dict[str, Following] = {}
    for author in authors:
        luck = rng.random()
        likes = _TYPICAL_LEVEL * math.exp(_LEVELS_APART * rng.gauss(0, 1))
        following = Following(likes, rng.uniform(0.02, 0.3), rng.uniform(0.05, 0.4))
        if luck < options.engagement_share:
            found[author.name] = following
    return found


class _Life(msgspec.Struct, frozen=True):
    """The totals of one post at `AGES`: likes, replies, reposts of each."""

    post_id: str
    author: str
    number: int
    claimed_ms: int
    arrival_ms: int
    gone_ms: int | None
    totals: array[int]


class Engagement:
    """The lives of the posts of one run.

    Args:
        options: The options of the source.
        start_ms: The beginning of event time, milliseconds since 1970.
        followings: As `make_followings` returns it.
    """

    def __init__(
        self, options: SyntheticOptions, start_ms: int, followings: Mapping[str, Following]
    ) -> None:
        self._options = options
        self._start_ms = start_ms
        self._followings = followings
        self._life_ms = options.life_s * 1000
        self._waiting: list[tuple[int, int, int, _Life]] = []
        self._taken: dict[int, int] = {}

    def __len__(self) -> int:
        """Return how many posts have something to come."""
        return len(self._waiting)

    def engage(self, said: list[Utterance]) -> list[Utterance]:
        """Give a post its life, if its author has a following.

        Args:
            said: The post, and what follows it so far.

        Returns:
            The same without the likes that it had by chance; a post that takes off is told so.
        """
        utterance, post = said[0], said[0].record
        if not isinstance(post, Post):
            return said
        following = self._followings.get(post.author)
        if following is None or post.repost_of is not None or utterance.detail:
            return said
        kept = [one for one in said if one.kind != "event" or one.detail not in _SINGLES]
        gone = [one.arrival_ms for one in kept if one.detail == "delete"]
        assert post.claimed_at is not None  # noqa: S101 - what is not repaired has a time
        claimed_ms = round(post.claimed_at.timestamp() * 1000)
        rng = random.Random(f"life:{self._options.seed}:{post.id}")
        factor = 0.0 if gone else self._ignition(claimed_ms, following, rng)
        totals = _totals(rng, following, factor)
        local = utterance.number % NUMBERS_PER_TICK
        number = utterance.number - local + _FIRST_NUMBER + local * _PER_POST
        life = _Life(
            post.id, post.author, number, claimed_ms, utterance.arrival_ms,
            gone[0] if gone else None, totals,
        )  # fmt: skip
        self._wait_for(life, 0)
        if factor:
            ignited = self._told(life, factor, following)
            kept[0] = msgspec.structs.replace(utterance, ignited=ignited)
        return kept

    def due(self, end_ms: int) -> Iterator[Utterance]:
        """Yield what arrives before a time, each once, in order."""
        while self._waiting and self._waiting[0][0] < end_ms:
            arrival_ms, number, place, life = heappop(self._waiting)
            self._wait_for(life, place + 1)
            likes, replies, reposts = life.totals[3 * place : 3 * place + 3]
            event = PostEvent(
                kind="counts", post_id=life.post_id, source="synthetic", author=life.author,
                ingested_at=moment_of(arrival_ms), claimed_at=moment_of(self._at_ms(life, place)),
                likes=likes, replies=replies, reposts=reposts,
            )  # fmt: skip
            yield Utterance(number, arrival_ms, "event", event, event.kind)

    def _at_ms(self, life: _Life, place: int) -> int:
        return life.claimed_ms + int(AGES[place] * self._life_ms)

    def _wait_for(self, life: _Life, place: int) -> None:
        """Let the next totals of a post wait: those that changed, and in any case the last."""
        last = len(AGES) - 1
        while place < last and (
            self._at_ms(life, place) < life.arrival_ms
            or life.totals[3 * place : 3 * place + 3] == _before(life.totals, place)
        ):
            place += 1
        if place > last:
            return
        arrival_ms = max(self._at_ms(life, place), life.arrival_ms) + _DELAY_MS
        if life.gone_ms is None or arrival_ms < life.gone_ms:
            heappush(self._waiting, (arrival_ms, life.number + place, place, life))

    def _ignition(self, claimed_ms: int, following: Following, rng: random.Random) -> float:
        """Return by what factor a post takes off, 0 if it does not."""
        if following.likes < LEAST_LEVEL:
            return 0.0
        elapsed_s = (claimed_ms - self._start_ms) / 1000
        for place, ignition in enumerate(self._options.ignitions):
            since_s = elapsed_s - ignition.at_s
            number = int(since_s // ignition.every_s) if ignition.every_s and since_s > 0 else 0
            since_s -= number * ignition.every_s
            if 0 <= since_s < SEEK_S and number > self._taken.get(place, -1):
                self._taken[place] = number
                low, high = FACTORS
                return ignition.factor or low * (high / low) ** rng.random()
        return 0.0

    def _told(self, life: _Life, factor: float, following: Following) -> IgnitedPost:
        return IgnitedPost(
            post_id=life.post_id,
            author=life.author,
            start=moment_of(life.claimed_ms),
            factor=round(factor, 3),
            normal_likes=round(following.likes, 3),
            ages_s=tuple(round(age * self._options.life_s, 3) for age in AGES),
            likes=tuple(life.totals[0::3]),
            replies=tuple(life.totals[1::3]),
            reposts=tuple(life.totals[2::3]),
        )


def _before(totals: array[int], place: int) -> array[int]:
    return totals[3 * place - 3 : 3 * place] if place else array("q", (0, 0, 0))


def _totals(rng: random.Random, following: Following, factor: float) -> array[int]:
    """Return likes, replies and reposts at each of `AGES`, none of them ever falling.

    Args:
        rng: The numbers of the post.
        following: What its author's posts get.
        factor: How far beyond that it goes, if it takes off; else 0.
    """
    luck = rng.gammavariate(_POSTS_ALIKE, 1 / _POSTS_ALIKE)
    mean = following.likes * (factor or luck)
    median, apart = _EARLY
    exponent = median * math.exp(apart * rng.gauss(0, 1))
    curve = [age**exponent for age in AGES]
    steps = [now - before for before, now in zip((0.0, *curve), curve, strict=False)]
    kinds = [
        list(accumulate(poisson(rng, mean * share * step) for step in steps))
        for share in (1.0, following.replies, following.reposts)
    ]
    return array("q", (total for row in zip(*kinds, strict=True) for total in row))
