"""What goes to and comes from Kafka, and the protocols that client and fake satisfy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0


class Acknowledgement(Protocol):
    """The broker's answer to one sent record, once it is there."""

    is_done: bool
    """True when the broker acknowledged the record or the client gave it up."""

    def failed(self) -> bool:
        """Tell whether it is done and the record was not acknowledged."""
        ...


class Producer(Protocol):
    """Sends records; records of one key keep their order. Used from one thread."""

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> Acknowledgement:
        """Take a record for sending and return at once.

        Raises:
            BrokerUnavailable: The topic's partitions are not known and the broker does not answer.
            FatalError: The broker refuses this client or the topic for good.
        """
        ...

    def failure(self, acknowledgement: Acknowledgement) -> Exception:
        """Return why a record failed, as one of our errors.

        `DecodeError` with reason `too_large` if the broker will never take this record,
        `FatalError` if it will take none of this client, else `BrokerUnavailable`.
        """
        ...

    def flush(self, timeout_s: float) -> None:
        """Wait until every record sent so far is done.

        Raises:
            BrokerUnavailable: Not all are done after `timeout_s`.
        """
        ...

    def reconnect(self) -> None:
        """Give up everything unacknowledged and start anew; the caller sends it again.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        ...

    def close(self, timeout_s: float = 5.0) -> None:
        """Release the connection; what is unacknowledged after `timeout_s` is given up."""
        ...
