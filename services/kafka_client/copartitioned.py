"""Reading topics together whose partitions belong together, as a member of a group."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import ConsumerRebalanceListener
from kafka import errors as kafka_errors
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import TopicPartition

from core.errors import BrokerUnavailable, ConfigError
from core.settings import KafkaSettings
from services.kafka_client.client import our_errors
from services.kafka_client.consuming import member_of, record_of
from services.kafka_client.joining import Membership
from services.kafka_client.messages import Record

_ALL: Final = 2**31 - 1
"""No bound on the records of one poll.

kafka-python 3.0.12 lays a partition aside that is paused while part of what was fetched of it is
handed out, and never takes it up again while nothing else is being handed out: it is not read any
more though it is resumed. What is handed out whole cannot be laid aside.
"""


class _Follower(ConsumerRebalanceListener):
    """Keeps positions and pauses over rebalances, in which the client forgets both."""

    def __init__(self) -> None:
        self.client: Any = None
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Wait for what is assigned next: most of it comes back in the same rebalance."""

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Go on where reading was; what is new is not read before `start`."""
        owned = set(self.client.assignment())
        self.positions = {p: offset for p, offset in self.positions.items() if p in owned}
        for partition in owned & set(assigned):
            if partition in self.positions:
                self.client.seek(partition, self.positions[partition])
            if partition in self.paused or partition not in self.positions:
                self.client.pause(partition)


class CoPartitionedConsumer:
    """A member of a group on several topics; what it owns of one it owns of all.

    A partition that it is given is not read before `start` says where from. Nothing is committed:
    whoever uses it keeps the offsets. Not thread-safe; `poll` must be called often.

    Args:
        settings: The broker's address and the time-outs.
        topics: The topics to read, of the same number of partitions.
        group: The name of the group, whose members share the partitions.

    Raises:
        BrokerUnavailable: No broker answers within a few seconds, or a topic is missing.
        ConfigError: The topics have different numbers of partitions.
    """

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], group: str) -> None:
        self._topics = tuple(topics)
        self._follower = _Follower()
        with our_errors(f"joining {group}"):
            self._client = member_of(
                settings,
                group,
                auto_offset_reset="earliest",
                # The only one that gives partitions of the same number to the same member.
                partition_assignment_strategy=(RangePartitionAssignor,),
            )
        self._follower.client = self._client
        self._membership = Membership(self._client, group)
        try:
            self._check_partitions()
            self._client.subscribe(list(self._topics), listener=self._follower)
        except BaseException:
            self.close()
            raise

    def _check_partitions(self) -> None:
        counts: dict[str, int] = {}
        for topic in self._topics:
            with our_errors(f"looking up partitions of {topic}"):
                counts[topic] = len(self._client.partitions_for_topic(topic) or ())
            if not counts[topic]:
                raise BrokerUnavailable(f"topic {topic} has no partitions")
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{topic} {count}" for topic, count in counts.items())
            raise ConfigError(f"partitions of topics: {found}; expected the same number of each")

    def poll(self, timeout_s: float) -> dict[str, list[Record]]:
        """Return topic -> records, waiting up to `timeout_s` for the first one.

        They are all that the client has fetched, which it bounds in bytes.

        Raises:
            BrokerUnavailable: The broker refuses or does not answer, or does not let us join.
        """
        with our_errors(f"reading {', '.join(self._topics)}"):
            fetched = self._membership.poll(timeout_s, _ALL)
        found: dict[str, list[Record]] = {}
        for partition, records in fetched.items():
            if records:
                self._follower.positions[partition] = records[-1].offset + 1
                found.setdefault(partition.topic, []).extend(map(record_of, records))
        return found

    def owned(self) -> frozenset[int]:
        """Return the partitions that this member owns now; it changes inside `poll`."""
        return frozenset(owned.partition for owned in self._client.assignment())

    def unstarted(self) -> frozenset[int]:
        """Return the partitions owned of which it is not known where they are to be read from.

        Also one that was another's in between.
        """
        assigned = self._client.assignment()
        return frozenset(one.partition for one in assigned if one not in self._follower.positions)

    def start(self, partition: int, offsets: Mapping[str, int]) -> None:
        """Read an owned partition of every topic from these offsets on."""
        for topic, offset in offsets.items():
            place = TopicPartition(topic, partition)
            self._client.seek(place, offset)
            self._follower.positions[place] = offset
            self.hold(topic, partition, is_held=False)

    def hold(self, topic: str, partition: int, *, is_held: bool) -> None:
        """Stop reading an owned partition of a topic for now, or go on."""
        place, paused = TopicPartition(topic, partition), self._follower.paused
        if is_held:
            paused.add(place)
            self._client.pause(place)
        else:
            paused.discard(place)
            self._client.resume(place)

    def bounds(self, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return partition -> the first offset that is there, and the one after the last.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        places = [TopicPartition(topic, partition) for partition in partitions]
        with our_errors(f"asking for the beginning and the end of {topic}"):
            first = self._client.beginning_offsets(places) if places else {}
        ends = self.ends(topic, [place.partition for place in places])
        return {p.partition: (first[p], ends[p.partition]) for p in places}

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return partition -> the offset after its last record; of any topic.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        places = [TopicPartition(topic, partition) for partition in partitions]
        with our_errors(f"asking for the end of {topic}"):
            found = self._client.end_offsets(places) if places else {}
        return {place.partition: offset for place, offset in found.items()}

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        with suppress(kafka_errors.KafkaError):
            self._client.close(timeout_ms=5_000)
