"""The books of a run: every record of `posts` is counted, or is a dead letter with a reason.

Read from where the truth is (Kafka's offsets and topics, the store's cursors and panes), not from
counters of processes, which die with them.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from core.codec import RecordDecoder
from core.errors import DecodeError
from core.logs import get_logger
from core.reasons import DUPLICATE
from core.schemas import DeadPost, Window
from core.settings import Settings
from services.bootstrap import make_store
from services.kafka_client import TopicAdmin, read_topic
from services.local.options import MOST_UNCOUNTED
from stream import heartbeat
from stream.store.increments import PartitionState
from stream.topics import DEAD_POSTS, POST_EVENTS, POSTS, WINDOWS

_log = get_logger(__name__)

T = TypeVar("T", bound=msgspec.Struct)

_MOST_DUPLICATES = 0.5  # more are no copies: the ids of different posts are the same
ALL_POSTS = "all"
"""The implicit query that every counted post matches."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """What became of the records of a run.

    Attributes:
        accepted: records in the topic `posts`, heartbeats left out.
        unread: records of `posts` and `post-events` after the stored cursors.
        counted: posts that were counted in panes.
        removed: counted posts that a deletion took out again.
        in_panes: posts that the panes of the query `all` hold now.
        dead: records of `posts` that became dead letters, as the store counted them.
        dead_by_reason: distinct dead letters of `posts` in the topic `dead-posts`.
        windows_closed: windows published with revision 0.
        corrections: corrections published.
    """

    accepted: int
    unread: int
    counted: int
    removed: int
    in_panes: int
    dead: int
    dead_by_reason: Mapping[str, int] = field(default_factory=dict[str, int])
    windows_closed: int = 0
    corrections: int = 0

    @property
    def uncounted_share(self) -> float:
        """Share of the records that became dead letters; of a copy the original is counted."""
        letters = sum(n for reason, n in self.dead_by_reason.items() if reason != DUPLICATE)
        return letters / self.accepted if self.accepted else 0.0

    def faults(self, most_uncounted: float = MOST_UNCOUNTED) -> list[str]:
        """Return what keeps the run from being good, a sentence each.

        Args:
            most_uncounted: Largest share of dead letters that is no fault.
        """
        found = self.errors()
        if self.uncounted_share > most_uncounted:
            reasons = ", ".join(f"{n:,} {r}" for r, n in self.dead_by_reason.items())
            found.append(
                f"{self.uncounted_share:.1%} of the posts were not counted ({reasons}); up to "
                f"{most_uncounted:.1%} would pass (--max-uncounted)"
            )
        copies = self.dead_by_reason.get(DUPLICATE, 0)
        if copies > _MOST_DUPLICATES * self.accepted:
            found.append(
                f"{copies:,} of {self.accepted:,} posts have an id that another has: are they ids?"
            )
        return found

    def errors(self) -> list[str]:
        """Return what does not add up, a sentence each; empty when nothing was lost or doubled."""
        if not self.accepted:
            return ["nothing was accepted"]
        found: list[str] = []
        if self.unread:
            found.append(f"{self.unread:,} records were not read to the end")
        elif self.accepted != self.counted + self.dead:
            found.append(
                f"{self.accepted:,} records were accepted, but {self.counted:,} were counted and "
                f"{self.dead:,} became dead letters"
            )
        if self.in_panes != self.counted - self.removed:
            found.append(
                f"{self.counted:,} posts were counted and {self.removed:,} taken out again, "
                f"but the panes hold {self.in_panes:,}"
            )
        lettered = sum(self.dead_by_reason.values())
        if lettered != self.dead:
            found.append(
                f"the store knows {self.dead:,} dead letters of posts, "
                f"the topic {DEAD_POSTS} holds {lettered:,}"
            )
        return found


@dataclass(frozen=True, slots=True)
class _Store:
    states: tuple[PartitionState, ...]
    in_panes: int


def unread_records(settings: Settings) -> int:
    """Return how many records of `posts` and `post-events` lie after the stored cursors.

    Raises:
        TransientError: the broker or the store does not answer.
    """
    ends = _end_offsets(settings)
    return _unread(ends, asyncio.run(_states(settings, len(ends[POSTS]))))


def take_stock(settings: Settings) -> Accounting:
    """Return the books of the topics and the store as they are now.

    Raises:
        TransientError: the broker or the store does not answer.
    """
    ends = _end_offsets(settings)
    store = asyncio.run(_read_store(settings, len(ends[POSTS])))
    closed, corrections = _windows(settings)
    return Accounting(
        accepted=sum(ends[POSTS]) - _total(store.states, heartbeat.TOTAL),
        unread=_unread(ends, store.states),
        counted=_total(store.states, "counted"),
        removed=_total(store.states, "removed"),
        in_panes=store.in_panes,
        dead=_total(store.states, f"dead:{POSTS}"),
        dead_by_reason=_dead_by_reason(settings),
        windows_closed=closed,
        corrections=corrections,
    )


def _end_offsets(settings: Settings) -> dict[str, tuple[int, ...]]:
    with TopicAdmin(settings.kafka) as admin:
        found = {topic.name: topic.end_offsets for topic in admin.describe([POSTS, POST_EVENTS])}
    return {POSTS: (), POST_EVENTS: ()} | found


def _unread(ends: Mapping[str, tuple[int, ...]], states: tuple[PartitionState, ...]) -> int:
    return sum(
        max(0, end - (state.cursors[topic] + 1))
        for topic in (POSTS, POST_EVENTS)
        for end, state in zip(ends[topic], states, strict=False)
    )


def _total(states: tuple[PartitionState, ...], name: str) -> int:
    return sum(state.totals.get(name, 0) for state in states)


async def _states(settings: Settings, partitions: int) -> tuple[PartitionState, ...]:
    store = make_store(settings)
    try:
        states, unreadable = await store.readable_states(range(partitions))
        for fault in unreadable.values():
            _log.error("the account leaves a partition out", reason=str(fault))
        nothing = PartitionState({POSTS: -1, POST_EVENTS: -1}, -1, -1, {})
        return tuple(states.get(number, nothing) for number in range(partitions))
    finally:
        await store.close()


async def _read_store(settings: Settings, partitions: int) -> _Store:
    states = await _states(settings, partitions)
    store = make_store(settings)
    in_panes = 0
    try:
        for start_s in await store.pane_starts(range(partitions)):
            pane = await store.pane(list(range(partitions)), start_s)
            if ALL_POSTS in pane:
                in_panes += pane[ALL_POSTS].counters[0]
    finally:
        await store.close()
    return _Store(states, in_panes)


def _dead_by_reason(settings: Settings) -> dict[str, int]:
    """Count letters once each: the worker writes them before the apply, so it may repeat one."""
    seen: set[tuple[int, int]] = set()
    reasons: Counter[str] = Counter()
    for letter in _read(settings, DEAD_POSTS, RecordDecoder(DeadPost)):
        where = (letter.partition, letter.offset)
        if letter.topic == POSTS and letter.offset >= 0 and where not in seen:
            seen.add(where)
            reasons[letter.reason] += 1
    return dict(reasons.most_common())


def _windows(settings: Settings) -> tuple[int, int]:
    revisions: set[tuple[str, float, int]] = {
        (window.query, window.start.timestamp(), window.revision)
        for window in _read(settings, WINDOWS, RecordDecoder(Window))
    }
    # The topic is compacted: of a corrected window the first revision may be gone.
    closed = {(query, start) for query, start, _revision in revisions}
    return len(closed), sum(revision > 0 for _query, _start, revision in revisions)


def _read(settings: Settings, topic: str, decoder: RecordDecoder[T]) -> Iterator[T]:
    """Yield the records of a topic; those that cannot be read are said and left out."""
    for record in read_topic(settings.kafka, topic):
        try:
            if record.value:
                yield decoder.decode(record.value)
        except DecodeError as error:
            _log.error("unreadable record", topic=topic, offset=record.offset, reason=str(error))
