"""How far the stages of the stream are, from outside: from Kafka's ends and the store's cursors.

So it is right above all when a stage is not there: a process that is dead says nothing of itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

from core.clock import Clock, epoch_ms, from_epoch_ms
from core.codec import progress_decoder
from core.errors import BrokerUnavailable, DecodeError, StoreUnavailable
from core.schemas import Progress
from core.settings import KafkaSettings, Settings
from services.exporter.machinery import integrity_gap
from services.kafka_client import TopicActivity, read_topic, topic_activity
from stream.store.health import StoreHealth
from stream.store.increments import PartitionState
from stream.store.redis_store import RedisStore
from stream.topics import (
    ALERTS,
    DEAD_POSTS,
    EVENTS,
    FORECASTS,
    POST_EVENTS,
    POSTS,
    PROGRESS,
    RESPONSES,
    SCORED_POSTS,
    WINDOWS,
)

_T = TypeVar("_T")
RECENT_S: Final = 300
"""What was written since so long is recent."""
_LAST_PROGRESS: Final = 500
STAGES: Final[Mapping[str, str]] = {
    POSTS: "ingest: posts",
    POST_EVENTS: "ingest: edits, deletions, counts",
    SCORED_POSTS: "worker: scored and matched",
    PROGRESS: "worker: applied to windows",
    WINDOWS: "closer: windows closed or corrected",
    ALERTS: "closer: shifts",
    FORECASTS: "forecaster: forecasts",
    EVENTS: "forecaster: what goes beyond them",
    RESPONSES: "responder: expected replies",
    DEAD_POSTS: "all: what could not be used",
}
"""Topic -> the stage that writes it, in the order in which a post goes."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage, by the topic that it writes.

    Attributes:
        stage: What writes there, and what.
        topic: The topic; None of the rest is known of one that does not exist.
        records: The records ever written.
        recent: Those of the last `RECENT_S`.
        last: When the last was written; None if none is kept.
    """

    stage: str
    topic: str
    records: int
    recent: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """How far a partition is applied to windows.

    Attributes:
        partition: Its number.
        behind: Records of `posts` that are not applied; None while Kafka does not say.
        events_behind: Records of `post-events` that are not.
        gap: Records applied but not accounted for, or the reverse: 0, or something was lost or
            doubled.
        watermark: No earlier event time is expected; None before the first post.
        applied: When a batch was applied last, as far as `progress` still says.
        model_version: What scored it; "" if that is not known.
        is_readable: Whether the state can be read; else it waits for a repair, and the rest is
            not known.
    """

    partition: int
    behind: int | None
    events_behind: int | None
    gap: int
    watermark: datetime | None
    applied: datetime | None
    model_version: str
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class PipelineView:
    """How far the stream is.

    Attributes:
        at: When this was looked at.
        stages: In the order in which a post goes; empty while Kafka does not say.
        partitions: Those that have state.
        totals: What became of records, added up over the partitions.
        set_aside: Kind -> entries of the quarantine.
        store: What Redis says of itself.
        notes: What could not be found out, a sentence each.
    """

    at: datetime
    stages: tuple[StageRow, ...]
    partitions: tuple[PartitionRow, ...]
    totals: Mapping[str, int]
    set_aside: Mapping[str, int]
    store: StoreHealth | None
    notes: tuple[str, ...] = ()


class AskKafka(Protocol):
    """Calls what waits for Kafka apart, for so long as one looks at most."""

    def __call__(self, look: Callable[[], _T]) -> Awaitable[_T]:
        """Return what a look returns; `BrokerUnavailable` if it is too late."""
        ...


@dataclass(frozen=True, slots=True)
class OfKafka:
    """What Kafka says: by topic what is written, by partition what was applied last."""

    topics: Mapping[str, TopicActivity]
    progress: Mapping[int, Progress]


@dataclass(frozen=True, slots=True)
class OfStore:
    """What Redis says: states of partitions, those that cannot be read, what is set aside."""

    states: Mapping[int, PartitionState]
    unreadable: Sequence[int]
    set_aside: Mapping[str, int]
    health: StoreHealth | None


async def read_pipeline(
    settings: Settings, store: RedisStore, clock: Clock, ask_kafka: AskKafka
) -> PipelineView:
    """Look at store and broker; of what does not answer there is a note.

    Raises:
        BrokerUnavailable: Neither answers.
    """
    now, notes = clock.now(), list[str]()
    of_store, of_kafka = await asyncio.gather(
        _ask_store(settings, store),
        ask_kafka(lambda: _look(settings.kafka, epoch_ms(now) - RECENT_S * 1000)),
        return_exceptions=True,
    )
    if isinstance(of_kafka, BrokerUnavailable):
        if isinstance(of_store, StoreUnavailable):
            raise of_kafka
        notes.append("Kafka does not answer: what is written and what waits is not known.")
        of_kafka = OfKafka({}, {})
    if isinstance(of_store, StoreUnavailable):
        notes.append("Redis does not answer: what was applied is not known.")
        of_store = OfStore({}, (), {}, None)
    if isinstance(of_store, BaseException):
        raise of_store
    if isinstance(of_kafka, BaseException):
        raise of_kafka
    return make_view(now, of_store, of_kafka, notes)


async def _ask_store(settings: Settings, store: RedisStore) -> OfStore:
    try:
        async with asyncio.timeout(0.8 * settings.console.deadline_s):
            partitions = await store.partitions()
            states, unreadable = await store.readable_states(partitions)
            set_aside = await store.quarantine(partitions)
            health = await store.health()
    except TimeoutError:
        raise StoreUnavailable("Redis has not answered in time") from None
    kinds = Counter(str(one.kind) for one in set_aside)
    return OfStore(states, list(unreadable), dict(kinds), health)


def _look(settings: KafkaSettings, since_ms: int) -> OfKafka:
    topics = topic_activity(settings, list(STAGES), since_ms)
    progress: dict[int, Progress] = {}
    if PROGRESS in topics:
        for record in read_topic(settings, PROGRESS, last=_LAST_PROGRESS):
            with suppress(DecodeError):  # a stranger's
                one = progress_decoder.decode(record.value or b"")
                progress[one.partition] = one
    return OfKafka(topics, progress)


def make_view(
    at: datetime, of_store: OfStore, of_kafka: OfKafka, notes: Sequence[str] = ()
) -> PipelineView:
    """Return how far the stream is, of what store and broker say."""
    totals = Counter[str]()
    for state in of_store.states.values():
        totals.update(state.totals)
    rows = [_partition(number, state, of_kafka) for number, state in of_store.states.items()]
    rows += [
        PartitionRow(number, None, None, 0, None, None, "", is_readable=False)
        for number in of_store.unreadable
    ]
    stages = [
        StageRow(
            stage, topic, sum(found.ends.values()), found.recent,
            from_epoch_ms(found.last_ms) if found.last_ms is not None else None,
        )
        for topic, stage in STAGES.items()
        if (found := of_kafka.topics.get(topic))
    ]  # fmt: skip
    return PipelineView(
        at, tuple(stages), tuple(sorted(rows, key=lambda one: one.partition)), dict(totals),
        of_store.set_aside, of_store.health, tuple(notes),
    )  # fmt: skip


def _partition(number: int, state: PartitionState, of_kafka: OfKafka) -> PartitionRow:
    told = of_kafka.progress.get(number)

    def behind(topic: str) -> int | None:
        found = of_kafka.topics.get(topic)
        if found is None:
            return None
        return max(0, found.ends.get(number, 0) - state.cursors.get(topic, -1) - 1)

    return PartitionRow(
        partition=number,
        behind=behind(POSTS),
        events_behind=behind(POST_EVENTS),
        gap=sum(abs(integrity_gap(topic, state)) for topic in (POSTS, POST_EVENTS)),
        watermark=from_epoch_ms(state.watermark_ms) if state.watermark_ms >= 0 else None,
        applied=told.applied_at if told else None,
        model_version=told.model_version if told else "",
    )
