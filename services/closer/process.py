"""The closer: follows `progress`, closes panes, publishes windows, judges them and tells alerts.

`progress` has one partition, so Kafka makes one member of the group active and replaces it when it
dies. What is closed and published is decided in `services.closer.closing`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from core.clock import Clock, SystemClock, epoch_ms
from core.codec import encode, progress_decoder
from core.errors import BrokerUnavailable, DecodeError, TransientError
from core.folders import catalog_file
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.retry import pause_s
from core.schemas import Window
from core.settings import KafkaSettings, Settings
from services.acknowledged import AcknowledgedProducer, Outgoing
from services.alerting.alertmanager import Alertmanagers
from services.alerting.delivery import Delivery
from services.alerting.judges import AlertJudges
from services.alerting.rules import LiveRules
from services.bootstrap import make_store
from services.closer.closing import Closer
from services.closer.publishing import Superseded
from services.kafka_client import PartitionConsumer, TopicAdmin
from services.kafka_client.messages import Record
from services.stopping import until_signalled, wait
from stream.cluster import group_in
from stream.store.identity import StoreIdentity
from stream.topics import PROGRESS, WINDOWS

_log = get_logger(__name__)

RESYNC_S: Final = 5.0
"""How often the store is asked, in case a progress message was lost or a partition is new."""


class KafkaPublisher:
    """Publishes to `windows`: keyed `query|start`, in the order of a query, acknowledged by all."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._producer = AcknowledgedProducer(settings)

    async def publish(self, windows: Sequence[Window]) -> None:
        """Return once every window is acknowledged; see `Publisher`."""
        await self._producer.send(
            [
                Outgoing(WINDOWS, window_key(window), encode(window), window.query.encode())
                for window in windows
            ]
        )

    async def close(self) -> None:
        """Release the connection."""
        await self._producer.close()


def window_key(window: Window) -> bytes:
    """Return the key under which compaction keeps the last revision.

    The start is in seconds since 1970.
    """
    return f"{window.query}|{epoch_ms(window.start) // 1000}".encode()


class _Member:
    """Membership of the closers' group: who holds `progress` is active.

    Attributes:
        cluster_id: The cluster of the broker to which it last connected; "" before.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: PartitionConsumer | None = None
        self.cluster_id = ""

    async def poll(self) -> tuple[bool, list[Record]]:
        """Return whether this closer is active, and the progress since the last call.

        Waits up to `closer.tick_s`. A client that failed is thrown away and made anew.

        Raises:
            BrokerUnavailable: There is no answer.
        """
        try:
            return await asyncio.to_thread(self._poll)
        except BrokerUnavailable:
            await self.close()
            raise

    def _poll(self) -> tuple[bool, list[Record]]:
        if self._consumer is None:
            # From now on only: where the partitions are, the store says.
            with TopicAdmin(self._settings.kafka) as admin:
                self.cluster_id = admin.cluster_id()
            group = group_in(self._settings.closer.group, self.cluster_id)
            self._consumer = PartitionConsumer(
                self._settings.kafka, PROGRESS, group, from_beginning=False
            )
        records = self._consumer.poll(self._settings.closer.tick_s)
        return bool(self._consumer.assignment()), records

    async def close(self) -> None:
        """Leave the group, so that another takes over at once."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await asyncio.to_thread(consumer.close)


class _Loop:
    """Drives a `Closer` from its group membership until told to stop.

    Attributes:
        is_active: Whether this closer closes; the others of its group stand by.
    """

    def __init__(
        self,
        closer: Closer,
        member: _Member,
        identity: StoreIdentity,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._closer = closer
        self._member = member
        self._identity = identity
        self._clock = clock
        self._metrics = metrics
        self.is_active = False
        self._heard_at_s = clock.monotonic()
        self._synced_at_s = 0.0
        self._attempt = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; waits out whatever is away."""
        rng = random.Random()
        while not stop.is_set():
            try:
                await self._turn(stop)
                self._attempt = 0
            except Superseded:
                _log.warning("another closer has taken over")
                self.is_active = False
            except TransientError as error:
                self._metrics.closer_retries.inc()
                if self._attempt == 0:
                    _log.warning("waiting", reason=str(error))
                delay_s = pause_s(self._attempt, rng)
                self._attempt += 1
                await wait(stop, delay_s)

    async def _turn(self, stop: asyncio.Event) -> None:
        try:
            holds, records = await self._member.poll()
        except BrokerUnavailable:
            # Out of the group: another may be active by the time we are back.
            self.is_active = False
            self._metrics.closer_active.set(0)
            raise
        now_s = self._clock.monotonic()
        if now_s - self._heard_at_s > RESYNC_S:
            self._closer.excuse(now_s - self._heard_at_s)
        self._heard_at_s = now_s
        self._metrics.closer_active.set(holds)
        if not holds:
            self.is_active = False
            return
        if not self.is_active:
            await self._identity.claim(self._member.cluster_id)
            await self._closer.take_over()
            self.is_active, self._synced_at_s = True, now_s
        for record in records:
            self._observe(record)
        if now_s - self._synced_at_s >= RESYNC_S:
            await self._identity.claim(self._member.cluster_id)
            await self._closer.resync()
            self._synced_at_s = now_s
        give_way_at_s = now_s + RESYNC_S
        while await self._closer.step() and not stop.is_set():
            if self._clock.monotonic() >= give_way_at_s:
                break

    def _observe(self, record: Record) -> None:
        try:
            self._closer.observe(progress_decoder.decode(record.value or b""))
        except DecodeError as error:
            # The slow resync makes up for it.
            self._metrics.records_refused.labels(topic=PROGRESS, reason=error.reason).inc()
            _log.warning("unreadable progress", offset=record.offset, reason=error.reason)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the closer until `stop` is set."""
    metrics, clock = Metrics(role="closer"), SystemClock()
    metrics.serve(settings.metrics.address, settings.metrics.port)
    store, publisher = make_store(settings), KafkaPublisher(settings.kafka)
    store.alerts.on_refused = lambda kind: metrics.alert_state_refused.labels(kind=kind).inc()
    member, receiver = _Member(settings), Alertmanagers(settings.alerts, metrics)
    rules = LiveRules(catalog_file(settings.queries.path), metrics)
    judges = AlertJudges(settings, store, clock, metrics, rules=rules)
    delivery = Delivery(settings.alerts, store.alerts, receiver, clock, metrics, rules.tells)
    try:
        closer = Closer(
            settings.windows, store, publisher, clock, metrics, judges, settings.kafka.partitions
        )
        loop = _Loop(closer, member, store.identity, clock, metrics)
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.run(stop))
            group.create_task(delivery.run(stop, lambda: loop.is_active))
    finally:
        await member.close()
        await publisher.close()
        await judges.close()
        await receiver.close()
        await store.close()


def main(settings: Settings) -> None:
    """Run a closer process until SIGTERM or SIGINT."""
    set_up(settings.log, "closer")
    asyncio.run(until_signalled(lambda stop: run(settings, stop)))
