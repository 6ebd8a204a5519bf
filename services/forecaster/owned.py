"""The partitions of a process: begun, fed, held, moved on by time, dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from core.clock import epoch_ms
from core.errors import CursorConflict, StateUnreadable
from core.logs import get_logger
from services.forecaster.intake import Intake
from services.forecaster.merging import Lag
from services.forecaster.partitions import ForecastParts, PartitionForecaster
from services.forecaster.reading import TOPICS, ForecastReader, PolledRecords
from services.kafka_client.messages import Record
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS, SCORED_POSTS

_log = get_logger(__name__)

_BATCHES_READ_AHEAD = 4


class _Owned:
    """A partition at work.

    Attributes:
        partition: What is done with its records.
        intake: How they are read.
        task: Its work.
        held: The topics that are not read for now.
        events_before: Where `post-events` had been read to at the last look.
    """

    def __init__(self, partition: PartitionForecaster, parts: ForecastParts) -> None:
        self.partition = partition
        self.intake = Intake(partition.number, partition.seen, parts.clock, parts.metrics)
        self.task = asyncio.create_task(partition.run())
        self.held: set[str] = set()
        self.events_before = -1

    def feed(
        self, fetched: PolledRecords, posts: Iterable[Record], events: Iterable[Record]
    ) -> None:
        """Give it records that were read."""
        merge = self.partition.merge
        # Events first: how far they had been read is asked after the posts.
        merge.add_events([self.intake.event(one) for one in events])
        end = fetched.events_ends.get(self.partition.number, 0)
        merge.add_posts([self.intake.post(one) for one in posts], end)
        self.partition.wake()


class OwnedPartitions:
    """The partitions that a process owns.

    Args:
        parts: What they share.
        reader: The membership.
        store: Where the workers' cursors are.
        lateness_s: So far behind the present is time that moves a partition by itself.
    """

    def __init__(
        self, parts: ForecastParts, reader: ForecastReader, store: RedisStore, lateness_s: float
    ) -> None:
        self._parts = parts
        self._reader = reader
        self._store = store
        self._lateness_s = lateness_s
        self._owned: dict[int, _Owned] = {}
        self._put_off_at_s: float | None = None

    @property
    def partitions(self) -> dict[int, PartitionForecaster]:
        """The partitions by number."""
        return {number: owned.partition for number, owned in self._owned.items()}

    def drop_lost(self, kept: frozenset[int]) -> None:
        """Stop the work on partitions that are not ours any more."""
        for number in self._owned.keys() - kept:
            self._owned.pop(number).task.cancel()

    async def drop_all(self) -> None:
        """Stop all work and wait for its end."""
        tasks = [owned.task for owned in self._owned.values()]
        self.drop_lost(frozenset())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def begin(self, number: int, divisor: int) -> None:
        """Read what is stored of a partition and begin to work on it.

        Raises:
            BrokerUnavailable: No answer.
            StoreUnavailable: No answer.
        """
        found = await self._parts.take_over(number, await self._reader.bounds(number))
        found.forecasts.divisor = divisor
        partition = PartitionForecaster(number, self._parts, found)
        await self._reader.start(number, found.upto.posts + 1, found.upto.events + 1)
        self._owned[number] = _Owned(partition, self._parts)
        _log.info(
            "partition taken over", partition=number, pending=found.forecasts.pending,
            authors=found.forecasts.authors,
        )  # fmt: skip

    def feed(self, fetched: PolledRecords) -> None:
        """Give every partition what was read of it."""
        read: dict[int, dict[str, list[Record]]] = {}
        for topic, records in fetched.records.items():
            for record in records:
                read.setdefault(record.partition, {}).setdefault(topic, []).append(record)
        for number, by_topic in read.items():
            if number in self._owned:
                self._owned[number].feed(
                    fetched, by_topic.get(SCORED_POSTS, ()), by_topic.get(POST_EVENTS, ())
                )

    async def hold(self) -> None:
        """Begin partitions anew whose work has ended, and hold the topics that are too far ahead.

        Raises:
            TransientError: Broker or store do not answer.
        """
        most = self._most_waiting()
        for number, owned in list(self._owned.items()):
            if owned.task.done():
                await self._begin_anew(number, owned)
                continue
            merge = owned.partition.merge
            waiting = {SCORED_POSTS: merge.posts, POST_EVENTS: merge.events}
            for topic in TOPICS:
                is_full = waiting[topic] >= most[topic]
                if is_full != (topic in owned.held):
                    owned.held ^= {topic}
                    await self._reader.hold(topic, number, is_held=is_full)

    def _most_waiting(self) -> dict[str, int]:
        """Return topic -> at so many records of a partition that wait it is not read for now.

        One while posts wait to be counted: what is read costs the broker and a processor that are
        needed there. Never none: what nothing waits of is read, so posts and events that wait for
        each other come, and the oldest that waits says how far behind reading is.
        """
        now_s, before_s = self._parts.clock.monotonic(), self._put_off_at_s
        if before_s is not None:
            self._parts.metrics.forecaster_read_less_seconds.inc(now_s - before_s)
        is_behind = self._parts.pacer.delay.now_s > 0
        self._put_off_at_s = now_s if is_behind else None
        if is_behind:
            return {SCORED_POSTS: 1, POST_EVENTS: 1}
        settings = self._parts.settings
        return {
            SCORED_POSTS: _BATCHES_READ_AHEAD * settings.batch_posts,
            POST_EVENTS: settings.max_waiting_events,
        }

    async def _begin_anew(self, number: int, owned: _Owned) -> None:
        # First: while broker or store is away it stays here, and is tried again.
        if isinstance(owned.task.exception(), (CursorConflict, StateUnreadable)):
            await self.begin(number, owned.partition.forecasts.divisor)
        try:
            owned.task.result()
        except CursorConflict as conflict:
            self._parts.metrics.forecaster_applies_refused.labels(str(number)).inc()
            _log.warning("what is stored is not what was expected; read anew", reason=str(conflict))
            if conflict.stored < conflict.expected:
                self._parts.metrics.forecaster_offset_gap_records.labels(
                    conflict.topic, str(number)
                ).inc(conflict.expected - conflict.stored)
                _log.error("the store went back; its forecasts are made again", partition=number)
        except StateUnreadable as fault:
            _log.error("what is stored was overwritten; read anew", reason=str(fault))

    async def let_time_pass(self) -> None:
        """Let events move the clock where all posts are scored and read, and time where nothing is.

        Raises:
            TransientError: Broker or store do not answer.
        """
        if not self._owned:
            return
        quiet = {n: one for n, one in self._owned.items() if not one.partition.merge.posts}
        # What had been read a look ago: its posts were produced before it, and are there by now.
        through = {number: one.events_before for number, one in quiet.items()}
        for one in self._owned.values():
            one.events_before = one.partition.merge.next_event - 1
        # Of all: how long posts wait to be counted says how much forecasts may take.
        posts = await self._reader.ends(POSTS, self._owned)
        states, _ = await self._store.readable_states(self._owned)
        counted = {number: state.cursors[POSTS] + 1 for number, state in states.items()}
        self._parts.pacer.delay.look(posts, counted, self._parts.clock.monotonic())
        if not quiet:
            return
        scored = await self._reader.ends(SCORED_POSTS, quiet)
        now_s = epoch_ms(self._parts.clock.now()) / 1000 - self._lateness_s
        for number, one in quiet.items():
            is_scored = number in counted and counted[number] >= posts[number]
            merge = one.partition.merge
            if is_scored and merge.next_post >= scored[number] and not merge.posts:
                one.partition.at_rest(through[number], now_s)

    def lags(self, now_s: float) -> dict[int, Lag]:
        """Return partition -> how old what was read of it is that is not taken."""
        return {number: one.partition.merge.lag(now_s) for number, one in self._owned.items()}

    def shed(self, divisor: int) -> None:
        """Track one author in so many times more, or all again."""
        for one in self._owned.values():
            one.partition.forecasts.divisor = divisor
