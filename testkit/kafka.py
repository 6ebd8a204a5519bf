"""Kafka in memory, for tests of what sends to it: it can be slow, away, or refuse a record."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

from core.errors import BrokerUnavailable, DecodeError
from core.reasons import TOO_LARGE
from services.kafka_client.messages import Acknowledgement, Headers, Record


class FakeAcknowledgement:
    """The answer to one record; set by the broker."""

    def __init__(self) -> None:
        self.is_done = False
        self.error: Exception | None = None

    def failed(self) -> bool:
        """Tell whether the record was given up."""
        return self.is_done and self.error is not None

    def settle(self, error: Exception | None = None) -> None:
        """Answer; only the first answer counts."""
        if not self.is_done:
            self.error = error
            self.is_done = True


class MemoryBroker:
    """Topics that outlive their producers, with one partition per key's first byte modulo four.

    A runner may send in its thread while the test releases in its own.

    Attributes:
        is_away: Sending and reconnecting fail with `BrokerUnavailable`.
        holds_answers: Records are kept back, unwritten and unanswered, until `release`.
        max_value_bytes: Larger records are refused for good.
    """

    def __init__(self, partitions: int = 4) -> None:
        self.topics: dict[str, list[Record]] = defaultdict(list)
        self.partitions = partitions
        self.is_away = False
        self.holds_answers = False
        self.max_value_bytes: int | None = None
        self._held: list[tuple[str, bytes, bytes, Headers, FakeAcknowledgement]] = []
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """How many records wait for `release`."""
        return len(self._held)

    def take(self, topic: str, key: bytes, value: bytes, headers: Headers) -> FakeAcknowledgement:
        """Take a record and answer now or on `release`."""
        answer = FakeAcknowledgement()
        with self._lock:
            if self.holds_answers:
                self._held.append((topic, key, value, headers, answer))
            else:
                self._write(topic, key, value, headers, answer)
        return answer

    def release(self, wanted: Callable[[int], bool] = lambda partition: True) -> None:
        """Write and answer the records held, of the partitions wanted only."""
        kept = []
        with self._lock:
            for held in self._held:
                if wanted(self.partition(held[1])):
                    self._write(*held)
                else:
                    kept.append(held)
            self._held = kept

    def lose(self) -> None:
        """Give up the records held, as a client does when its time is up."""
        with self._lock:
            for *_, answer in self._held:
                answer.settle(BrokerUnavailable("the record expired"))
            self._held = []

    def partition(self, key: bytes) -> int:
        """Return where a key goes."""
        return sum(key) % self.partitions

    def values(self, topic: str) -> list[bytes]:
        """Return the values of a topic in the order in which they were written."""
        return [record.value or b"" for record in self.topics[topic]]

    def _write(
        self, topic: str, key: bytes, value: bytes, headers: Headers, answer: FakeAcknowledgement
    ) -> None:
        if self.max_value_bytes is not None and len(value) > self.max_value_bytes:
            answer.settle(DecodeError(TOO_LARGE, f"{len(value)} bytes"))
            return
        records = self.topics[topic]
        records.append(Record(self.partition(key), len(records), key, value, tuple(headers)))
        answer.settle()


class FakeProducer:
    """Satisfies `Producer` on a `MemoryBroker`.

    Args:
        broker: The broker that records go to.
        on_send: Called with the number of records sent so far, after each.
    """

    def __init__(
        self, broker: MemoryBroker, on_send: Callable[[int], None] = lambda sent: None
    ) -> None:
        self._broker = broker
        self._on_send = on_send
        self.sent = 0
        self.reconnects = 0
        self.is_closed = False

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> Acknowledgement:
        """Take a record; see `Producer.send`."""
        if self._broker.is_away:
            raise BrokerUnavailable("the fake broker is away")
        answer = self._broker.take(topic, key, value, headers)
        self.sent += 1
        self._on_send(self.sent)
        return answer

    def failure(self, acknowledgement: Acknowledgement) -> Exception:
        """Return why a record failed."""
        error = getattr(acknowledgement, "error", None)
        return error or BrokerUnavailable("unknown")

    def flush(self, timeout_s: float) -> None:
        """Fail if anything is held back; nothing is waited for."""
        if self._broker.held:
            raise BrokerUnavailable(f"not acknowledged within {timeout_s} s")

    def reconnect(self) -> None:
        """Start anew: what was held back is lost."""
        self.reconnects += 1
        if self._broker.is_away:
            raise BrokerUnavailable("the fake broker is away")
        self._broker.lose()

    def close(self, timeout_s: float = 5.0) -> None:
        """Remember that it was closed."""
        self.is_closed = True
