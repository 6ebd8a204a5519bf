"""Closing, apart from Kafka: which panes close, what is published of them, in a safe order.

Everything that must survive is in the store, so a closer may be killed between any two lines:
first panes become dirty, then a revision is decided and remembered, then sent, then remembered as
sent, then the pane is clean. Whoever takes over finds how far it came and goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core import reasons
from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Progress, Window
from core.settings import WindowSettings
from services.closer.withheld import Contents, StoreReader
from stream.heartbeat import activity
from stream.store.closer_state import Marks
from stream.store.increments import PartitionState
from stream.store.redis_store import RedisStore
from stream.topics import POSTS, PROGRESS
from stream.windows.closer import Publication, closable_through, publications
from stream.windows.records import Published
from stream.windows.summary import to_window
from stream.windows.watermark import GlobalWatermark

_log = get_logger(__name__)

MAX_PANES: Final = 64
MAX_WINDOWS: Final = 2_048
"""Published in one go at most, so that `progress` is read in between."""


class Publisher(Protocol):
    """Where windows go."""

    async def publish(self, windows: Sequence[Window]) -> None:
        """Return once every window is acknowledged.

        Raises:
            BrokerUnavailable: some are not; any of them may have been written.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class Judges(Protocol):
    """What happens to windows between being published and being remembered as sent."""

    async def take_over(self, epoch: int) -> range:
        """Begin from what is stored; return the starts of panes to consider again."""
        ...

    def note(self, partition: int, cursor: int, model_version: str = "") -> None:
        """Take note of how far a partition has come, and what scored its last batch if known."""
        ...

    async def look(self, partitions: Sequence[int]) -> None:
        """Look around, every few seconds."""
        ...

    async def consider(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> bool:
        """Judge windows; every pane before `upto_s` is closed. False: another closer is active.

        Of the panes that start at `withheld` windows are missing: they say nothing of a change.
        """
        ...

    async def publish(self) -> None:
        """Publish what was decided and is not published yet."""
        ...


class Superseded(Exception):
    """Another closer has begun since this one did; it publishes what this one did not."""


@dataclass(frozen=True, slots=True)
class _Due:
    """One window to publish, with its place."""

    start_s: int
    publication: Publication


class Closer:
    """Closes and publishes; driven by `observe`, `resync` and `step`. One event loop.

    Args:
        windows: event-time settings.
        store: state of the partitions.
        publisher: where windows go.
        clock: decides idleness and `closed_at`.
        metrics: counters of this process.
        judges: judge what is published; None judges nothing.
        partitions: how many there are; at the beginning those not heard of are waited for.
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
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._epoch = -1
        self._partitions: set[int] = set()
        self._cursors: dict[int, int] = {}
        self._heard: dict[int, Progress] = {}
        self._reader = StoreReader(store)
        self._expected = partitions
        self._watermark = GlobalWatermark(windows.idle_after_s, expected=partitions)
        self._closed_s = -1
        self._panes_at_once = MAX_PANES

    async def take_over(self) -> None:
        """Become the active closer: every earlier one is refused, and the store says where we are.

        Raises:
            StoreUnavailable: try again.
        """
        self._epoch = await self._store.begin_closing()
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
            await self._judge_again(await self._judges.take_over(self._epoch))
            await self._judges.look(sorted(self._partitions))
        _log.info("closing", epoch=self._epoch, partitions=len(states), closed_through_s=closed_s)

    def observe(self, progress: Progress) -> None:
        """Take note that a partition has moved; how far, the next step asks the store."""
        self._heard[progress.partition] = progress

    def excuse(self, delay_s: float) -> None:
        """Do not count `delay_s` as silence of the partitions: it was we who could not hear."""
        self._watermark.excuse(delay_s)

    async def resync(self) -> None:
        """Ask the store for every partition: news that were lost, partitions that are new.

        Raises:
            StoreUnavailable: try again.
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
            StoreUnavailable, BrokerUnavailable: try again; nothing is lost and nothing doubled.
            Superseded: another closer is active.
        """
        await self._ask_of_heard()
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
        starts, later = listed[: self._panes_at_once], listed[self._panes_at_once :]
        # Every window of an earlier pane is published now, or was before.
        upto_s = later[0] if later else self._closed_s
        if starts:
            await self._publish(partitions, {start_s: due[start_s] for start_s in starts}, upto_s)
        elif self._closed_s >= 0:
            await self._judge([], upto_s)
        if self._judges is not None:
            await self._judges.publish()
        return len(later) > 0

    async def _publish(self, partitions: Sequence[int], marks: Marks, upto_s: int) -> None:
        """Publish what is due of these dirty panes; those that did not change since are clean."""
        found = await self._reader.contents(partitions, sorted(marks))
        due = await self._decide(partitions, found)
        windows = self._windows(due)
        if due:
            await self._remember(due, acknowledged=False)
            await self._publisher.publish(windows)
        if due or found.withheld:
            # Before it is remembered: whoever takes over from here publishes and judges it again.
            await self._judge(windows, upto_s, found.withheld)
        if due:
            await self._remember(due, acknowledged=True)
            closed = sum(d.publication.revision == 0 for d in due)
            self._metrics.windows_closed.inc(closed)
            self._metrics.windows_corrected.inc(len(due) - closed)
        # Of what is withheld nothing is due until a repair makes it dirty again.
        await self._store.clean({s: m for s, m in marks.items() if s not in found.unsettled})

    def _windows(self, due: Iterable[_Due]) -> list[Window]:
        closed_at = self._clock.now()
        return [
            to_window(
                d.publication.query,
                d.start_s,
                self._settings.pane_s,
                d.publication.revision,
                d.publication.content,
                closed_at,
            )
            for d in due
        ]

    async def _judge(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> None:
        if self._judges is not None and not await self._judges.consider(windows, upto_s, withheld):
            raise Superseded

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
                self._note({partition: state}, progress.model_version)
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

    async def _judge_again(self, starts: range) -> None:
        """Judge panes that a predecessor judged after it last saved all it knew of them."""
        if not starts:
            return
        found = await self._reader.contents(sorted(self._partitions), starts)
        due = [
            _Due(start_s, Publication(query, known.revision, known.digest, pane[query]))
            for start_s, pane in found.panes.items()
            for query, known in found.published[start_s].items()
            if query in pane
        ]
        await self._judge(self._windows(due), starts.stop, found.withheld)

    async def _decide(self, partitions: Sequence[int], found: Contents) -> list[_Due]:
        most = max((len(pane) for pane in found.panes.values()), default=0)
        self._panes_at_once = max(1, min(MAX_PANES, MAX_WINDOWS // max(1, most)))
        # Asked after the panes were read: what was forgotten later was still whole.
        states = await self._reader.states(partitions)
        forgotten_s = max((state.forgotten_s for state in states.values()), default=-1)
        due: list[_Due] = []
        for start_s, pane in found.panes.items():
            if start_s <= forgotten_s:
                # Some partition no longer has its share: a sum of the rest would be a lie.
                self._metrics.windows_expired.inc()
                _log.warning("changed pane is beyond retention", start_s=start_s)
                continue
            wanted = publications(pane, found.published[start_s])
            due.extend(_Due(start_s, publication) for publication in wanted)
        return due

    async def _remember(self, due: Iterable[_Due], *, acknowledged: bool) -> None:
        by_start: dict[int, dict[str, Published]] = {}
        for one in due:
            publication = one.publication
            by_start.setdefault(one.start_s, {})[publication.query] = Published(
                publication.revision, publication.digest, acknowledged
            )
        if not await self._store.set_revisions(self._epoch, by_start):
            raise Superseded

    def _note(self, states: Mapping[int, PartitionState], model_version: str = "") -> None:
        now_s = self._clock.monotonic()
        for partition, state in states.items():
            self._cursors[partition] = max(state.cursors[POSTS], self._cursors.get(partition, -1))
            self._watermark.observe(partition, state.watermark_ms, activity(state), now_s)
            if self._judges is not None:
                self._judges.note(partition, state.cursors[POSTS], model_version)
