"""What the topics hold of one partition, read once and then only what is new."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from core.codec import post_decoder, scored_post_decoder
from core.errors import DecodeError
from core.schemas import Post, ScoredPost
from services.kafka_client.messages import Record
from services.repair.history import History
from stream.topics import POST_EVENTS, POSTS, SOURCE_TOPIC_HEADER, source_offset

_NONE: Final = -1


class Range(Protocol):
    """One partition of a topic; `services.kafka_client.ranges.PartitionRange` is the real one."""

    def bounds(self) -> tuple[int, int]:
        """Return the offset of the oldest record, and the one after the last."""
        ...

    def read(self, start: int, stop: int) -> Iterator[Record]:
        """Yield the records from `start` to before `stop`, as far as there are any."""
        ...


@dataclass(frozen=True, slots=True)
class Ranges:
    """The topics of one partition; `index` and `scored` are both of `scored-posts`."""

    posts: Range
    events: Range
    index: Range
    scored: Range


@dataclass(frozen=True, slots=True)
class Scoring:
    """A scoring of a post that stands.

    Attributes:
        offset: Its offset in `scored-posts`.
        source: The offset of the post in `posts`.
        post: What was said of it.
    """

    offset: int
    source: int
    post: ScoredPost


class PartitionTopics:
    """Of several scorings of an offset the last one stands: 8 bytes are kept of each post.

    Args:
        ranges: The topics.
        kept_horizon_s: As `History`.

    Attributes:
        history: Edits and deletions, and the scorings of edits.
        unreadable: Offsets in `scored-posts` of scorings that stand and cannot be read.
    """

    def __init__(self, ranges: Ranges, kept_horizon_s: int) -> None:
        self._ranges = ranges
        self.history = History(kept_horizon_s)
        self._base = ranges.posts.bounds()[0]
        self._last = array("q")
        self._indexed = 0
        self._events_read = 0
        self.unreadable = set[int]()

    def begins_ms(self) -> int:
        """Return from when on the topics are whole, ms since 1970; -1 if nothing was ever lost."""
        found = [_NONE]
        for one in (self._ranges.posts, self._ranges.scored):
            begin, end = one.bounds()
            if begin > 0:
                first = next(iter(one.read(begin, min(begin + 1, end))), None)
                found.append(_NONE if first is None else first.timestamp_ms)
        return max(found)

    def update(self) -> None:
        """Read what has come since the last call."""
        _, end = self._ranges.events.bounds()
        self.history.read_events(self._ranges.events.read(self._events_read, end))
        self._events_read = end
        _, end = self._ranges.index.bounds()
        _, written = self._ranges.posts.bounds()  # after it: what is scored was written before
        edits: list[Record] = []
        for record in self._ranges.index.read(self._indexed, end):
            topic, source = dict(record.headers).get(SOURCE_TOPIC_HEADER), source_offset(
                record.headers
            )  # fmt: skip
            if topic == POSTS.encode() and source >= written:
                self.unreadable.add(record.offset)  # of other posts: the topic was made anew
            elif topic == POSTS.encode() and source >= self._base:
                self._note(source - self._base, record.offset)
            elif topic == POST_EVENTS.encode():
                edits.append(record)
        self.history.read_scored(edits, lambda _: False)
        self._indexed = end

    def _note(self, place: int, offset: int) -> None:
        if place >= len(self._last):
            self._last.extend([_NONE] * (place + 1 - len(self._last)))
        self._last[place] = offset

    def remaining(self, after: int) -> int:
        """Return how many posts have their scoring behind an offset of `scored-posts`."""
        if not self._last:
            return 0
        return int(np.count_nonzero(np.frombuffer(self._last, np.int64) > after))

    def scorings(self, after: int, upto: int) -> Iterator[Scoring]:
        """Yield the scorings that stand, in the order of `scored-posts`.

        Args:
            after: Begin behind this offset of `scored-posts`.
            upto: End before the first of a post behind this offset of `posts`.
        """
        for record in self._ranges.scored.read(after + 1, self._indexed):
            source = source_offset(record.headers)
            place = source - self._base
            if (
                dict(record.headers).get(SOURCE_TOPIC_HEADER) != POSTS.encode()
                or not 0 <= place < len(self._last)
                or self._last[place] != record.offset
            ):
                continue
            if source > upto:
                return
            try:
                yield Scoring(
                    record.offset, source, scored_post_decoder.decode(record.value or b"")
                )
            except DecodeError:
                self.unreadable.add(record.offset)

    def texts(self, scorings: Sequence[Scoring]) -> dict[int, Post]:
        """Return the posts of scorings by their offset, of those that `posts` still has."""
        wanted = {one.source for one in scorings}
        found: dict[int, Post] = {}
        if wanted:
            for record in self._ranges.posts.read(min(wanted), max(wanted) + 1):
                if record.offset in wanted:
                    try:
                        found[record.offset] = post_decoder.decode(record.value or b"")
                    except DecodeError:
                        continue  # whoever scored it could read it: it is counted as missing
        return found
