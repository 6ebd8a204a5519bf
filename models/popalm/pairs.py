"""Pairs of replies of which people liked one more, made from the likes and from nothing else.

Whoever wrote a file of pairs may have meant something else by "preferred", so its order is not
taken over: of two replies to one post the one with at least `LEAST_RATIO` times the likes is
preferred, and a pair that says otherwise is refused. A reply to another post is no less liked but
off topic: such pairs are kept apart, and no likes are compared across posts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import log
from typing import Final, Literal

LEAST_RATIO: Final = 3.0
AGE_APART_S: Final = 3_600.0
"""Replies whose times lie further apart are not compared: the earlier one gets most likes."""

Refusal = Literal["inverted", "close", "repeated", "same", "empty", "ages"]


def normalised(text: str) -> str:
    """Return what two texts share that are the same to a reader: NFKC, case and space folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class LikedReply:
    """A reply and what people made of it.

    Attributes:
        text: Its text.
        likes: Its likes or score in the end.
        at_s: Its time, in seconds since 1970; None where it is not known.
    """

    text: str
    likes: int
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one post, the first of which was liked more.

    Attributes:
        post: The text of the post.
        preferred: The reply that was liked more.
        rejected: The other one.
        margin: The logarithm of how many times the likes the first one has.
    """

    post: str
    preferred: str
    rejected: str
    margin: float


@dataclass(frozen=True, slots=True)
class OffTopicPair:
    """A reply to a post, and a reply to another post.

    Attributes:
        post: The text of the post.
        own: The reply to it.
        foreign: The reply to another one.
    """

    post: str
    own: str
    foreign: str


def ratio(preferred: int, rejected: int) -> float:
    """Return how many times the likes one has; none, or a score below zero, counts as one like."""
    return max(preferred, 1) / max(rejected, 1)


@dataclass(slots=True)
class PairBuilder:
    """Takes pairs in and refuses those that teach something false.

    Attributes:
        least_ratio: The times that the preferred reply must have the likes of the other one.
        apart_s: The seconds that their times may lie apart, where both are known.
        pairs: What was taken in.
        refused: The number of pairs that were refused, by reason.
    """

    least_ratio: float = LEAST_RATIO
    apart_s: float = AGE_APART_S
    pairs: list[Pair] = field(default_factory=list[Pair])
    refused: dict[Refusal, int] = field(default_factory=dict[Refusal, int])
    _known: set[tuple[str, frozenset[str]]] = field(default_factory=set[tuple[str, frozenset[str]]])

    def add(self, post: str, preferred: LikedReply, rejected: LikedReply) -> bool:
        """Take a pair in that somebody has put in an order; tell whether it is one.

        Args:
            post: The text of the post.
            preferred: The reply that is said to be liked more.
            rejected: The other one.
        """
        reason = self._reason(preferred, rejected)
        if reason is None:
            texts = frozenset((normalised(preferred.text), normalised(rejected.text)))
            reason = "repeated" if (normalised(post), texts) in self._known else None
            self._known.add((normalised(post), texts))
        if reason is not None:
            self.refused[reason] = self.refused.get(reason, 0) + 1
            return False
        margin = log(ratio(preferred.likes, rejected.likes))
        self.pairs.append(Pair(post, preferred.text, rejected.text, margin))
        return True

    def _reason(self, preferred: LikedReply, rejected: LikedReply) -> Refusal | None:
        """Return why likes, times and texts make no pair; None where they make one."""
        one, other = normalised(preferred.text), normalised(rejected.text)
        if not one or not other:
            return "empty"
        if one == other:
            return "same"
        if preferred.likes < rejected.likes:
            return "inverted"
        if ratio(preferred.likes, rejected.likes) < self.least_ratio:
            return "close"
        times = (preferred.at_s, rejected.at_s)
        if times[0] is not None and times[1] is not None:
            return "ages" if abs(times[0] - times[1]) > self.apart_s else None
        return None

    def add_all(self, post: str, replies: Sequence[LikedReply]) -> None:
        """Take in every pair of a post's replies, each put in the order of its likes."""
        for one, other in combinations(replies, 2):
            more, less = (one, other) if one.likes >= other.likes else (other, one)
            self.add(post, more, less)


def off_topic_pairs(rows: Iterable[tuple[str, str, str]]) -> list[OffTopicPair]:
    """Return pairs of own and foreign replies, without those that say the same and repeats.

    Args:
        rows: Posts, replies to them, and replies to other posts.
    """
    found: dict[tuple[str, str, str], OffTopicPair] = {}
    for post, own, foreign in rows:
        key = (normalised(post), normalised(own), normalised(foreign))
        if key[1] and key[2] and key[1] != key[2]:
            found.setdefault(key, OffTopicPair(post, own, foreign))
    return list(found.values())
