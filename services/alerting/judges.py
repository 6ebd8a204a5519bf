"""What the closer drives: judging, publishing, and what they must know of the surroundings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

from core.clock import Clock
from core.metrics import Metrics
from core.schemas import Alert, Window
from core.settings import Settings
from services.alerting.context import PaneConditions
from services.alerting.evidence import TextEvidence
from services.alerting.judging import Judging
from services.alerting.rules import LiveRules
from services.alerting.state import Judge
from services.alerting.topic import AlertPublisher, KafkaTopic, Topic
from services.heartbeat_watch import HeartbeatWatch
from stream.shifts.judge import ShiftJudge
from stream.shifts.signals import ShiftSignal
from stream.store.redis_store import RedisStore


class AlertJudges:
    """Satisfies `services.closer.closing.Judges`.

    Args:
        settings: of the closer.
        store: where everything is kept.
        clock: present time.
        metrics: of the closer.
        topic: where alerts are published; Kafka if None.
        make_judge: makes a judge without any state; the real one if None.
        describe: makes alerts of signals; with what the texts in Kafka say if None.
        rules: what is asked of the alerts of single queries; nothing if None.
    """

    def __init__(
        self,
        settings: Settings,
        store: RedisStore,
        clock: Clock,
        metrics: Metrics,
        topic: Topic | None = None,
        make_judge: Callable[[], Judge] | None = None,
        describe: Callable[[ShiftSignal], Awaitable[Alert]] | None = None,
        rules: LiveRules | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._beats = HeartbeatWatch(metrics, clock, settings.heartbeat.every_s)
        self._conditions = PaneConditions(settings)
        pane_s = settings.windows.pane_s
        make_judge = make_judge or partial(ShiftJudge, settings.shifts, pane_s)
        self._judging = Judging(
            make_judge,
            describe or TextEvidence(settings.kafka).describe,
            store.alerts,
            self._conditions,
            pane_s,
            clock,
            metrics,
        )
        self._rules = rules
        topic = topic or KafkaTopic(settings.kafka)
        self._publisher = AlertPublisher(store.alerts, topic, metrics)

    async def take_over(self, epoch: int) -> range:
        """See `Judging.take_over`."""
        self._check_rules()
        self._publisher.take_over()
        return await self._judging.take_over(epoch)

    def note(self, partition: int, cursor: int, model_version: str = "") -> None:
        """See `PaneConditions.note`."""
        self._conditions.note(partition, cursor, model_version, self._clock.monotonic())

    async def look(self, partitions: Sequence[int]) -> None:
        """Look for heartbeats, and whether the rules of queries changed.

        Raises:
            StoreUnavailable: try again.
        """
        self._check_rules()
        await self._beats.look(self._store, partitions)
        self._conditions.note_heartbeats(self._beats.ages_s(), self._clock.monotonic())

    def _check_rules(self) -> None:
        if self._rules is not None and self._rules.check():
            self._judging.follow(self._rules.by_query)

    async def consider(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> bool:
        """See `Judging.consider`."""
        return await self._judging.consider(windows, upto_s, withheld)

    async def publish(self) -> None:
        """Publish what was decided, if anything may wait.

        Raises:
            StoreUnavailable, BrokerUnavailable: try again; nothing is published twice.
        """
        if self._judging.has_decided:
            await self._publisher.publish()
            self._judging.has_decided = False

    async def close(self) -> None:
        """Release connections."""
        await self._publisher.close()
