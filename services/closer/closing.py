"""Closing, apart from Kafka: which panes close, and in which order what is due of them goes out.

Everything that must survive is in the store, so a closer may be killed between any two lines:
first panes become dirty, then they are published (`services.closer.publishing`).
"""

from __future__ import annotations

from core import reasons
from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Progress
from core.settings import WindowSettings
from services.closer.publishing import Judges, Publisher, WindowPublishing
from services.closer.scoring_model import ModelWatch
from services.closer.withheld import StoreReader
from stream.heartbeat import activity
from stream.store.increments import PartitionState
from stream.store.redis_store import RedisStore
from stream.topics import POSTS, PROGRESS
from stream.windows.closer import closable_through
from stream.windows.watermark import GlobalWatermark

_log = get_logger(__name__)


class Closer:
    """Closes and publishes; driven by `observe`, `resync` and `step`. One event loop.

    Args:
        windows: The settings of event time.
        store: The state of the partitions.
        publisher: Where windows go.
        clock: Decides idleness and `closed_at`.
        metrics: The metrics of this process.
        judges: Judge what is published; None judges nothing.
        partitions: How many there are; at the beginning those not heard of are waited for.
    """

    def __init__(
        self,
        windows: WindowSettings,
        store: RedisStore,
        publisher: Publisher,
        clock: Clock,
        metrics: Metrics,
        judges: Judges | None = None,
        partitions: int = 0,
    ) -> None:
        self._settings = windows
        self._judges = judges
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._partitions: set[int] = set()
        self._cursors: dict[int, int] = {}
        self._heard: dict[int, Progress] = {}
        self._reader = StoreReader(store)
        self._expected = partitions
        self._watermark = GlobalWatermark(windows.idle_after_s, expected=partitions)
        self._closed_s = -1
        self._models = ModelWatch(windows, store)
        self._publishing = WindowPublishing(
            windows.pane_s, store, self._reader, publisher, clock, metrics, judges
        )

    async def take_over(self) -> None:
        """Become the active closer: every earlier one is refused, and the store says where we are.

        Raises:
            StoreUnavailable: Try again.
        """
        epoch = await self._store.begin_closing()
        self._publishing.epoch = epoch
        await self._models.take_over(epoch)
        states = await self._reader.states(await self._store.partitions())
        closed_s = max((state.closed_s for state in states.values()), default=-1)
        self._watermark = GlobalWatermark(
            self._settings.idle_after_s, max(-1, closed_s * 1000), self._expected
        )
        self._partitions = set(states) | self._reader.unreadable
        self._cursors = {}
        self._closed_s = closed_s
        self._note(states)
        if closed_s >= 0:  # a predecessor may have died between two partitions
            await self._store.close_through(sorted(self._partitions), closed_s)
        if self._judges is not None:
            again = await self._judges.take_over(epoch)
            await self._publishing.judge_again(sorted(self._partitions), again)
            await self._judges.look(sorted(self._partitions))
        _log.info("closing", epoch=epoch, partitions=len(states), closed_through_s=closed_s)

    def observe(self, progress: Progress) -> None:
        """Take note that a partition has moved; how far, the next step asks the store."""
        self._heard[progress.partition] = progress

    def excuse(self, delay_s: float) -> None:
        """Do not count `delay_s` as silence of the partitions: it was we who could not hear."""
        self._watermark.excuse(delay_s)

    async def resync(self) -> None:
        """Ask the store for every partition: news that were lost, partitions that are new.

        Raises:
            StoreUnavailable: Try again.
        """
        states = await self._reader.states(await self._store.partitions())
        went_back = any(s.cursors[POSTS] < self._cursors.get(p, -1) for p, s in states.items())
        if went_back or self._partitions - set(states) - self._reader.unreadable:
            _log.warning("the store went back in time, starting again from what it holds")
            await self.take_over()
            return
        self._partitions |= set(states)
        self._note(states)
        if self._closed_s >= 0:
            await self._store.close_through(sorted(self._partitions), self._closed_s)
        forgotten_s = max((state.forgotten_s for state in states.values()), default=-1)
        await self._store.forget_revisions(forgotten_s + 1)
        if self._judges is not None:
            await self._judges.look(sorted(self._partitions))

    async def step(self) -> bool:
        """Close what the watermark allows and publish some of what is due.

        Returns:
            True if more is due: call again soon.

        Raises:
            StoreUnavailable, BrokerUnavailable: Try again; nothing is lost and nothing doubled.
            Superseded: Another closer is active.
        """
        await self._ask_of_heard()
        await self._models.save(self._publishing.epoch)
        now_s = self._clock.monotonic()
        watermark_ms = self._watermark.value_ms(now_s)
        self._metrics.idle_partitions.set(len(self._watermark.idle(now_s)))
        if watermark_ms >= 0:
            self._metrics.global_watermark_seconds.set(watermark_ms / 1000)
        partitions = sorted(self._partitions)
        through_s = closable_through(watermark_ms, self._settings.pane_s)
        if through_s > self._closed_s:
            # From here on a change makes a pane dirty; only then is it read.
            await self._store.close_through(partitions, through_s)
            self._closed_s = through_s
        due = await self._store.dirty(partitions)
        listed = sorted(due)
        at_once = self._publishing.panes_at_once
        starts, later = listed[:at_once], listed[at_once:]
        # Every window of an earlier pane is published now, or was before.
        upto_s = later[0] if later else self._closed_s
        if starts:
            marks = {start_s: due[start_s] for start_s in starts}
            await self._publishing.publish(partitions, marks, upto_s)
        elif self._closed_s >= 0:
            await self._publishing.judge([], upto_s)
        if self._judges is not None:
            await self._judges.publish()
        return len(later) > 0

    async def _ask_of_heard(self) -> None:
        """Ask the store how far the partitions have come that told of progress.

        Progress is a hint: whoever can write to the topic could close every pane by it. It follows
        an apply, so what is ahead of the store, or of no partition, was not told by a worker.
        """
        heard, self._heard = self._heard, {}
        states = await self._reader.states(heard)
        for partition, progress in heard.items():
            state = states.get(partition)
            if state is not None and state.cursors[POSTS] >= progress.cursor and state.exists:
                self._partitions.add(partition)
                self._note({partition: state}, progress)
            elif partition not in self._reader.unreadable:
                self._metrics.records_refused.labels(
                    topic=PROGRESS, reason=reasons.OUT_OF_RANGE
                ).inc()
                _log.warning(
                    "progress is ahead of the store and left out",
                    partition=partition,
                    cursor=progress.cursor,
                    stored=None if state is None else state.cursors[POSTS],
                )

    def _note(self, states: dict[int, PartitionState], progress: Progress | None = None) -> None:
        now_s = self._clock.monotonic()
        for partition, state in states.items():
            self._cursors[partition] = max(state.cursors[POSTS], self._cursors.get(partition, -1))
            self._watermark.observe(partition, state.watermark_ms, activity(state), now_s)
            self._models.note(partition, state, progress)
            if self._judges is not None:
                version = "" if progress is None else progress.model_version
                self._judges.note(partition, state.cursors[POSTS], version)
