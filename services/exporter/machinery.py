"""What the exporter says of the machinery: lag, integrity, heartbeats, Redis.

Measured from outside, from where the truth is (Kafka's ends, the store's cursors and totals), so
that it is right above all when the workers are not: a worker that is dead exports nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from core.clock import Clock, epoch_ms
from core.errors import BrokerUnavailable, StoreUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.settings import KafkaSettings
from services.heartbeat_watch import HeartbeatWatch
from services.kafka_client import TopicProbe
from stream import heartbeat
from stream.store.health import StoreHealth
from stream.store.increments import PartitionState
from stream.store.quarantine import KINDS, SetAside
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS

_log = get_logger(__name__)

_ACCOUNTED: Final = {
    POSTS: ("counted", f"dead:{POSTS}", heartbeat.TOTAL),
    POST_EVENTS: ("events", f"dead:{POST_EVENTS}"),
}
"""Topic -> the totals that together account for each of its records once."""


def integrity_gap(topic: str, state: PartitionState) -> int:
    """Return records applied less those accounted for: 0, or something was lost or doubled.

    The cursor and the totals change in one step, so no moment is in between.

    Example:
        >>> totals = {"counted": 9, "dead:posts": 1}
        >>> integrity_gap("posts", PartitionState({"posts": 9}, 0, 0, totals))
        0
    """
    return state.cursors[topic] + 1 - sum(state.totals.get(name, 0) for name in _ACCOUNTED[topic])


class LagProbe:
    """Compares where topics end with where the store's cursors are.

    Its clients are made anew when the broker was away.
    """

    def __init__(self, settings: KafkaSettings, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._probes: dict[str, TopicProbe] = {}

    async def look(self, states: Mapping[int, PartitionState]) -> None:
        """Set the lags; without an answer of the broker there are none."""
        metrics = self._metrics
        try:
            for topic in (POSTS, POST_EVENTS):
                cursors = {p: state.cursors.get(topic, -1) for p, state in states.items()}
                await asyncio.to_thread(self._measure, topic, cursors)
            metrics.broker_up.set(1)
        except BrokerUnavailable as error:
            _log.warning("the broker does not tell the lag", reason=str(error))
            metrics.broker_up.set(0)
            metrics.lag_posts.clear()
            metrics.lag_seconds.clear()
            await self.close()

    def _measure(self, topic: str, cursors: Mapping[int, int]) -> None:
        if topic not in self._probes:
            self._probes[topic] = TopicProbe(self._settings, topic)
        probe, metrics = self._probes[topic], self._metrics
        lags = {p: max(0, end - cursors.get(p, -1) - 1) for p, end in probe.ends().items()}
        behind = {p: cursors.get(p, -1) + 1 for p, lag in lags.items() if lag}
        written_ms = probe.written_ms(behind)
        now_ms = epoch_ms(self._clock.now())
        for partition, lag in lags.items():
            labels = (topic, str(partition))
            metrics.lag_posts.labels(*labels).set(lag)
            if not lag:
                metrics.lag_seconds.labels(*labels).set(0)
            elif partition in written_ms:
                age_s = (now_ms - written_ms[partition]) / 1000
                metrics.lag_seconds.labels(*labels).set(max(0.0, age_s))

    async def close(self) -> None:
        """Release the connections."""
        probes, self._probes = list(self._probes.values()), {}
        for probe in probes:
            await asyncio.to_thread(probe.close)


class StateExporter:
    """Sets the gauges of the machinery from one look at store and broker.

    Args:
        metrics: The metrics of this process.
        lag: Measures the lag.
        beats: Finds the last heartbeats.
    """

    def __init__(self, metrics: Metrics, lag: LagProbe, beats: HeartbeatWatch) -> None:
        self._metrics = metrics
        self._lag = lag
        self._beats = beats
        self._commands = 0

    async def look(self, store: RedisStore) -> None:
        """Look once.

        Raises:
            StoreUnavailable: Redis does not answer; what was set before stays, `store_up` is 0.
        """
        try:
            self._export_health(await store.health())
            partitions = await store.partitions()
            for horizon, entries in (await store.horizon_entries(partitions)).items():
                self._metrics.store_entries.labels(horizon=horizon).set(entries)
            states, unreadable = await store.readable_states(partitions)
            self._export_quarantine(await store.quarantine(partitions), len(unreadable))
            await self._beats.look(store, partitions)
        except StoreUnavailable:
            self._metrics.store_up.set(0)
            raise
        for partition, state in states.items():
            for topic in _ACCOUNTED:
                gauge = self._metrics.integrity_gap_posts.labels(topic, str(partition))
                gauge.set(integrity_gap(topic, state))
        # Last, as it is the broker's: the rest does not wait for one that is away.
        await self._lag.look(states)

    def _export_quarantine(self, entries: Sequence[SetAside], unreadable: int) -> None:
        counts = Counter(entry.kind for entry in entries)
        for kind in KINDS:
            self._metrics.quarantined.labels(kind=kind).set(counts[kind])
        self._metrics.quarantined.labels(kind="partition").set(unreadable)

    def _export_health(self, health: StoreHealth) -> None:
        metrics = self._metrics
        metrics.store_up.set(1)
        metrics.store_memory_bytes.set(health.memory_bytes)
        metrics.store_memory_limit_bytes.set(health.memory_limit_bytes)
        metrics.store_clients.set(health.clients)
        metrics.store_keys.set(health.keys)
        metrics.store_evicted_keys.set(health.evicted_keys)
        metrics.store_log_ok.set(health.log_ok)
        # Redis counts from zero when it is started again.
        grown = health.commands - self._commands
        metrics.store_commands.inc(grown if grown >= 0 else health.commands)
        self._commands = health.commands
