"""Reading for the responder: is it active, and the records of its topics in their order.

`events` has one partition, so Kafka makes one member of the group active. Whoever becomes active
reads `events`, `posts`, `scored-posts`, then `post-events` as far as they go: so every reply finds
its event, and every like its reply, whatever the speed at which partitions are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from core.errors import BrokerUnavailable
from core.settings import Settings
from services.kafka_client import CoPartitionedConsumer, TopicAdmin, TopicFollower
from services.kafka_client.messages import Record
from stream.cluster import check_cluster, group_in
from stream.topics import EVENTS, POST_EVENTS, POSTS, SCORED_POSTS

_PARTITION: Final = 0
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """What one look at the broker has brought.

    Attributes:
        is_active: This process follows events.
        is_new: It is to begin; nothing is read before `begin`.
        is_caught_up: All was read that was there when it began.
        records: Topic -> records, to be taken in this order.
        written_ms: Topic -> when the broker had what is read last of it, where more is to come.
        events_upto: Partition of `post-events` -> the next offset.
        posts_ends: Partition of `posts` -> the offset after its last record, where it is known.
    """

    is_active: bool = False
    is_new: bool = False
    is_caught_up: bool = False
    records: Mapping[str, list[Record]] = field(default_factory=dict[str, list[Record]])
    written_ms: Mapping[str, int] = field(default_factory=dict[str, int])
    events_upto: Mapping[int, int] = field(default_factory=dict[int, int])
    posts_ends: Mapping[int, int] = field(default_factory=dict[int, int])


class ResponderReader:
    """The membership, and the reading; the clients work on a thread, a call at a time.

    Args:
        settings: All settings.

    Attributes:
        cluster_id: The cluster of the broker to which it last connected; "" before.
        missed: Records of `post-events` to be read that the topic no longer had.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._member: CoPartitionedConsumer | None = None
        self._follower: TopicFollower | None = None
        self._since_ms = 0
        self._offsets: Mapping[int, int] = {}
        self._events_end = self._events_next = 0
        self._added: list[str] = []
        self.missed = 0
        self.cluster_id = settings.kafka.cluster_id

    async def poll(self, timeout_s: float) -> ReadSoFar:
        """Return what is there, waiting up to `timeout_s`.

        Raises:
            BrokerUnavailable: There is no answer; all begins anew.
            ConfigError: It is another cluster's broker.
        """
        return await self._do(lambda member: self._poll(member, timeout_s))

    async def begin(self, since_ms: int, offsets: Mapping[int, int]) -> None:
        """Read from a time on, and of `post-events` also from these offsets on.

        Raises:
            BrokerUnavailable: There is no answer.
        """
        self._since_ms, self._offsets = since_ms, offsets
        await self._do(self._begin)

    async def _do(self, action: Callable[[CoPartitionedConsumer], _Found]) -> _Found:
        try:
            return await asyncio.to_thread(self._on_thread, action)
        except BrokerUnavailable:
            await self.close()
            raise

    def _on_thread(self, action: Callable[[CoPartitionedConsumer], Any]) -> Any:
        if self._member is None:
            with TopicAdmin(self._settings.kafka) as admin:
                answered = admin.cluster_id()
            check_cluster(answered, self.cluster_id)
            self.cluster_id = answered
            group = group_in(self._settings.responder.group, answered)
            self._member = CoPartitionedConsumer(self._settings.kafka, (EVENTS,), group)
        return action(self._member)

    def _begin(self, member: CoPartitionedConsumer) -> None:
        self._stop_following()
        self._follower = TopicFollower(self._settings.kafka)
        first, self._events_end = member.bounds(EVENTS, [_PARTITION])[_PARTITION]
        self._events_next = first
        member.start(_PARTITION, {EVENTS: first})

    def _poll(self, member: CoPartitionedConsumer, timeout_s: float) -> ReadSoFar:
        follower = self._follower
        has_added = bool(self._added)
        events = member.poll(0.0 if has_added else timeout_s).get(EVENTS, [])
        if _PARTITION not in member.owned():
            self._stop_following()
            return ReadSoFar()
        if member.unstarted() or follower is None:
            return ReadSoFar(is_active=True, is_new=True)
        if events:
            self._events_next = events[-1].offset + 1
        records = {EVENTS: events}
        if has_added:
            records |= follower.poll(timeout_s)
        self._go_on(follower)
        written = {topic: follower.written_ms(topic) for topic in self._added}
        return ReadSoFar(
            is_active=True, is_caught_up=self._is_caught_up(follower),
            records={topic: records[topic] for topic in (EVENTS, POSTS, SCORED_POSTS, POST_EVENTS)
                     if records.get(topic)},
            written_ms={topic: ms for topic, ms in written.items() if ms is not None},
            events_upto=follower.next_offsets(POST_EVENTS) if has_added else {},
            posts_ends=follower.ends(POSTS),
        )  # fmt: skip

    def _go_on(self, follower: TopicFollower) -> None:
        """Add the next topic once the one before it was read as far as it went."""
        if not self._added:
            if self._events_next >= self._events_end:
                follower.add(POSTS, self._since_ms)
                self._added.append(POSTS)
        elif SCORED_POSTS not in self._added and follower.has_reached(POSTS):
            follower.add(SCORED_POSTS, self._since_ms)
            self._added.append(SCORED_POSTS)
        elif POST_EVENTS not in self._added and self._has_read(follower, SCORED_POSTS):
            self.missed += follower.add(POST_EVENTS, self._since_ms, self._offsets)
            self._added.append(POST_EVENTS)

    def _has_read(self, follower: TopicFollower, topic: str) -> bool:
        return topic in self._added and follower.has_reached(topic)

    def _is_caught_up(self, follower: TopicFollower) -> bool:
        return self._has_read(follower, POST_EVENTS)

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.close()
        self._follower, self._added = None, []

    async def close(self) -> None:
        """Leave the group, so that another takes over at once."""
        member, self._member = self._member, None
        await asyncio.to_thread(self._stop_following)
        if member is not None:
            await asyncio.to_thread(member.close)
