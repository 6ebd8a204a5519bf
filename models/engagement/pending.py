"""The posts of a partition that wait for their outcome, and when something is due for each."""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from models.engagement.conformal import EPOCHS
from models.engagement.layout import (
    JUDGED,
    LAYOUT,
    NOT_SEEN,
    PENDING,
    STAGES,
    TARGETS,
    UNKNOWN,
)

KEY_BYTES: Final = 12
_HEAD: Final = struct.Struct("<6BI")
_ASKED: Final = struct.Struct("<6H9H")
_SEEN: Final = struct.Struct("<3I")
_SEEN_AT: Final = _HEAD.size + _ASKED.size
_STAGE, _FLAGS, _SOURCE, _EPOCH = 1, 2, 4, 5
_LOW: Final = 64
"""Of the flags, what stands before the two bits of the rarity."""
_QUERY: Final = struct.Struct("<H")
_MOST_QUERIES: Final = 64
Seen = tuple[int, int, int]
NONE_SEEN: Final[Seen] = (NOT_SEEN, NOT_SEEN, NOT_SEEN)


class PendingPost:
    """A record of `PENDING` with the numbers of its queries, as bytes that may be changed."""

    __slots__ = ("record",)

    def __init__(self, record: bytearray) -> None:
        self.record = record

    @classmethod
    def new(cls, at_s: float, kind: int, source: int, queries: Sequence[int]) -> PendingPost:
        """Return the record of a post of which nothing is forecast yet.

        Its time is rounded up to whole seconds: so what is counted of it at its very horizon, not
        a moment later, is its outcome.
        """
        nothing = (UNKNOWN,) * 15
        head = _HEAD.pack(LAYOUT, 0, 0, kind, source, 0, math.ceil(at_s))
        numbers = b"".join(_QUERY.pack(number) for number in queries[:_MOST_QUERIES])
        return cls(bytearray(head + _ASKED.pack(*nothing) + _SEEN.pack(*NONE_SEEN) + numbers))

    @property
    def at(self) -> int:
        """The time of the post, in whole seconds since 1970, rounded up."""
        return _HEAD.unpack_from(self.record)[6]

    @property
    def kind(self) -> int:
        """The kind of the post, see `models.engagement.layout`."""
        return self.record[3]

    @property
    def source(self) -> int:
        """The number of its source."""
        return self.record[_SOURCE]

    @property
    def stage(self) -> int:
        """How many of the ages it has passed."""
        return self.record[_STAGE] % STAGES

    @stage.setter
    def stage(self, stage: int) -> None:
        self.record[_STAGE] = stage + self.reach * STAGES

    @property
    def reach(self) -> int:
        """How far all its counts together went beyond their forecast, below `REACHES`."""
        return self.record[_STAGE] // STAGES

    @reach.setter
    def reach(self, reach: int) -> None:
        self.record[_STAGE] = self.stage + reach * STAGES

    @property
    def epoch(self) -> int:
        """The epoch of the widths that it was served with."""
        return self.record[_EPOCH] % EPOCHS

    @property
    def rarity(self) -> int:
        """How rare it was at its rarest look, below `RARITIES`."""
        return self.record[_FLAGS] // _LOW + self.record[_EPOCH] // EPOCHS * 4

    @rarity.setter
    def rarity(self, rarity: int) -> None:
        self.record[_FLAGS] = self.record[_FLAGS] % _LOW + rarity % 4 * _LOW
        self.record[_EPOCH] = self.epoch + rarity // 4 * EPOCHS

    def has(self, flag: int) -> bool:
        """Tell whether a flag is set."""
        return bool(self.record[_FLAGS] & flag)

    def mark(self, flag: int, on: bool = True) -> None:
        """Set a flag, or take it back."""
        self.record[_FLAGS] = (self.record[_FLAGS] | flag) if on else self.record[_FLAGS] & ~flag

    @property
    def judged(self) -> int:
        """The index of the target that the experts are of."""
        return self.record[_FLAGS] // JUDGED & 3

    @property
    def seen(self) -> Seen:
        """(3,) counts so far; `NOT_SEEN`."""
        return _SEEN.unpack_from(self.record, _SEEN_AT)

    @seen.setter
    def seen(self, seen: Seen) -> None:
        _SEEN.pack_into(self.record, _SEEN_AT, *seen)

    def expect(self, epoch: int, judged: int, asked: Sequence[int]) -> None:
        """Keep what is expected.

        Args:
            epoch: That of the widths that are served.
            judged: The index of the target that the experts are of.
            asked: (15,) kept logs: floors and model, then for each target the width below the
                median, the served median and the width above it.
        """
        self.record[_EPOCH] = epoch
        self.record[_FLAGS] |= judged * JUDGED
        _ASKED.pack_into(self.record, _HEAD.size, *asked)

    @property
    def asked(self) -> tuple[int, ...]:
        """(15,) see `expect`."""
        return _ASKED.unpack_from(self.record, _HEAD.size)

    @property
    def queries(self) -> list[int]:
        """The numbers of the queries that it is of."""
        return [number for (number,) in _QUERY.iter_unpack(self.record[PENDING.itemsize :])]


class PendingPosts:
    """Posts by key, and a queue of when the next thing is due for each.

    Args:
        ages_s: The ages at which something is due, in order; the last one is the horizon.

    Attributes:
        changed: The keys whose record is another than it was, or gone.
    """

    def __init__(self, ages_s: Sequence[int]) -> None:
        self._ages_s = ages_s
        self._posts: dict[bytes, PendingPost] = {}
        self._due: list[tuple[int, bytes]] = []
        self.changed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._posts)

    def find(self, key: bytes) -> PendingPost | None:
        """Return a post, None where there is none."""
        return self._posts.get(key)

    def add(self, key: bytes, post: PendingPost) -> None:
        """Let a post wait; also when its next age has come."""
        self._posts[key] = post
        heapq.heappush(self._due, (post.at + self._ages_s[post.stage], key))
        self.changed.add(key)

    def remove(self, key: bytes) -> PendingPost | None:
        """Let a post wait no longer; None where there is none."""
        self.changed.add(key)
        return self._posts.pop(key, None)

    def blob(self, key: bytes) -> bytes | None:
        """Return the record of a post as it is kept, None where there is none."""
        post = self._posts.get(key)
        return None if post is None else bytes(post.record)

    def latest(self) -> float:
        """Return the time of the latest post, 0 where there is none."""
        return float(max((post.at for post in self._posts.values()), default=0))

    def pop_due(self, now_s: float, *, with_now: bool) -> tuple[int, bytes, PendingPost] | None:
        """Return when something was due, and for which post; None where nothing is.

        Args:
            now_s: Nothing that is due later is returned.
            with_now: Whether that which is due at this very moment is.
        """
        while self._due and (self._due[0][0] < now_s or (with_now and self._due[0][0] == now_s)):
            due, key = heapq.heappop(self._due)
            post = self._posts.get(key)
            if post is not None and post.at + self._ages_s[post.stage] == due:
                return due, key, post
        return None

    def load(
        self, blobs: Iterable[tuple[bytes, bytes]], fault: Callable[[PendingPost], str]
    ) -> list[tuple[bytes, str]]:
        """Take over what was kept.

        Args:
            blobs: Keys and records.
            fault: Says what is wrong with a record of the right size, "" for nothing.

        Returns:
            The keys of what cannot be used, and what is wrong with it.
        """
        refused: list[tuple[bytes, str]] = []
        for key, blob in blobs:
            wrong = _fault(key, blob, len(self._ages_s)) or fault(PendingPost(bytearray(blob)))
            if wrong:
                refused.append((key, wrong))
            else:
                self.add(key, PendingPost(bytearray(blob)))
        self.changed.clear()
        return refused


def _fault(key: bytes, blob: bytes, ages: int) -> str:
    """Return what is wrong with the record of a post, "" for nothing."""
    more = len(blob) - PENDING.itemsize
    if len(key) != KEY_BYTES:
        return f"a key of {len(key)} bytes, expected {KEY_BYTES}"
    if more < 0 or more % _QUERY.size or more > _MOST_QUERIES * _QUERY.size:
        return f"{len(blob)} bytes, expected {PENDING.itemsize} and two for each query"
    if blob[0] != LAYOUT:
        return f"layout {blob[0]}, expected {LAYOUT}"
    if blob[_STAGE] % STAGES >= ages:
        return f"stage {blob[_STAGE] % STAGES}, expected one below {ages}"
    if blob[_FLAGS] // JUDGED & 3 >= len(TARGETS):
        return "a fourth target"
    return ""
