"""Reading for a process: which partitions it owns, and records for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.errors import BrokerUnavailable
from core.settings import Settings
from services.forecaster.taking_over import Bounds
from services.kafka_client import CoPartitionedConsumer, TopicAdmin
from services.kafka_client.messages import Record
from stream.cluster import check_cluster, group_in
from stream.topics import POST_EVENTS, SCORED_POSTS

TOPICS = (SCORED_POSTS, POST_EVENTS)
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class PolledRecords:
    """What one look at the broker has brought.

    Attributes:
        owned: The partitions that are this process's now.
        unstarted: Those of them of which it is not said yet where to read from.
        records: Topic -> records.
        events_ends: Partition -> where `post-events` ended after its posts had been read.
    """

    owned: frozenset[int]
    unstarted: frozenset[int]
    records: Mapping[str, list[Record]] = field(default_factory=dict[str, list[Record]])
    events_ends: Mapping[int, int] = field(default_factory=dict[int, int])


class ForecastReader:
    """The membership in the forecasters' group; the client works on a thread, a call at a time.

    Args:
        settings: All settings.

    Attributes:
        cluster_id: The cluster of the broker to which it last connected; "" before.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: CoPartitionedConsumer | None = None
        self.cluster_id = settings.kafka.cluster_id

    async def poll(self, timeout_s: float) -> PolledRecords:
        """Return what is there, waiting up to `timeout_s`.

        Raises:
            BrokerUnavailable: There is no answer; the client is made anew by the next call.
            ConfigError: It is another cluster's broker.
        """
        return await self._do(lambda consumer: _fetched(consumer, timeout_s))

    async def bounds(self, partition: int) -> Bounds:
        """Return where the topics of a partition begin and end.

        Raises:
            BrokerUnavailable: There is no answer.
        """
        return await self._do(
            lambda consumer: {
                topic: consumer.bounds(topic, [partition])[partition] for topic in TOPICS
            }
        )

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return where a topic ends.

        Raises:
            BrokerUnavailable: There is no answer.
        """
        listed = list(partitions)
        return await self._do(lambda consumer: consumer.ends(topic, listed))

    async def start(self, partition: int, posts: int, events: int) -> None:
        """Read a partition from these offsets on."""
        offsets = {SCORED_POSTS: posts, POST_EVENTS: events}
        await self._do(lambda consumer: consumer.start(partition, offsets))

    async def hold(self, topic: str, partition: int, *, is_held: bool) -> None:
        """Stop reading a partition of a topic, or go on."""
        await self._do(lambda consumer: consumer.hold(topic, partition, is_held=is_held))

    async def _do(self, action: Callable[[CoPartitionedConsumer], _Found]) -> _Found:
        try:
            return await asyncio.to_thread(self._on_thread, action)
        except BrokerUnavailable:
            await self.close()
            raise

    def _on_thread(self, action: Callable[[CoPartitionedConsumer], Any]) -> Any:
        if self._consumer is None:
            with TopicAdmin(self._settings.kafka) as admin:
                answered = admin.cluster_id()
            # It is one cluster for as long as the process lives, whoever answers there later.
            check_cluster(answered, self.cluster_id)
            self.cluster_id = answered
            group = group_in(self._settings.forecasts.group, answered)
            self._consumer = CoPartitionedConsumer(self._settings.kafka, TOPICS, group)
        return action(self._consumer)

    async def close(self) -> None:
        """Leave the group, so that others take over at once."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await asyncio.to_thread(consumer.close)


def _fetched(consumer: CoPartitionedConsumer, timeout_s: float) -> PolledRecords:
    records = consumer.poll(timeout_s)
    owned, unstarted = consumer.owned(), consumer.unstarted()
    with_posts = {record.partition for record in records.get(SCORED_POSTS, ())} & owned
    return PolledRecords(owned, unstarted, records, consumer.ends(POST_EVENTS, with_posts))
