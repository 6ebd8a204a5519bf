"""Producing from an event loop: a call returns once Kafka has it all, or nothing more will come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.settings import KafkaSettings
from services.kafka_client import RecordProducer

LINGER_MS: Final = 5


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record; `placed_by` chooses its partition instead of the key."""

    topic: str
    key: bytes
    value: bytes
    placed_by: bytes | None = None


class AcknowledgedProducer:
    """Produces batches in order. The client is synchronous: it works on a thread, a call at a time.

    It connects when it is first used, and anew after a failure.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: RecordProducer | None = None

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Return once every record is acknowledged.

        Raises:
            BrokerUnavailable: Some are not; any of them may have been written, none will be later.
        """
        if records:
            await asyncio.to_thread(self._send, records)

    def _send(self, records: Sequence[Outgoing]) -> None:
        if self._producer is None:
            self._producer = RecordProducer(self._settings, linger_ms=LINGER_MS)
        try:
            sent = [
                self._producer.send(one.topic, one.key, one.value, placed_by=one.placed_by)
                for one in records
            ]
            self._producer.flush(self._settings.request_timeout_s)
            failed = next((one for one in sent if one.failed() or not one.is_done), None)
            if failed is not None:
                raise self._producer.failure(failed)
        except Exception:
            # Whatever is still queued must not arrive after what comes next.
            self._producer.close(timeout_s=0.0)
            self._producer = None
            raise

    async def close(self) -> None:
        """Release the connection."""
        if self._producer is not None:
            await asyncio.to_thread(self._producer.close)
