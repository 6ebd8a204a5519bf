"""Everything between fetch and apply for one topic of one partition.

::

    offer ──▶ waiting ──▶ prepare ──▶ score ──┐ (several at once)
                 ▲                            ▼
            pause / resume        letters, scored posts, apply   (in order)

A `PartitionFlow` believes in one thing only: the cursor that the store holds. When an apply is
refused, or the records do not continue where they should, it throws away what it holds and seeks to
the stored cursor. It knows neither Faust nor Redis; both are passed in (`stream.worker.ports`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from core.clock import epoch_ms
from core.errors import (
    BrokerUnavailable,
    CursorConflict,
    IncrementRefused,
    StateUnreadable,
    StoreUnavailable,
)
from core.logs import get_logger
from core.retry import pause_s
from stream.store.increments import Applied, ApplyBatch, PartitionState
from stream.windows.watermark import PartitionWatermark
from stream.worker.intake import RawRecord
from stream.worker.pipeline import Outcome
from stream.worker.ports import FlowParts, Prepared, Stage, Steering
from stream.worker.waiting import WaitingRecords

_log = get_logger(__name__)

T = TypeVar("T")

CANCEL_AGAIN_S: Final = 0.5


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
        self._waiting = WaitingRecords(
            topic, partition, parts.limits, steering, parts.clock, parts.metrics
        )
        self._cursor = -1
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._ordered: asyncio.Queue[tuple[Prepared, asyncio.Task[Outcome]]] = asyncio.Queue()
        self._slots = asyncio.Semaphore(parts.max_in_flight_batches)
        self._watermark = PartitionWatermark(parts.allowed_lateness_s * 1000)
        self._runner: asyncio.Task[None] | None = None
        self._draining = False
        self._stopping = False

    # -- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin; the cursor is read and sought to in the background, however long Redis is away."""
        self._runner = asyncio.create_task(self._run(), name=f"flow {self.topic}/{self.partition}")

    async def stop(self) -> None:
        """Throw away what is held and end; an apply that is under way is harmless."""
        self._stopping = True
        if self._runner is not None:
            # Again and again: a cancellation is lost when a child of the task group fails in the
            # same moment (its error goes first, and a refused apply is caught), and a rebalance
            # waits for us.
            while not self._runner.done():
                self._runner.cancel()
                await asyncio.wait([self._runner], timeout=CANCEL_AGAIN_S)
            self._runner = None

    async def look_after(self) -> None:
        """Called every few seconds: get a partition going again whose records do not come."""
        if not self._draining:
            await self._waiting.seek_if_stalled()

    async def drain(self) -> None:
        """Take no more and wait until the batches in flight have been applied."""
        self._draining = True
        idle = asyncio.create_task(self._idle.wait())
        ended = {idle} if self._runner is None else {idle, self._runner}
        try:
            await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()

    @property
    def cursor(self) -> int | None:
        """Last applied offset, -1 before the first; None until the store has told it."""
        return self._cursor if self._waiting.is_placed else None

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
        await self._waiting.seek(self._cursor + 1, cause)

    def _forget(self) -> None:
        while not self._ordered.empty():
            prepared, task = self._ordered.get_nowait()
            task.cancel()
            prepared.release()
        self._stage.reset()
        self._waiting.forget()
        self._in_flight = 0
        self._idle.set()
        self._slots = asyncio.Semaphore(self._parts.max_in_flight_batches)

    async def offer(self, run: Sequence[RawRecord]) -> None:
        """Take a run of consecutive records; while draining, none."""
        if not self._draining:
            await self._waiting.offer(run)

    # -- batches ------------------------------------------------------------------------------

    async def _form(self, group: asyncio.TaskGroup) -> None:
        """Cut batches from what waits, prepare them in order, send them to scoring."""
        while True:
            self._heed_cancellation()
            await self._slots.acquire()
            records = await self._next_batch()
            self._in_flight += 1
            self._idle.clear()
            prepared = await self._patiently(
                lambda records=records: self._stage.prepare(
                    self.partition, records, self._watermark, self._cursor
                )
            )
            apply = ApplyBatch(self.topic, prepared.first - 1, prepared.last, prepared.watermark_ms)
            task = group.create_task(_finish(prepared, apply))
            self._ordered.put_nowait((prepared, task))

    async def _next_batch(self) -> list[RawRecord]:
        while True:
            wait_s = None if self._draining else self._waiting.wait_s(self._in_flight)
            if wait_s is not None and wait_s <= 0:
                return self._waiting.cut()
            self._waiting.changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._waiting.changed.wait()
            except TimeoutError:
                continue

    async def _apply_in_order(self) -> None:
        while True:
            self._heed_cancellation()
            prepared, task = await self._ordered.get()
            outcome = await task
            await self._carry_out(outcome)
            prepared.release()
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            self._slots.release()
            self._waiting.changed.set()

    async def _carry_out(self, outcome: Outcome) -> None:
        """Do what a batch does: letters and scored posts first, then the apply, then progress."""
        parts, partition = self._parts, self.partition
        apply = outcome.apply
        apply.expected = self._cursor
        if outcome.dead:
            await self._patiently(lambda: parts.outlets.send_dead(self.topic, partition, outcome))
        if outcome.scored:
            await self._patiently(lambda: parts.outlets.send_scored(self.topic, partition, outcome))
        try:
            applied = await self._patiently(lambda: parts.store.apply(partition, apply))
        except IncrementRefused as error:
            parts.metrics.increments_refused.inc()
            _log.error("a batch of ours is wrong, nothing of it was counted", reason=str(error))
            raise
        self._cursor = apply.new
        self._observe(outcome, applied)
        if outcome.is_only_heartbeats:
            return  # to the closer a partition without posts is idle
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
        if applied.aside:
            metrics.state_set_aside.labels(partition=label).inc(len(applied.aside))
            _log.error(
                "stored values could not be read and were set aside",
                partition=self.partition,
                quarantined=applied.aside,
                repair=f"groundswell windows repair --partition {self.partition}",
            )
        metrics.quarantine_expired.inc(applied.expired)
        metrics.posts_unrated.inc(outcome.unrated)
        for letter in outcome.dead:
            metrics.dead_posts.labels(reason=letter.reason, stage="worker").inc()
        for repair, count in outcome.repairs.items():
            metrics.posts_repaired.labels(repair=repair).inc(count)
        for kind, count in outcome.kinds.items():
            metrics.events_applied.labels(kind=kind).inc(count)
        for ingested_ms in outcome.ingested_ms:
            metrics.count_latency_seconds.observe(max(0.0, (now_ms - ingested_ms) / 1000))
        # One that overtook its post counts too: from here on nothing of the post can be in a pane.
        for ingested_ms in outcome.deleted_ms:
            metrics.removal_latency_seconds.observe(max(0.0, (now_ms - ingested_ms) / 1000))

    def _export(self, state: PartitionState) -> None:
        label = str(self.partition)
        self._parts.metrics.cursor.labels(topic=self.topic, partition=label).set(self._cursor)
        # A counter that appears with its first event hides that event from `rate`.
        self._parts.metrics.posts_refused.labels(partition=label)
        self._parts.metrics.offset_gap_posts.labels(partition=label)
        self._parts.metrics.state_set_aside.labels(partition=label)
        if state.watermark_ms >= 0:
            self._parts.metrics.watermark_seconds.labels(partition=label).set(
                state.watermark_ms / 1000
            )

    def _heed_cancellation(self) -> None:
        """Raise a cancellation that a client has swallowed.

        `asyncio.wait_for` of Python 3.11 returns instead of raising when what it waits for is done
        in the moment of the cancellation (CPython gh-86296), and a client may turn it into an error
        of its own. A loop that went on would keep its flow, and the rebalance behind it, for ever.
        """
        task = asyncio.current_task()
        # The runner's own count says nothing: a task group that failed leaves it raised.
        cancelled = task is not None and task is not self._runner and task.cancelling()
        if self._stopping or cancelled:
            raise asyncio.CancelledError

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until store and broker are back, and what they hold can be read; skip nothing."""
        tries = 0
        while True:
            self._heed_cancellation()
            try:
                found = await attempt()
                self._heed_cancellation()
                return found
            except (StoreUnavailable, BrokerUnavailable, StateUnreadable) as error:
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


async def _finish(prepared: Prepared, apply: ApplyBatch) -> Outcome:
    # Called here and not by who makes the task: one cancelled before its first step never gets
    # here, and would leave a coroutine that nobody awaits.
    return await prepared.finish(apply)
