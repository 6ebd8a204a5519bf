"""Posts and their counts in order of time: two queues of a partition, each in its own order.

An author's features are as of a post, so what was known before a post must be taken before it, and
nothing that was known later. Both topics are read at their own speed: events come at once, posts
when they are scored. So an event waits until the posts' time has come to its own, and a post until
`post-events` was read as far as it reached when the post was there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from models.engagement.items import Item


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record of one of the topics, read.

    Attributes:
        offset: Its offset.
        at_s: Its time in seconds since 1970; None if it has no part in the order of time.
        item: What the forecasts are told; None if nothing.
        written_s: When the broker has it from, in seconds since 1970.
        is_post: It is of `scored-posts`, else of `post-events`.
        source_offset: Of a scored post, the offset of the post; -1 of an event.
    """

    offset: int
    at_s: float | None
    item: Item | None
    written_s: float = 0.0
    is_post: bool = False
    source_offset: int = -1


@dataclass(frozen=True, slots=True)
class _WaitingPost:
    """A post, and how far `post-events` must have been read before it is taken."""

    arrival: Arrival
    events_end: int


@dataclass(frozen=True, slots=True)
class Lag:
    """How old the first post and the first event are that wait, in seconds; 0 if none does."""

    posts_s: float = 0.0
    events_s: float = 0.0


class TimeMerge:
    """The arrivals of one partition that were read and not taken yet.

    Neither queue is ever taken out of its order, so that two offsets say what was taken.

    Args:
        next_post: The offset of the first record of `scored-posts` that was not taken.
        next_event: That of `post-events`.
        clock_s: The latest time taken, in seconds since 1970.

    Attributes:
        next_post, next_event: The offsets up to which both topics were read.
    """

    def __init__(self, next_post: int, next_event: int, clock_s: float = 0.0) -> None:
        self.next_post, self.next_event = next_post, next_event
        self._clock_s = clock_s
        self._posts: deque[_WaitingPost] = deque()
        self._events: deque[Arrival] = deque()
        self._released = -1

    @property
    def posts(self) -> int:
        """Posts that wait."""
        return len(self._posts)

    @property
    def events(self) -> int:
        """Events that wait."""
        return len(self._events)

    def lag(self, now_s: float) -> Lag:
        """Return how old the first post and the first event are that wait, by the broker's time."""
        post_s = self._posts[0].arrival.written_s if self._posts else now_s
        event_s = self._events[0].written_s if self._events else now_s
        return Lag(max(0.0, now_s - post_s), max(0.0, now_s - event_s))

    def add_posts(self, arrivals: Iterable[Arrival], events_end: int) -> None:
        """Add scored posts.

        Args:
            arrivals: In their order.
            events_end: Where `post-events` ended after they had been read.
        """
        for arrival in arrivals:
            self._posts.append(_WaitingPost(arrival, events_end))
            self.next_post = arrival.offset + 1

    def add_events(self, arrivals: Iterable[Arrival]) -> None:
        """Add events, in their order."""
        for arrival in arrivals:
            self._events.append(arrival)
            self.next_event = arrival.offset + 1

    def release(self, through_offset: int) -> None:
        """Let events up to an offset move the clock: no post of before them can come any more."""
        self._released = max(self._released, through_offset)

    def take(self, at_most: int) -> list[Arrival]:
        """Return what can be taken, in order of time: up to so many posts and so many events."""
        taken: list[Arrival] = []
        left = {True: at_most, False: at_most}
        while all(left.values()):
            is_post = self._is_posts_turn()
            if is_post is None:
                break
            arrival = self._posts.popleft().arrival if is_post else self._events.popleft()
            self._clock_s = max(self._clock_s, arrival.at_s or 0.0)
            taken.append(arrival)
            left[is_post] -= 1
        return taken

    def _is_posts_turn(self) -> bool | None:
        """Tell whether a post comes next (else an event); None if what comes next is not known."""
        event = self._events[0] if self._events else None
        if event is not None and (event.at_s is None or event.at_s <= self._clock_s):
            return False
        if not self._posts:
            return None if event is None or event.offset > self._released else False
        held = self._posts[0]
        post_s = held.arrival.at_s
        if event is None:
            return True if self.next_event >= held.events_end else None
        # An event of the same moment comes first: it was known when the post was made.
        is_before = post_s is not None and event.at_s is not None and event.at_s <= post_s
        return not is_before
