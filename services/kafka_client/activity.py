"""Topics looked at from outside: how many records, how many of late, when the last was written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from kafka.structs import TopicPartition

from core.settings import KafkaSettings
from services.kafka_client.client import our_errors
from services.kafka_client.consuming import consumer_of, record_of
from services.kafka_client.messages import Record

_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class TopicActivity:
    """What happens in a topic.

    Attributes:
        ends: Partition -> the offset after its last record.
        recent: The records since the time that was asked for.
        last_ms: When the last record was written, in milliseconds since 1970; None if none is kept
            or the broker did not tell in time.
    """

    ends: Mapping[int, int]
    recent: int
    last_ms: int | None


def topic_activity(
    settings: KafkaSettings, topics: Sequence[str], since_ms: int
) -> dict[str, TopicActivity]:
    """Look at topics, each of which must exist to be in the answer.

    Args:
        settings: The broker's address and the time-outs.
        topics: Their names.
        since_ms: Since when records are recent, in milliseconds since 1970.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    with our_errors("looking at topics"):
        # One byte: the broker sends one batch of records all the same.
        opened = consumer_of(settings, group_id=None, max_partition_fetch_bytes=1)
        with closing(opened) as client:
            there = client.topics()
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                if topic in there
                for number in sorted(client.partitions_for_topic(topic) or ())
            ]
            begins, ends = client.beginning_offsets(partitions), client.end_offsets(partitions)
            since = client.offsets_for_times(dict.fromkeys(partitions, since_ms))
            last = _last_written(client, {p: ends[p] - 1 for p in ends if ends[p] > begins[p]})
    return {topic: _activity(topic, ends, since, last) for topic in topics if topic in there}


def _activity(
    topic: str,
    ends: Mapping[TopicPartition, int],
    since: Mapping[TopicPartition, Any],
    last: Mapping[TopicPartition, int],
) -> TopicActivity:
    own = {p: end for p, end in ends.items() if p.topic == topic}
    recent = sum(end - at.offset for p, end in own.items() if (at := since.get(p)))
    times = [written for p, written in last.items() if p.topic == topic]
    return TopicActivity(
        {p.partition: end for p, end in own.items()}, recent, max(times, default=None)
    )


def _last_written(client: Any, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Return when the records at these offsets were written (ms); absent what takes too long."""
    wanted, found = dict(offsets), dict[TopicPartition, int]()
    give_up_at_s = time.monotonic() + _PATIENCE_S
    while wanted and (left_s := give_up_at_s - time.monotonic()) > 0:
        client.assign(list(wanted))
        for partition, offset in wanted.items():
            client.seek(partition, offset)
        for partition, records in client.poll(int(left_s * 1000)).items():
            if records:
                found[partition] = records[-1].timestamp
                wanted.pop(partition, None)
    return found


def read_record(settings: KafkaSettings, topic: str, partition: int, offset: int) -> Record | None:
    """Return the record at an offset; None if there is none, or not any more.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    place = TopicPartition(topic, partition)
    with (
        our_errors(f"reading {topic}"),
        closing(consumer_of(settings, group_id=None, max_poll_records=1)) as client,
    ):
        if partition not in (client.partitions_for_topic(topic) or ()):
            return None
        begin, end = client.beginning_offsets([place])[place], client.end_offsets([place])[place]
        if not begin <= offset < end:
            return None
        client.assign([place])
        client.seek(place, offset)
        give_up_at_s = time.monotonic() + settings.request_timeout_s
        while (left_s := give_up_at_s - time.monotonic()) > 0:
            for records in client.poll(int(left_s * 1000)).values():
                return record_of(records[0]) if records[0].offset == offset else None
    return None
