"""What was given to Kafka and is not yet acknowledged, in the order of the source.

Kafka acknowledges partitions out of order; the outbox lets go only from its head, so the cursor
it reports is the highest one with nothing unacknowledged before it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from services.ingest.outgoing import OutgoingRecord
from services.ingest.sources.base import Cursor
from services.kafka_client.messages import Producer


class _NothingSent:
    """The acknowledgement of a record that only moves the cursor."""

    is_done = True

    def failed(self) -> bool:
        """Tell that nothing can go wrong with it."""
        return False


_NOTHING_SENT: Final = _NothingSent()


class Outbox:
    """Bounded by its user, who asks `is_full` before taking more from the source.

    Args:
        producer: The producer that sends the records.
        max_posts: The number of records held at most.
        max_bytes: The bytes of their values at most; one poll of the source may exceed it.
    """

    def __init__(self, producer: Producer, max_posts: int, max_bytes: int) -> None:
        self._producer = producer
        self._max_posts = max_posts
        self._max_bytes = max_bytes
        self._records: deque[OutgoingRecord] = deque()
        self._unsent: deque[OutgoingRecord] = deque()
        self._held_bytes = 0
        self.cursor: Cursor | None = None
        self.acknowledged: Counter[str] = Counter()
        self._after_cursor: list[str] = []

    def __len__(self) -> int:
        """Return how many records are unacknowledged."""
        return len(self._records)

    @property
    def settled(self) -> Counter[str]:
        """`acknowledged` up to `cursor`: what comes after it comes again after a crash."""
        return self.acknowledged - Counter(self._after_cursor)

    @property
    def held_bytes(self) -> int:
        """Bytes of the values held."""
        return self._held_bytes

    @property
    def is_full(self) -> bool:
        """True while no more should be taken from the source."""
        return len(self._records) >= self._max_posts or self._held_bytes >= self._max_bytes

    def room(self, largest_bytes: int) -> int:
        """Return how many records of up to `largest_bytes` still fit, 0 if full."""
        if self.is_full:
            return 0
        left = (self._max_bytes - self._held_bytes) // max(1, largest_bytes)
        return max(1, min(self._max_posts - len(self._records), left))

    def add(self, records: Sequence[OutgoingRecord]) -> None:
        """Take records; `transmit` sends them."""
        self._records.extend(records)
        self._unsent.extend(records)
        self._held_bytes += sum(len(record.value) for record in records)

    def transmit(self) -> None:
        """Give to the producer what was not given yet, in order.

        Raises:
            BrokerUnavailable, FatalError: As `Producer.send`; what was not sent stays.
        """
        unsent, send = self._unsent, self._producer.send
        while unsent:
            record = unsent[0]
            if record.topic:
                record.acknowledgement = send(record.topic, record.key, record.value)
            else:
                record.acknowledgement = _NOTHING_SENT
            unsent.popleft()

    def collect(self) -> int:
        """Let go of what Kafka acknowledged, from the head; move `cursor` and `acknowledged`.

        Returns:
            The number of records that were let go.

        Raises:
            BrokerUnavailable: A record failed; `start_over` on a fresh connection.
            DecodeError: The broker will never take the record at the head; `replace_head`.
            FatalError: The broker refuses this client.
        """
        records, tallies = self._records, self.acknowledged
        gone = 0
        while records:
            record = records[0]
            answer = record.acknowledgement
            if answer is None or not answer.is_done:
                break
            if answer.failed():
                raise self._producer.failure(answer)
            records.popleft()
            self._held_bytes -= len(record.value)
            tallies[record.tally] += 1
            if record.cursor is self.cursor:
                self._after_cursor.append(record.tally)
            else:
                self.cursor = record.cursor
                self._after_cursor.clear()
            gone += 1
        return gone

    def replace_head(self, record: OutgoingRecord) -> None:
        """Put another record in the place of the one that Kafka will never take."""
        refused = self._records.popleft()
        self._held_bytes += len(record.value) - len(refused.value)
        self._records.appendleft(record)
        record.acknowledgement = self._producer.send(record.topic, record.key, record.value)

    @property
    def head(self) -> OutgoingRecord:
        """The oldest unacknowledged record; there must be one."""
        return self._records[0]

    def start_over(self) -> None:
        """Forget every answer: the next `transmit` sends all that is held, in order, again."""
        for record in self._records:
            record.acknowledgement = None
        self._unsent = deque(self._records)
