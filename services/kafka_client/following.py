"""Reading every partition of topics from a time on, without a group."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from kafka import errors as kafka_errors
from kafka.structs import TopicPartition

from core.errors import BrokerUnavailable
from core.settings import KafkaSettings
from services.kafka_client.client import our_errors
from services.kafka_client.consuming import consumer_of, record_of
from services.kafka_client.messages import Record


class TopicFollower:
    """Reads topics that are added one after the other. Not thread-safe.

    Args:
        settings: The broker's address and the time-outs.

    Raises:
        BrokerUnavailable: No broker answers within a few seconds.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        with our_errors("following topics"):
            self._client = consumer_of(settings, group_id=None, max_poll_records=5_000)
        self._until: dict[TopicPartition, int] = {}
        self._last_ms: dict[TopicPartition, int] = {}

    def add(self, topic: str, since_ms: int, offsets: Mapping[int, int] | None = None) -> int:
        """Read a topic too, from a time on.

        Args:
            topic: The topic.
            since_ms: The time that the broker gave the first record to be read, ms since 1970.
            offsets: Partition -> an offset from which it is read at least.

        Returns:
            How many of the records from these offsets on the topic no longer has.

        Raises:
            BrokerUnavailable: The broker does not answer, or there is no such topic.
        """
        with our_errors(f"following {topic}"):
            numbers = self._client.partitions_for_topic(topic)
            if not numbers:
                raise BrokerUnavailable(f"following {topic}: there is no such topic")
            places = [TopicPartition(topic, number) for number in sorted(numbers)]
            firsts = self._client.beginning_offsets(places)
            ends = self._client.end_offsets(places)
            at_time = self._client.offsets_for_times(dict.fromkeys(places, since_ms))
            positions = {place: self._client.position(place) for place in self._until}
            self._client.assign([*positions, *places])
            for place, position in positions.items():
                self._client.seek(place, position)
        missing = 0
        for place in places:
            since = ends[place] if at_time[place] is None else at_time[place].offset
            asked = (offsets or {}).get(place.partition, since)
            missing += max(0, firsts[place] - asked)
            # A topic that was made anew ends before what was read of the old one.
            self._client.seek(place, min(max(min(since, asked), firsts[place]), ends[place]))
            self._until[place] = ends[place]
        return missing

    def poll(self, timeout_s: float) -> dict[str, list[Record]]:
        """Return topic -> records, waiting up to `timeout_s` for the first one.

        Raises:
            BrokerUnavailable: The broker refuses or does not answer.
        """
        found: dict[str, list[Record]] = {}
        with our_errors("following topics"):
            fetched = self._client.poll(int(timeout_s * 1000))
        for place, records in fetched.items():
            if records:
                self._last_ms[place] = records[-1].timestamp
                found.setdefault(place.topic, []).extend(map(record_of, records))
        return found

    def has_reached(self, topic: str) -> bool:
        """Tell whether a topic was read as far as it went when it was added."""
        return all(
            (self._client.position(place) or 0) >= end
            for place, end in self._until.items() if place.topic == topic
        )  # fmt: skip

    def written_ms(self, topic: str) -> int | None:
        """Return when the broker had the oldest record that is read last, where more is to come.

        None where everything was read that the broker is known to have.
        """
        behind: list[int] = []
        for place in self._until:
            highest = self._client.highwater(place)
            if place.topic == topic and highest and (self._client.position(place) or 0) < highest:
                behind.append(self._last_ms.get(place, 0))
        return min((ms for ms in behind if ms), default=None)

    def ends(self, topic: str) -> dict[int, int]:
        """Return partition -> the offset after the last record, as far as fetches have told it."""
        ends = {place.partition: self._client.highwater(place)
                for place in self._until if place.topic == topic}  # fmt: skip
        return {number: end for number, end in ends.items() if end is not None}

    def next_offsets(self, topic: str) -> dict[int, int]:
        """Return partition -> the offset after the last record that `poll` has returned."""
        places = [place for place in self._until if place.topic == topic]
        return {place.partition: self._client.position(place) or 0 for place in places}

    def close(self) -> None:
        """Release the connection."""
        with suppress(kafka_errors.KafkaError):
            self._client.close()
