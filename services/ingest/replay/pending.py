"""Counts that wait for their time while the posts of a file leave, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Final

import msgspec
from msgspec import Struct

from core.clock import EPOCH
from core.schemas import Post
from services.ingest.replay.counts import Totals
from services.ingest.replay.mapping import MappedRow

MAX_PENDING: Final = 500_000
"""Posts whose counts wait at once, about 200 bytes each."""
_MAX_TIED_POSTS: Final = 100_000
_MICROSECOND: Final = timedelta(microseconds=1)

NO_TIME: Final = "no_time"
NO_ROOM: Final = "no_room"
"""Why counts are not sent, besides `counts.OF_ANOTHER`."""


class DueCounts(Struct, frozen=True, array_like=True):
    """The counts of a post whose time has come.

    Attributes:
        post_id, author: As on the post.
        totals: The counts.
        at: When they were counted, in UTC.
    """

    post_id: str
    author: str
    totals: Totals
    at: datetime


class RefusedCount(Struct, frozen=True):
    """A value of a row that is no count; its post has left.

    Attributes:
        raw: The counts of the row as they stand there.
        detail: Which, and why, with its row.
        at: The time of the post.
    """

    raw: bytes
    detail: str
    at: datetime | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(DueCounts).decode


class PendingCounts:
    """Takes the counts of rows, in the order in which these leave, and gives them when due.

    What it gives depends on the rows alone, so that a run which goes on in the middle of a file
    makes the same of it.

    Args:
        after_s: The time from a post to its counts, where the row does not say it.
        max_pending: The most that waits; the counts of further posts are not sent.
    """

    def __init__(self, after_s: float, max_pending: int = MAX_PENDING) -> None:
        self._after = timedelta(seconds=after_s)
        self._max_pending = max_pending
        # Packed: by time, then by content, whatever the order of the rows.
        self._heap: list[tuple[int, bytes]] = []
        self._last_at: datetime | None = None
        self._tied_at: datetime | None = None
        self._tied: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap)

    def lasting_s(self) -> float:
        """Return the seconds of event time from the last post to the last counts that wait."""
        if self._last_at is None or not self._heap:
            return 0.0
        last = max(at for at, _ in self._heap) - (self._last_at - EPOCH) // _MICROSECOND
        return max(0.0, last / 1e6)

    def due(self, until: datetime | None) -> Iterator[DueCounts]:
        """Yield the counts of up to a time, each once; all that wait if it is None."""
        limit = None if until is None else (until - EPOCH) // _MICROSECOND
        while self._heap and (limit is None or self._heap[0][0] <= limit):
            yield _decode(heappop(self._heap)[1])

    def take(self, mapped: MappedRow) -> str:
        """Take the counts of the next row; return why they will not be sent, "" if they will."""
        post, counts = mapped.record, mapped.counts
        if not isinstance(post, Post):
            return ""
        self._last_at = mapped.at or self._last_at
        if counts is None or not counts.are_known:
            return ""
        if counts.withheld:
            return counts.withheld
        at = counts.at or self._later(self._last_at)
        if at is None:
            return NO_TIME
        if len(self._heap) >= self._max_pending:
            return NO_ROOM
        found = DueCounts(post.id, post.author, counts.totals, at)
        heappush(self._heap, ((at - EPOCH) // _MICROSECOND, _encode(found)))
        return ""

    def _later(self, at: datetime | None) -> datetime | None:
        try:
            return None if at is None else at + self._after
        except OverflowError:  # after the year 9999
            return None

    def is_further(self, mapped: MappedRow) -> bool:
        """Tell a row that has counts of another time of the post before it, and no post of its own.

        Rows of one post stand together once they are in the order of time.
        """
        post = mapped.record
        if not isinstance(post, Post):
            return False
        if mapped.at != self._tied_at:
            self._tied_at = mapped.at
            self._tied.clear()
        key = post.id, post.author
        if key in self._tied:
            return mapped.counts is not None and mapped.counts.at is not None
        if len(self._tied) < _MAX_TIED_POSTS:
            self._tied.add(key)
        return False
