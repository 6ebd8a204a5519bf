"""Everything between fetch and apply for one topic of one partition.

::

    offer ──▶ intake ──▶ form a batch ──▶ prepare ──▶ score ──┐ (several at once)
                            ▲                                 ▼
                   pause / resume the partition      letters, scored posts, apply   (in order)

A `PartitionFlow` believes in one thing only: the cursor that the store holds. When an apply is
refused, or the records do not continue where they should, it throws away what it holds and seeks to
the stored cursor. It knows neither Faust nor Redis; both are passed in.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from core.clock import Clock, epoch_ms
from core.errors import BrokerUnavailable, CursorConflict, StoreUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from stream.batching import BatchLimits
from stream.intake import RawRecord
from stream.pipeline import Outcome
from stream.scoring import pause_s
from stream.store.increments import Applied, ApplyBatch, PartitionState
from stream.windows.watermark import PartitionWatermark

_log = get_logger(__name__)

T = TypeVar("T")

MAX_INTAKE_BATCHES: Final = 16
"""A partition is paused when so many full batches wait, and resumed at half of it."""

RESEEK_AFTER_S: Final = 2.0
"""Runs fetched before a seek may arrive for so long after it; later ones mean the seek was lost."""


class Store(Protocol):
    """What a flow needs of the store; `stream.store.redis_store.RedisStore` is the real one."""

    async def partition_state(self, partition: int) -> PartitionState:
        """Return cursors, watermark and totals of a partition."""
        ...

    async def seen(
        self, partition: int, lookups: Sequence[tuple[str, int, Sequence[int]]]
    ) -> list[bool]:
        """Tell which ids the partition has counted."""
        ...

    async def apply(self, partition: int, batch: ApplyBatch) -> Applied:
        """Apply a batch, all of it or nothing."""
        ...


class Outlets(Protocol):
    """Where results go; `stream.app` has the real ones. Every call returns once acknowledged."""

    async def send_scored(self, topic: str, partition: int, outcome: Outcome) -> None:
        """Produce the scored posts of a batch."""
        ...

    async def send_dead(self, topic: str, partition: int, outcome: Outcome) -> None:
        """Produce the dead letters of a batch."""
        ...

    async def send_progress(self, partition: int, state: PartitionState) -> None:
        """Tell the closer how far the partition has come; may be lost without harm."""
        ...


@dataclass(slots=True)
class Prepared:
    """A batch whose scores are on their way.

    Attributes:
        first, last: offsets of its records.
        watermark_ms: of the partition after it; -1 if there is none.
        finish: awaits the scores and returns what the batch does.
        release: forgets what was pending because of it.
    """

    first: int
    last: int
    watermark_ms: int
    finish: Callable[[ApplyBatch], Awaitable[Outcome]]
    release: Callable[[], None]


class Stage(Protocol):
    """Turns records into a `Prepared` batch; one for `posts`, one for `post-events`."""

    def reset(self) -> None:
        """Forget what is in flight: the flow starts again from the cursor."""
        ...

    async def prepare(
        self, partition: int, records: Sequence[RawRecord], watermark: PartitionWatermark
    ) -> Prepared:
        """Decode, look up, match; called in order, one batch at a time."""
        ...


@dataclass(frozen=True, slots=True)
class FlowParts:
    """What the flows of a worker share."""

    store: Store
    outlets: Outlets
    clock: Clock
    metrics: Metrics
    limits: BatchLimits
    max_in_flight_batches: int
    allowed_lateness_s: int
    chance: random.Random


@dataclass(frozen=True, slots=True)
class Steering:
    """How a flow moves its partition; given by the transport."""

    seek: Callable[[int], Awaitable[None]]
    pause: Callable[[], None]
    resume: Callable[[], None]
    earliest: Callable[[], Awaitable[int]]


class PartitionFlow:
    """One topic of one partition, from assignment to revocation.

    `start` it, `offer` it runs of records, `stop` it. Not thread-safe: one event loop.
    """

    def __init__(
        self, topic: str, partition: int, parts: FlowParts, stage: Stage, steering: Steering
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._parts = parts
        self._stage = stage
        self._steering = steering
        self._intake: deque[RawRecord] = deque()
        self._intake_bytes = 0
        self._wake = asyncio.Event()
        self._oldest_at = 0.0
        self._paused = False
        self._next: int | None = None
        self._cursor = -1
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._ordered: asyncio.Queue[tuple[Prepared, asyncio.Task[Outcome]]] = asyncio.Queue()
        self._slots = asyncio.Semaphore(parts.max_in_flight_batches)
        self._watermark = PartitionWatermark(parts.allowed_lateness_s * 1000)
        self._sought_at = float("-inf")
        self._runner: asyncio.Task[None] | None = None
        self._draining = False

    # -- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin; the cursor is read and sought to in the background, however long Redis is away."""
        self._runner = asyncio.create_task(self._run(), name=f"flow {self.topic}/{self.partition}")

    async def stop(self) -> None:
        """Throw away what is held and end; an apply that is under way is harmless."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None

    async def drain(self) -> None:
        """Take no more and wait until the batches in flight have been applied."""
        self._draining = True
        idle = asyncio.create_task(self._idle.wait())
        ended = {idle} if self._runner is None else {idle, self._runner}
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()

    @property
    def cursor(self) -> int | None:
        """Last applied offset, -1 before the first; None until the store has told it."""
        return None if self._next is None else self._cursor

    @property
    def failure(self) -> BaseException | None:
        """Why the flow ended by itself, if it did; the worker must not go on without it."""
        if self._runner is None or not self._runner.done() or self._runner.cancelled():
            return None
        return self._runner.exception()

    async def _run(self) -> None:
        cause = "assigned"
        while True:
            try:
                await self._begin_at_cursor(cause)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._form(group))
                    group.create_task(self._apply_in_order())
            except* CursorConflict as conflicts:
                conflict = conflicts.exceptions[0]
                self._parts.metrics.posts_refused.labels(partition=str(self.partition)).inc()
                _log.warning("apply refused, going back to the cursor", detail=str(conflict))
                cause = "refused"

    async def _begin_at_cursor(self, cause: str) -> None:
        """Forget everything held, read the cursor and seek to it."""
        self._forget()
        state = await self._patiently(lambda: self._parts.store.partition_state(self.partition))
        self._cursor = state.cursors[self.topic]
        self._watermark = PartitionWatermark(
            self._parts.allowed_lateness_s * 1000, state.watermark_ms
        )
        self._export(state)
        await self._seek(self._cursor + 1, cause)

    def _forget(self) -> None:
        while not self._ordered.empty():
            prepared, task = self._ordered.get_nowait()
            task.cancel()
            prepared.release()
        self._stage.reset()
        self._intake.clear()
        self._intake_bytes = 0
        self._in_flight = 0
        self._idle.set()
        self._slots = asyncio.Semaphore(self._parts.max_in_flight_batches)
        self._next = None
        self._wake.clear()
        if self._paused:
            self._paused = False
            self._steering.resume()

    async def _seek(self, offset: int, cause: str) -> None:
        self._next = offset
        self._sought_at = self._parts.clock.monotonic()
        self._parts.metrics.seeks.labels(cause=cause).inc()
        await self._steering.seek(offset)

    # -- intake -------------------------------------------------------------------------------

    async def offer(self, run: Sequence[RawRecord]) -> None:
        """Take a run of consecutive records.

        Records before the expected offset were applied already and are passed over. Records after
        it are left over from before a seek, or the topic no longer holds what is missing.
        """
        if not run or self._next is None or self._draining:
            return
        if run[0].offset > self._next and not await self._explain_gap(run[0].offset):
            return
        expected = self._next
        fresh = [record for record in run if record.offset >= expected]
        if not fresh:
            return
        self._parts.metrics.records_fetched.labels(
            topic=self.topic, partition=str(self.partition)
        ).inc(len(fresh))
        if not self._intake:
            self._oldest_at = self._parts.clock.monotonic()
        self._intake.extend(fresh)
        self._intake_bytes += sum(len(record.value or b"") for record in fresh)
        self._next = fresh[-1].offset + 1
        self._pause_if_full()
        self._wake.set()

    async def _explain_gap(self, first: int) -> bool:
        """Tell whether records that start too late may be taken; seek if they are stale."""
        expected = self._next
        if expected is None:
            return False
        now = self._parts.clock.monotonic()
        earliest = await self._steering.earliest()
        if self._next != expected:
            return False  # sought meanwhile
        if earliest > expected:
            missing = earliest - expected
            self._parts.metrics.offset_gap_posts.labels(partition=str(self.partition)).inc(missing)
            _log.error(
                "the topic no longer holds records that were never applied",
                topic=self.topic,
                partition=self.partition,
                first_missing=expected,
                missing=missing,
            )
            self._next = earliest
            if first <= earliest:
                return True
        # Runs fetched before a seek may still arrive: one seek is enough for all of them.
        if now - self._sought_at > RESEEK_AFTER_S or earliest > expected:
            await self._seek(max(expected, earliest), "gap")
        return False

    def _pause_if_full(self) -> None:
        limits = self._parts.limits
        full = (
            len(self._intake) >= MAX_INTAKE_BATCHES * limits.max_posts
            or self._intake_bytes >= MAX_INTAKE_BATCHES * limits.max_bytes
        )
        if full and not self._paused:
            self._paused = True
            self._steering.pause()

    def _resume_if_low(self) -> None:
        limits = self._parts.limits
        low = (
            len(self._intake) <= MAX_INTAKE_BATCHES // 2 * limits.max_posts
            and self._intake_bytes <= MAX_INTAKE_BATCHES // 2 * limits.max_bytes
        )
        if low and self._paused:
            self._paused = False
            self._steering.resume()

    # -- batches ------------------------------------------------------------------------------

    async def _form(self, group: asyncio.TaskGroup) -> None:
        """Cut batches from the intake, prepare them in order, send them to scoring."""
        while True:
            await self._slots.acquire()
            records = await self._next_batch()
            self._in_flight += 1
            self._idle.clear()
            prepared = await self._patiently(
                lambda records=records: self._stage.prepare(
                    self.partition, records, self._watermark
                )
            )
            apply = ApplyBatch(self.topic, prepared.first - 1, prepared.last, prepared.watermark_ms)
            task = group.create_task(_as_coroutine(prepared.finish(apply)))
            self._ordered.put_nowait((prepared, task))

    async def _next_batch(self) -> list[RawRecord]:
        while True:
            if self._intake and not self._draining:
                age_s = self._parts.clock.monotonic() - self._oldest_at
                wait_s = self._parts.limits.wait_s(
                    len(self._intake), self._intake_bytes, age_s, self._in_flight
                )
                if wait_s <= 0:
                    return self._cut()
                timeout: float | None = wait_s
            else:
                timeout = None
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _cut(self) -> list[RawRecord]:
        limits = self._parts.limits
        sizes = [
            len(self._intake[i].value or b"")
            for i in range(min(len(self._intake), limits.max_posts))
        ]
        count = limits.take(sizes)
        records = [self._intake.popleft() for _ in range(count)]
        self._intake_bytes -= sum(sizes[:count])
        self._oldest_at = self._parts.clock.monotonic()
        self._resume_if_low()
        return records

    async def _apply_in_order(self) -> None:
        while True:
            prepared, task = await self._ordered.get()
            outcome = await task
            await self._carry_out(outcome)
            prepared.release()
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            self._slots.release()
            self._wake.set()

    async def _carry_out(self, outcome: Outcome) -> None:
        """Do what a batch does: letters and scored posts first, then the apply, then progress."""
        parts, partition = self._parts, self.partition
        apply = outcome.apply
        apply.expected = self._cursor
        if outcome.dead:
            await self._patiently(lambda: parts.outlets.send_dead(self.topic, partition, outcome))
        if outcome.scored:
            await self._patiently(lambda: parts.outlets.send_scored(self.topic, partition, outcome))
        applied = await self._patiently(lambda: parts.store.apply(partition, apply))
        self._cursor = apply.new
        self._observe(outcome, applied)
        state = PartitionState({self.topic: self._cursor}, apply.watermark_ms, -1, {})
        try:
            await parts.outlets.send_progress(partition, state)
        except BrokerUnavailable as error:
            _log.warning("progress not sent; the next will do", error=str(error))

    def _observe(self, outcome: Outcome, applied: Applied) -> None:
        metrics, label = self._parts.metrics, str(self.partition)
        now_ms = epoch_ms(self._parts.clock.now())
        metrics.cursor.labels(topic=self.topic, partition=label).set(self._cursor)
        if outcome.apply.watermark_ms >= 0:
            metrics.watermark_seconds.labels(partition=label).set(outcome.apply.watermark_ms / 1000)
        if outcome.counted:
            metrics.posts_applied.labels(partition=label).inc(outcome.counted)
        if outcome.scored:
            metrics.scored_posts_out.inc(len(outcome.scored))
        metrics.posts_unrated.inc(outcome.unrated)
        for letter in outcome.dead:
            metrics.dead_posts.labels(reason=letter.reason, stage="worker").inc()
        for repair, count in outcome.repairs.items():
            metrics.posts_repaired.labels(repair=repair).inc(count)
        for kind, count in outcome.kinds.items():
            metrics.events_applied.labels(kind=kind).inc(count)
        for ingested_ms in outcome.ingested_ms:
            metrics.count_latency_seconds.observe(max(0.0, (now_ms - ingested_ms) / 1000))
        if applied.removed:
            for ingested_ms in outcome.deleted_ms:
                metrics.removal_latency_seconds.observe(max(0.0, (now_ms - ingested_ms) / 1000))

    def _export(self, state: PartitionState) -> None:
        label = str(self.partition)
        self._parts.metrics.cursor.labels(topic=self.topic, partition=label).set(self._cursor)
        if state.watermark_ms >= 0:
            self._parts.metrics.watermark_seconds.labels(partition=label).set(
                state.watermark_ms / 1000
            )

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until store and broker are back; nothing is skipped and nothing acknowledged."""
        tries = 0
        while True:
            try:
                return await attempt()
            except (StoreUnavailable, BrokerUnavailable) as error:
                self._parts.metrics.store_retries.inc()
                if tries in (0, 10) or tries % 60 == 0:
                    _log.warning(
                        "waiting",
                        topic=self.topic,
                        partition=self.partition,
                        error=str(error),
                        tries=tries + 1,
                    )
                await self._parts.clock.sleep(pause_s(tries, self._parts.chance))
                tries += 1


async def _as_coroutine(awaitable: Awaitable[Outcome]) -> Outcome:
    return await awaitable
