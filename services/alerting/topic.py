"""Publishes alerts to their topic: each once, in order, however often the closer dies.

Kafka may have a record whose acknowledgement was lost. So whoever begins reads first what the topic
has, and leaves out what is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from core import reasons
from core.codec import alert_decoder
from core.errors import DecodeError
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Alert
from core.settings import KafkaSettings
from services.acknowledged import AcknowledgedProducer, Outgoing
from services.kafka_client import read_topic
from stream.store.alert_state import AlertState
from stream.store.keys import OUTBOX
from stream.topics import ALERTS

_log = get_logger(__name__)

AT_ONCE: Final = 500


class Topic(Protocol):
    """The topic `alerts`."""

    async def read(self) -> list[bytes]:
        """Return every record that it holds.

        Raises:
            BrokerUnavailable: no answer.
        """
        ...

    async def write(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Return once every (key, value) is acknowledged.

        Raises:
            BrokerUnavailable: some are not; any of them may have been written.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class KafkaTopic:
    """The real one."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer = AcknowledgedProducer(settings)

    async def read(self) -> list[bytes]:
        """See `Topic`."""

        def values() -> list[bytes]:
            return [record.value or b"" for record in read_topic(self._settings, ALERTS)]

        return await asyncio.to_thread(values)

    async def write(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """See `Topic`."""
        await self._producer.send([Outgoing(ALERTS, key, value) for key, value in records])

    async def close(self) -> None:
        """See `Topic`."""
        await self._producer.close()


class AlertPublisher:
    """Empties the outbox into the topic.

    Args:
        store: where the outbox is.
        topic: where it is emptied to.
        metrics: of the closer.
    """

    def __init__(self, store: AlertState, topic: Topic, metrics: Metrics) -> None:
        self._store = store
        self._topic = topic
        self._metrics = metrics
        self._present: set[str] | None = None

    def take_over(self) -> None:
        """Forget what the topic has: somebody else may have written since."""
        self._present = None

    async def publish(self) -> None:
        """Publish what waits.

        Raises:
            StoreUnavailable, BrokerUnavailable: call again; nothing is published twice.
        """
        while waiting := (await self._store.unpublished())[:AT_ONCE]:
            self._metrics.alerts_unpublished.set(len(waiting))
            # What cannot be read can be published to nobody: it must not hold up the rest.
            wrong = [str(number) for number, record in waiting if _decoded(record) is None]
            if wrong:
                await self._store.put_aside(OUTBOX, wrong)
            alerts = [(a, record) for _, record in waiting if (a := _decoded(record)) is not None]
            if self._present is None:
                self._present = {
                    identity(a) for a in map(self._present_in, await self._topic.read()) if a
                }
            missing = [(a, record) for a, record in alerts if identity(a) not in self._present]
            try:
                await self._topic.write([(a.query.encode(), record) for a, record in missing])
            except BaseException:
                self._present = None
                raise
            self._present.update(identity(alert) for alert, _ in missing)
            await self._store.published([number for number, _ in waiting])
        self._metrics.alerts_unpublished.set(0)

    def _present_in(self, record: bytes) -> Alert | None:
        """Return an alert of the topic; what a stranger wrote there is counted and left out."""
        found = _decoded(record)
        if found is None:
            self._metrics.records_refused.labels(topic=ALERTS, reason=reasons.WRONG_TYPE).inc()
        return found

    async def close(self) -> None:
        """Release the connection to Kafka."""
        await self._topic.close()


def identity(alert: Alert) -> str:
    """Return what makes a record of an alert the same as another: what it says of which pane."""
    return f"{alert.alert_id}|{alert.state}|{alert.severity}|{alert.decided_at.isoformat()}"


def _decoded(record: bytes) -> Alert | None:
    try:
        return alert_decoder.decode(record)
    except DecodeError as error:
        _log.error("unreadable alert is left out", reason=error.reason, detail=error.detail)
        return None
