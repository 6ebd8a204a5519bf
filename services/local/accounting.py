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
        accepted: The records in the topic `posts`, heartbeats left out.
        unread: The records of `posts` and `post-events` after the stored cursors.
        counted: The posts that were counted in panes.
        removed: The counted posts that a deletion took out again.
        in_panes: The posts that the panes of the query `all` hold now.
        dead: The records of `posts` that became dead letters, as the store counted them.
        dead_by_reason: The distinct dead letters of `posts` in the topic `dead-posts`.
        windows_closed: The windows published with revision 0.
        corrections: The corrections published.
        refused_by_reason: The distinct dead letters of ingest, of what never became a record.
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
    refused_by_reason: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def refused(self) -> int:
        """Items that ingest could make no post of."""
        return sum(self.refused_by_reason.values())

    @property
    def uncounted_share(self) -> float:
        """Share of the items that became dead letters; of a copy the original is counted."""
        letters = sum(n for reason, n in self.dead_by_reason.items() if reason != DUPLICATE)
        items = self.accepted + self.refused
        return (letters + self.refused) / items if items else 0.0

    def faults(self, most_uncounted: float = MOST_UNCOUNTED) -> list[str]:
        """Return what keeps the run from being good, a sentence each.

        Args:
            most_uncounted: Largest share of dead letters that is no fault.
        """
        found = self.errors()
        if self.uncounted_share > most_uncounted:
            found_as = Counter(self.dead_by_reason) + Counter(self.refused_by_reason)
            del found_as[DUPLICATE]
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in found_as.most_common())
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
        TransientError: The broker or the store does not answer.
    """
    ends = _end_offsets(settings)
    return _unread(ends, asyncio.run(_states(settings, len(ends[POSTS]))))


def take_stock(settings: Settings) -> Accounting:
    """Return the books of the topics and the store as they are now.

    Raises:
        TransientError: The broker or the store does not answer.
    """
    ends = _end_offsets(settings)
    store = asyncio.run(_read_store(settings, len(ends[POSTS])))
    closed, corrections = _windows(settings)
    dead_by_reason, refused_by_reason = _letters(settings)
    return Accounting(
        accepted=sum(ends[POSTS]) - _total(store.states, heartbeat.TOTAL),
        unread=_unread(ends, store.states),
        counted=_total(store.states, "counted"),
        removed=_total(store.states, "removed"),
        in_panes=store.in_panes,
        dead=_total(store.states, f"dead:{POSTS}"),
        dead_by_reason=dead_by_reason,
        refused_by_reason=refused_by_reason,
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


def _letters(settings: Settings) -> tuple[dict[str, int], dict[str, int]]:
    """Return reason -> letters of records of `posts`, and of what ingest made no record of.

    Each is counted once: workers and ingest write them before they note it, and may repeat one.
    """
    seen: set[tuple[int, int] | bytes | None] = set()
    dead: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for key, letter in _read(settings, DEAD_POSTS, RecordDecoder(DeadPost)):
        in_kafka = letter.offset >= 0
        where = (letter.partition, letter.offset) if in_kafka else key
        if letter.topic == POSTS and where not in seen:
            seen.add(where)
            (dead if in_kafka else refused)[letter.reason] += 1
    return dict(dead.most_common()), dict(refused.most_common())


def _windows(settings: Settings) -> tuple[int, int]:
    revisions: set[tuple[str, float, int]] = {
        (window.query, window.start.timestamp(), window.revision)
        for _, window in _read(settings, WINDOWS, RecordDecoder(Window))
    }
    # The topic is compacted: of a corrected window the first revision may be gone.
    closed = {(query, start) for query, start, _revision in revisions}
    return len(closed), sum(revision > 0 for _query, _start, revision in revisions)


def _read(
    settings: Settings, topic: str, decoder: RecordDecoder[T]
) -> Iterator[tuple[bytes | None, T]]:
    """Yield key and record of a topic; those that cannot be read are said and left out."""
    for record in read_topic(settings.kafka, topic):
        try:
            if record.value:
                yield record.key, decoder.decode(record.value)
        except DecodeError as error:
            _log.error("unreadable record", topic=topic, offset=record.offset, reason=str(error))
