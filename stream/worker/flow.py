"""Everything between fetch and apply for one topic of one partition.

::

    offer ──▶ waiting ──▶ in_order ──▶ beside_others ──┐ (several at once)
                 ▲                                     ▼
            pause / resume                          in_order

A `PartitionFlow` believes in one thing only: the cursor that the store holds. When an apply is
refused, or the records do not continue where they should, it throws away what it holds and seeks to
the stored cursor. It runs a chain and knows none of its steps, nor Faust, nor Redis.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from core.clock import Clock
from core.errors import (
    BrokerUnavailable,
    CursorConflict,
    IncrementRefused,
    StateUnreadable,
    StoreUnavailable,
)
from core.logs import get_logger
from core.metrics import Metrics
from core.retry import pause_s
from stream.store.increments import PartitionState
from stream.windows.watermark import PartitionWatermark
from stream.worker.batch import FetchedRecord, PartitionPosition, PostBatch
from stream.worker.batching import BatchLimits
from stream.worker.ports import PartitionControl, Store
from stream.worker.running import Chain
from stream.worker.waiting import WaitingRecords

_log = get_logger(__name__)

T = TypeVar("T")

CANCEL_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class FlowParts:
    """What the flows of a worker share.

    Attributes:
        store: The state of the partitions.
        clock: The clock of waits.
        metrics: The metrics of this process.
        limits: The bounds of a batch.
        max_in_flight_batches: The batches of one flow between fetch and apply at most.
        allowed_lateness_s: How far behind the newest event time a post is not late.
        rng: Spreads the waits between tries.
    """

    store: Store
    clock: Clock
    metrics: Metrics
    limits: BatchLimits
    max_in_flight_batches: int
    allowed_lateness_s: int
    rng: random.Random


class PartitionFlow:
    """One topic of one partition, from assignment to revocation.

    `start` it, `offer` it runs of records, `stop` it. Not thread-safe: one event loop.
    """

    def __init__(
        self, partition: int, parts: FlowParts, chain: Chain, control: PartitionControl
    ) -> None:
        self.topic = chain.topic
        self.partition = partition
        self._parts = parts
        self._chain = chain
        self._waiting = WaitingRecords(
            chain.topic, partition, parts.limits, control, parts.clock, parts.metrics
        )
        self._position = self._placed(-1, -1)
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._ordered: asyncio.Queue[tuple[PostBatch, asyncio.Task[None]]] = asyncio.Queue()
        self._slots = asyncio.Semaphore(parts.max_in_flight_batches)
        self._runner: asyncio.Task[None] | None = None
        self._refuted: asyncio.Future[None] | None = None
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

    async def check(self) -> None:
        """Get a partition going again whose records do not come; called every few seconds."""
        if not self._draining:
            await self._waiting.seek_if_stalled()

    async def check_store(self) -> None:
        """Begin again where the store went back while nothing comes whose apply it would refuse.

        Raises:
            StateUnreadable: What is stored cannot be read.
            StoreUnavailable: The store does not answer.
        """
        known, refuted = self.cursor, self._refuted
        if known is None or refuted is None or not self._is_at_rest:
            return
        state = await self._parts.store.partition_state(self.partition)
        stored = state.cursors[self.topic]
        # What was applied meanwhile is another matter, and so is whoever is ahead of us.
        if stored < known == self.cursor and self._is_at_rest and not refuted.done():
            conflict = CursorConflict(self.partition, self.topic, known, stored)
            refuted.set_exception(conflict)

    @property
    def _is_at_rest(self) -> bool:
        return not self._in_flight and not self._draining and not self._stopping

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
        """The last applied offset, -1 before the first; None until the store has told it."""
        return self._position.cursor if self._waiting.is_placed else None

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
                    group.create_task(self._heed_refutation())
            except* CursorConflict as conflicts:
                conflict = conflicts.exceptions[0]
                self._parts.metrics.posts_refused.labels(partition=str(self.partition)).inc()
                _log.warning("apply refused, going back to the cursor", detail=str(conflict))
                cause = "refused"

    async def _heed_refutation(self) -> None:
        """Raise the conflict that `check_store` finds."""
        self._refuted = asyncio.get_running_loop().create_future()
        await self._refuted

    async def _begin_at_cursor(self, cause: str) -> None:
        """Forget everything held, read the cursor and seek to it."""
        self._forget()
        state = await self._patiently(lambda: self._parts.store.partition_state(self.partition))
        self._position = self._placed(state.cursors[self.topic], state.watermark_ms)
        self._export(state)
        await self._waiting.seek(self._position.cursor + 1, cause)

    def _placed(self, cursor: int, watermark_ms: int) -> PartitionPosition:
        watermark = PartitionWatermark(self._parts.allowed_lateness_s * 1000, watermark_ms)
        return PartitionPosition(self.topic, self.partition, cursor, watermark)

    def _forget(self) -> None:
        while not self._ordered.empty():
            batch, task = self._ordered.get_nowait()
            task.cancel()
            self._chain.release(batch)
        self._waiting.forget()
        self._in_flight = 0
        self._idle.set()
        self._slots = asyncio.Semaphore(self._parts.max_in_flight_batches)

    async def offer(self, records: Sequence[FetchedRecord]) -> None:
        """Take consecutive records; while draining, none."""
        if not self._draining:
            await self._waiting.offer(records)

    # -- batches ------------------------------------------------------------------------------

    async def _form(self, group: asyncio.TaskGroup) -> None:
        """Cut batches from what waits, prepare them in order, let each be worked on."""
        while True:
            self._heed_cancellation()
            await self._slots.acquire()
            records = await self._next_batch()
            self._in_flight += 1
            self._idle.clear()
            batch = PostBatch(self._position, records)
            await self._chain.prepare(batch, self._patiently)
            self._ordered.put_nowait((batch, group.create_task(self._chain.work(batch))))

    async def _next_batch(self) -> list[FetchedRecord]:
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
            batch, task = await self._ordered.get()
            await task
            try:
                await self._chain.conclude(batch, self._patiently)
            except IncrementRefused as error:
                self._parts.metrics.increments_refused.inc()
                _log.error("a batch of ours is wrong, nothing of it was counted", reason=str(error))
                raise
            self._chain.release(batch)
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            self._slots.release()
            self._waiting.changed.set()

    def _export(self, state: PartitionState) -> None:
        label, metrics = str(self.partition), self._parts.metrics
        metrics.cursor.labels(topic=self.topic, partition=label).set(self._position.cursor)
        # A counter that appears with its first event hides that event from `rate`.
        metrics.posts_refused.labels(partition=label)
        metrics.offset_gap_posts.labels(partition=label)
        metrics.state_set_aside.labels(partition=label)
        if state.watermark_ms >= 0:
            metrics.watermark_seconds.labels(partition=label).set(state.watermark_ms / 1000)

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
                await self._parts.clock.sleep(pause_s(tries, self._parts.rng))
                tries += 1
