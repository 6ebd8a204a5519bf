"""What a worker produces, and who produces it: `scored-posts`, `dead-posts` and `progress`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record on its way to Kafka."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class RecordSink(Protocol):
    """Produces records; `stream.runtime.sink` has the real one, tests a list."""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Produce the records in order and return once Kafka has acknowledged them all.

        Raises:
            BrokerUnavailable: Not acknowledged; some may have been written.
        """
        ...
