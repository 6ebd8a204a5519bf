"""The replies of one event that lead, or will: ranked as they and their likes arrive.

By the likes that each is expected to have in the end (`expected_likes`). Of replies that say nearly
the same the best liked stands for all, and a reply that shares words with one above it falls back
a little (maximal marginal relevance, Carbonell and Goldstein, SIGIR 1998).

Shapes: `M` minima of a signature.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.popalm.expected_likes import PLACES, ExpectedLikes

Signature = NDArray[np.unsignedinteger[Any]]
SignatureOf = Callable[[str], Signature | None]
"""A text to its (M,) MinHash signature; None of one that is too short to be anybody's copy."""
CAPACITY: Final = 256
"""Replies that an event keeps; a quarter more, and those of the fewest expected likes go."""
SAME_SHARE: Final = 0.6
"""Texts whose minima agree in this share are one reply."""
_TIMES: Final = 2 ** (PLACES - 1)
"""Times of the first replies, by which places are told; those after them are in one group."""
ALIKE_COST: Final = 0.7
"""A reply that has all its words from one above it counts for this share less."""
_POOL: Final = 4
"""So many times the replies that are asked for are looked at for different ones."""
_WORD: Final = re.compile(r"[^\W_]+")
_CUT: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Scripts that write no space between words: each sign counts as a word."""


@dataclass(frozen=True, slots=True)
class RankedReply:
    """A reply among those that lead.

    Attributes:
        reply_id: The id of the reply.
        text: Its text.
        likes: Its likes by now.
        expected: The likes that it is expected to have in the end.
        worth: Its likes, times those that its age, its place and its event let expect.
        copies: The ids of other replies that say nearly the same.
    """

    reply_id: str
    text: str
    likes: int
    expected: float
    worth: float
    copies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Marks:
    words: frozenset[str]
    signature: Signature | None


@dataclass(slots=True)
class _Kept:
    reply_id: str
    text: str
    at_s: float
    likes: int
    marks: _Marks | None = None
    """Made when it is compared; most replies never are."""


_Group = tuple[_Kept, list[str]]


class EventReplies:
    """The replies of one event. Not thread-safe.

    A place is told by the times of replies, so the same replies have the same ranking in whatever
    order they arrive, as long as none is dropped.

    Args:
        expected: What is learnt of the event's source.
        signature_of: Makes the signatures by which copies are found.
        capacity: The number of replies that are kept.
    """

    def __init__(
        self, expected: ExpectedLikes, signature_of: SignatureOf, capacity: int = CAPACITY
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity}: expected at least one reply")
        self._expected = expected
        self._signature_of = signature_of
        self._capacity = capacity
        self._kept: dict[str, _Kept] = {}
        self._times: list[float] = []
        self.arrived = 0
        self.dropped = 0

    def __contains__(self, reply_id: str) -> bool:
        """Tell whether a reply is kept."""
        return reply_id in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, reply_id: str, text: str, at_s: float, likes: int = 0) -> None:
        """Take in a reply; one that is known gets its new text and likes, its time stays.

        Args:
            reply_id: The id of the reply.
            text: Its text.
            at_s: The time when it was written, in seconds since 1970.
            likes: Its likes by now.
        """
        known = self._kept.get(reply_id)
        since_s = at_s if known is None else known.at_s
        self._kept[reply_id] = _Kept(reply_id, text, since_s, likes)
        if known is None:
            self.arrived += 1
            insort(self._times, at_s)
            del self._times[_TIMES:]
        if 4 * len(self._kept) > 5 * self._capacity:
            self._drop_least(at_s)

    def observe(self, reply_id: str, likes: int) -> bool:
        """Take in the likes of a reply by now; tell whether it is kept here."""
        known = self._kept.get(reply_id)
        if known is not None:
            known.likes = likes
        return known is not None

    def remove(self, reply_id: str) -> bool:
        """Forget a reply with its text, as its author deleted it; tell whether it was kept here."""
        return self._kept.pop(reply_id, None) is not None

    def _drop_least(self, now_s: float) -> None:
        for one in self._in_order(self._finals(now_s, self._level(now_s)))[self._capacity :]:
            del self._kept[one.reply_id]
            self.dropped += 1

    def _in_order(self, finals: dict[str, float]) -> list[_Kept]:
        """Return all replies, the one with most to expect first."""
        # Of replies with as much to expect the earlier one is first, whatever its id.
        return sorted(
            self._kept.values(), key=lambda one: (-finals[one.reply_id], one.at_s, one.reply_id)
        )

    def _place(self, one: _Kept) -> int:
        """Return the number of replies before one, as far as it makes a difference."""
        return bisect_left(self._times, one.at_s)

    def _level(self, now_s: float) -> float:
        kept = self._kept.values()
        return self._expected.level(
            (one.likes for one in kept), map(self._place, kept), (now_s - one.at_s for one in kept)
        )

    def _finals(self, now_s: float, level: float) -> dict[str, float]:
        return {
            key: self._expected.final(one.likes, self._place(one), now_s - one.at_s, level)
            for key, one in self._kept.items()
        }

    def top(self, number: int, now_s: float) -> list[RankedReply]:
        """Return the replies that lead, the first first; fewer where there are no more.

        Args:
            number: The number of replies at most.
            now_s: The time by which likes were counted, in seconds since 1970.
        """
        level = self._level(now_s)
        finals = self._finals(now_s, level)
        chosen = _different(self._merged(self._in_order(finals), number * _POOL), number, finals)
        return [
            RankedReply(
                one.reply_id, one.text, one.likes, finals[one.reply_id],
                self._expected.worth(one.likes, self._place(one), now_s - one.at_s, level),
                tuple(copies),
            )
            for one, copies in chosen
        ]  # fmt: skip

    def _merged(self, order: Sequence[_Kept], pool: int) -> list[_Group]:
        """Return the first replies that are nobody's copy, at most `pool`, each with its copies."""
        groups: list[_Group] = []
        for one in order:
            for first, copies in groups:
                if _is_copy(self._marks(one), self._marks(first)):
                    copies.append(one.reply_id)
                    break
            else:
                if len(groups) == pool:
                    break
                self._marks(one)
                groups.append((one, []))
        return groups

    def _marks(self, one: _Kept) -> _Marks:
        if one.marks is None:
            one.marks = _Marks(frozenset(words_of(one.text)), self._signature_of(one.text))
        return one.marks


def words_of(text: str) -> Sequence[str]:
    """Return the words of a text in lower case; signs of scripts without spaces one by one."""
    return _WORD.findall(_CUT.sub(r" \g<0> ", text.casefold()))


def _is_copy(one: _Marks, other: _Marks) -> bool:
    if one.signature is None or other.signature is None:
        return one.words == other.words and bool(one.words)
    same = np.count_nonzero(one.signature == other.signature)
    return bool(same >= SAME_SHARE * len(one.signature))


def _different(groups: Sequence[_Group], number: int, finals: dict[str, float]) -> list[_Group]:
    """Choose greedily: what a reply is expected to get, less what those above have said already."""
    left, chosen = list(groups), list[_Group]()
    said = {one.reply_id: 0.0 for one, _copies in left}

    def value(group: _Group) -> float:
        reply_id = group[0].reply_id
        return finals[reply_id] * (1 - ALIKE_COST * said[reply_id])

    while left and len(chosen) < number:
        best = max(left, key=value)
        left.remove(best)
        chosen.append(best)
        for one, _copies in left:
            said[one.reply_id] = max(said[one.reply_id], _shared(one, best[0]))
    return chosen


def _shared(one: _Kept, above: _Kept) -> float:
    """Return the share of a reply's words that one above it has."""
    if one.marks is None or above.marks is None or not one.marks.words:
        return 0.0
    return len(one.marks.words & above.marks.words) / len(one.marks.words)
