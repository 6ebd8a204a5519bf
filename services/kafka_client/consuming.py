"""Reading: as a member of a group, a whole topic, or where a topic ends."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata, TopicPartition

from core.errors import BrokerUnavailable
from core.settings import KafkaSettings
from services.kafka_client.client import client_options, make_client, our_errors
from services.kafka_client.joining import Membership
from services.kafka_client.messages import Record


def consumer_of(settings: KafkaSettings, *topics: str, **options: Any) -> Any:
    """Return a client that commits nothing by itself."""
    return make_client(
        KafkaConsumer, *topics, **client_options(settings), **options, metrics_enabled=False,
        enable_auto_commit=False, allow_auto_create_topics=False,
    )  # fmt: skip


def member_of(settings: KafkaSettings, group: str, *topics: str, **options: Any) -> Any:
    """Return a client that is a member of a group."""
    return consumer_of(
        settings, *topics, **options, group_id=group,
        session_timeout_ms=int(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 3),
    )  # fmt: skip


class PartitionConsumer:
    """A member of a consumer group on one topic; Kafka gives it partitions and takes them away.

    Offsets are committed only by `commit`. Not thread-safe; a group with a time-out needs `poll`
    called often.

    Args:
        settings: The broker's address and the time-outs.
        topic: The topic to read.
        group: The name of the group, whose members share the partitions.
        from_beginning: Where to start on a partition without a committed offset.

    Raises:
        BrokerUnavailable: No broker answers within a few seconds.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, group: str, from_beginning: bool = True
    ) -> None:
        self._topic = topic
        with our_errors(f"joining {group} on {topic}"):
            self._client = member_of(
                settings,
                group,
                topic,
                auto_offset_reset="earliest" if from_beginning else "latest",
            )
        self._membership = Membership(self._client, group)

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Record]:
        """Return what is there, waiting up to `timeout_s` for the first record.

        Raises:
            BrokerUnavailable: The broker refuses or does not answer, or does not let us join.
        """
        with our_errors(f"reading {self._topic}"):
            fetched = self._membership.poll(timeout_s, max_records)
        return [record_of(found) for records in fetched.values() for found in records]

    def assignment(self) -> frozenset[int]:
        """Return the partitions that this member owns now; it changes inside `poll`."""
        return frozenset(owned.partition for owned in self._client.assignment())

    def seek(self, partition: int, offset: int) -> None:
        """Read an owned partition from `offset` on."""
        self._client.seek(TopicPartition(self._topic, partition), offset)

    def end_offsets(self) -> dict[int, int]:
        """Return the offset after the last record of each owned partition."""
        with our_errors(f"asking for the end of {self._topic}"):
            ends = self._client.end_offsets(list(self._client.assignment()))
        return {owned.partition: offset for owned, offset in ends.items()}

    def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Commit, per partition, the offset to start from next time.

        Raises:
            BrokerUnavailable: Not committed, for example because the partition was taken away.
        """
        with our_errors(f"committing {self._topic}"):
            self._client.commit(
                {
                    TopicPartition(self._topic, partition): OffsetAndMetadata(offset, "", -1)
                    for partition, offset in next_offsets.items()
                }
            )

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        with suppress(kafka_errors.KafkaError):
            self._client.close(timeout_ms=5_000)


def read_topic(
    settings: KafkaSettings,
    topic: str,
    *,
    from_beginning: bool = True,
    until_end: bool = True,
    last: int | None = None,
    before_ms: int | None = None,
    only: Collection[int] | None = None,
    poll_s: float = 0.5,
) -> Iterator[Record]:
    """Yield the records of a topic, every partition, without a group.

    Args:
        settings: The broker's address and the time-outs.
        topic: The topic to read; partitions added later are not seen.
        from_beginning: Start at the oldest record, else at what is written from now on.
        until_end: End where the topic ended when called, else go on for ever.
        last: The number of offsets before the end of each partition to read; None is all of them.
        before_ms: End where the first record of this time or later stands, by the time that records
            have in the topic, in milliseconds since 1970.
        only: The partitions to read; None is all of them.
        poll_s: The longest wait for records at a time, in seconds.

    Raises:
        BrokerUnavailable: The broker does not answer, or there is no such topic.
    """
    with our_errors(f"reading {topic}"):
        client = consumer_of(settings, group_id=None, max_poll_records=2_000)
    try:
        with our_errors(f"reading {topic}"):
            starts, ends = _bounds(client, topic, from_beginning, last, before_ms, only)
        yield from _read(client, topic, starts, ends if until_end else None, poll_s)
    finally:
        client.close()


_Offsets = dict[TopicPartition, int]


def _bounds(
    client: Any, topic: str, from_beginning: bool, last: int | None, before_ms: int | None,
    only: Collection[int] | None,
) -> tuple[_Offsets, _Offsets]:  # fmt: skip
    """Put a client where reading starts; return where that is and where the partitions end."""
    found = client.partitions_for_topic(topic)
    if not found:
        raise BrokerUnavailable(f"reading {topic}: there is no such topic")
    numbers = sorted(found if only is None else found & set(only))
    partitions = [TopicPartition(topic, number) for number in numbers]
    client.assign(partitions)
    ends: _Offsets = client.end_offsets(partitions)
    if before_ms is not None:
        found_at = client.offsets_for_times(dict.fromkeys(partitions, before_ms))
        ends = {p: at.offset if (at := found_at.get(p)) else end for p, end in ends.items()}
    starts: _Offsets = client.beginning_offsets(partitions) if from_beginning else ends
    if last is not None:
        starts = {p: max(start, ends[p] - last) for p, start in starts.items()}
    for partition, start in starts.items():
        client.seek(partition, start)
    return starts, ends


def _read(
    client: Any, topic: str, starts: _Offsets, ends: _Offsets | None, poll_s: float
) -> Iterator[Record]:
    """Yield the records of partitions from where the client was put, to their ends if there are."""
    left = {p for p in starts if ends is None or starts[p] < ends[p]}
    while left:
        with our_errors(f"reading {topic}"):
            fetched = client.poll(int(poll_s * 1000))
        for partition, records in fetched.items():
            wanted = (r for r in records if ends is None or r.offset < ends[partition])
            yield from map(record_of, wanted)
        if ends is not None:
            left = {p for p in left if (client.position(p) or 0) < ends[p]}


def record_of(found: Any) -> Record:
    """Return a record of the client as one of ours."""
    return Record(
        partition=found.partition,
        offset=found.offset,
        key=found.key,
        value=found.value,
        headers=tuple(found.headers),
        timestamp_ms=found.timestamp,
    )


class TopicProbe:
    """Looks at one topic from outside: where its partitions end, when a record was written.

    Not thread-safe.

    Raises:
        BrokerUnavailable: No broker answers within a few seconds.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._topic = topic
        with our_errors(f"looking at {topic}"):
            # One byte: the broker sends one batch of records all the same.
            self._client = consumer_of(settings, group_id=None, max_partition_fetch_bytes=1)

    def ends(self) -> dict[int, int]:
        """Return partition -> the offset after its last record; empty if there is no such topic.

        Raises:
            BrokerUnavailable: No answer.
        """
        with our_errors(f"asking for the end of {self._topic}"):
            numbers = self._client.partitions_for_topic(self._topic) or ()
            ends = self._client.end_offsets([TopicPartition(self._topic, n) for n in numbers])
        return {partition.partition: offset for partition, offset in ends.items()}

    def written_ms(self, offsets: Mapping[int, int], timeout_s: float = 2.0) -> dict[int, int]:
        """Return partition -> when the record at its offset, or the next there is, was written.

        In milliseconds since 1970. A partition that does not answer in time is absent.

        Raises:
            BrokerUnavailable: The broker refuses or does not answer.
        """
        wanted = {TopicPartition(self._topic, number): at for number, at in offsets.items()}
        found: dict[int, int] = {}
        give_up_at_s = time.monotonic() + timeout_s
        with our_errors(f"reading {self._topic}"):
            while wanted and (left_s := give_up_at_s - time.monotonic()) > 0:
                self._client.assign(list(wanted))
                for partition, offset in wanted.items():
                    self._client.seek(partition, offset)
                for partition, records in self._client.poll(int(left_s * 1000)).items():
                    if records:
                        found[partition.partition] = records[0].timestamp
                        wanted.pop(partition, None)
        return found

    def close(self) -> None:
        """Release the connection."""
        with suppress(kafka_errors.KafkaError):
            self._client.close()
