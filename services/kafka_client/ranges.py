"""Reading one partition of a topic between offsets, without a group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from kafka import errors as kafka_errors
from kafka.structs import TopicPartition

from core.settings import KafkaSettings
from services.kafka_client.client import our_errors
from services.kafka_client.consuming import consumer_of, record_of
from services.kafka_client.messages import Record

_POLL_MS: Final = 500


class PartitionRange:
    """One partition of a topic. Not thread-safe; `close` it when done.

    Args:
        settings: The broker's address and the time-outs.
        topic: The topic.
        partition: The number of the partition.

    Raises:
        BrokerUnavailable: No broker answers within a few seconds.
    """

    def __init__(self, settings: KafkaSettings, topic: str, partition: int) -> None:
        self._place = TopicPartition(topic, partition)
        with our_errors(f"reading {topic}"):
            self._client = consumer_of(settings, group_id=None, max_poll_records=2_000)
            self._client.assign([self._place])

    def bounds(self) -> tuple[int, int]:
        """Return the offset of the oldest record, and the one after the last.

        Raises:
            BrokerUnavailable: The broker does not answer, or there is no such partition.
        """
        with our_errors(f"asking for the ends of {self._place.topic}"):
            begin = self._client.beginning_offsets([self._place])[self._place]
            end = self._client.end_offsets([self._place])[self._place]
        return int(begin), int(end)

    def since(self, at_ms: int) -> int:
        """Return the offset of the first record of a time or later; the end if there is none.

        Args:
            at_ms: The time that records have in the topic, ms since 1970.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        with our_errors(f"asking for a time of {self._place.topic}"):
            found = self._client.offsets_for_times({self._place: at_ms})[self._place]
        return self.bounds()[1] if found is None else int(found.offset)

    def read(self, start: int, stop: int) -> Iterator[Record]:
        """Yield the records from `start` to before `stop`, as far as the topic has them.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        with our_errors(f"reading {self._place.topic}"):
            begin, end = self.bounds()
            at, stop = max(start, begin), min(stop, end)
            if at < stop:
                self._client.seek(self._place, at)
        while at < stop:
            with our_errors(f"reading {self._place.topic}"):
                fetched = self._client.poll(_POLL_MS)
                at = int(self._client.position(self._place))
            for record in fetched.get(self._place, ()):
                if record.offset < stop:
                    yield record_of(record)

    def close(self) -> None:
        """Release the connection."""
        with suppress(kafka_errors.KafkaError):
            self._client.close()
