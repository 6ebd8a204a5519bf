"""The records of a flow that wait to be batched: in order, without holes, bounded.

It knows which offset comes next. A run that starts later is left over from before a seek, or the
topic no longer holds what is missing: the first is dropped, the second is counted as a gap. When
too much waits the partition is paused, and resumed at half of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from stream.worker.batch import FetchedRecord
from stream.worker.batching import BatchLimits
from stream.worker.ports import PartitionControl

_log = get_logger(__name__)

MAX_WAITING_BATCHES: Final = 16
"""A partition is paused when so many full batches wait, and resumed at half of it."""

RESEEK_AFTER_S: Final = 2.0
"""Runs fetched before a seek may arrive for so long after it; later ones mean the seek was lost."""

STALLED_AFTER_S: Final = 5.0
"""Records are there and none has come for so long: a seek was lost, or a run dropped on its way."""


class WaitingRecords:
    """Records of one topic of one partition between fetch and batch. One event loop.

    Attributes:
        changed: set whenever a record arrives; the batch former clears and awaits it.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        limits: BatchLimits,
        control: PartitionControl,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._limits = limits
        self._control = control
        self._clock = clock
        self._metrics = metrics
        self._records: deque[FetchedRecord] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._oldest_at = 0.0
        self._next: int | None = None
        self._sought_at = float("-inf")
        self._taken_at = float("-inf")
        self._paused = False
        self.changed = asyncio.Event()

    @property
    def is_placed(self) -> bool:
        """Tell whether the next offset is known."""
        return self._next is not None

    def forget(self) -> None:
        """Drop everything; nothing is taken until the next `seek`."""
        self._records.clear()
        self._sizes.clear()
        self._bytes = 0
        self._next = None
        self.changed.clear()
        self._resume_if_low()

    async def seek(self, offset: int, cause: str) -> None:
        """Move the partition to `offset`: the next record that is taken."""
        self._next = offset
        self._sought_at = self._clock.monotonic()
        self._metrics.seeks.labels(cause=cause).inc()
        await self._control.seek(offset)

    async def offer(self, run: Sequence[FetchedRecord]) -> None:
        """Take a run of consecutive records; those applied already are passed over."""
        if not run or self._next is None:
            return
        if run[0].offset > self._next and not await self._explain_gap(run[0].offset):
            return
        expected = self._next
        fresh = run
        if run[0].offset < expected:
            fresh = [record for record in run if record.offset >= expected]
            if not fresh:
                return
        self._metrics.records_fetched.labels(topic=self._topic, partition=str(self._partition)).inc(
            len(fresh)
        )
        if not self._records:
            self._oldest_at = self._clock.monotonic()
        self._records.extend(fresh)
        sizes = [len(record.value or b"") for record in fresh]
        self._sizes.extend(sizes)
        self._bytes += sum(sizes)
        self._next = fresh[-1].offset + 1
        self._taken_at = self._clock.monotonic()
        self._pause_if_full()
        self.changed.set()

    async def seek_if_stalled(self) -> None:
        """Seek again if the partition has records and none of them comes.

        A run that is dropped around a rebalance leaves the fetch position behind it. The next run
        shows the gap; but at the end of a stream there is no next run.
        """
        if self._next is None or self._records or self._paused:
            return
        end = self._control.end()
        quiet_s = self._clock.monotonic() - max(self._sought_at, self._taken_at)
        if end is not None and end > self._next and quiet_s > STALLED_AFTER_S:
            _log.warning(
                "records do not come, seeking again",
                topic=self._topic,
                partition=self._partition,
                offset=self._next,
                end=end,
            )
            await self.seek(self._next, "stalled")

    async def _explain_gap(self, first: int) -> bool:
        """Tell whether records that start too late may be taken; seek if they are stale."""
        expected = self._next
        if expected is None:
            return False
        now = self._clock.monotonic()
        earliest = await self._control.earliest()
        if self._next != expected:
            return False  # sought meanwhile
        if earliest > expected:
            self._count_gap(expected, earliest - expected)
            self._next = earliest
            if first <= earliest:
                return True
        # Runs fetched before a seek may still arrive: one seek is enough for all of them.
        if now - self._sought_at > RESEEK_AFTER_S or earliest > expected:
            await self.seek(max(expected, earliest), "gap")
        return False

    def _count_gap(self, first_missing: int, missing: int) -> None:
        self._metrics.offset_gap_posts.labels(partition=str(self._partition)).inc(missing)
        _log.error(
            "the topic no longer holds records that were never applied",
            topic=self._topic,
            partition=self._partition,
            first_missing=first_missing,
            missing=missing,
        )

    def wait_s(self, in_flight: int) -> float | None:
        """Return how long to wait for more before a batch is cut; None while there is nothing."""
        if not self._records:
            return None
        age_s = self._clock.monotonic() - self._oldest_at
        return self._limits.wait_s(len(self._records), self._bytes, age_s, in_flight)

    def cut(self) -> list[FetchedRecord]:
        """Take one batch from the front; there must be a record."""
        count = self._limits.take(list(islice(self._sizes, self._limits.max_posts)))
        batch = [self._records.popleft() for _ in range(count)]
        self._bytes -= sum(self._sizes.popleft() for _ in range(count))
        self._oldest_at = self._clock.monotonic()
        self._resume_if_low()
        return batch

    def _pause_if_full(self) -> None:
        full = (
            len(self._records) >= MAX_WAITING_BATCHES * self._limits.max_posts
            or self._bytes >= MAX_WAITING_BATCHES * self._limits.max_bytes
        )
        if full and not self._paused:
            self._paused = True
            self._control.pause()

    def _resume_if_low(self) -> None:
        low = (
            len(self._records) <= MAX_WAITING_BATCHES // 2 * self._limits.max_posts
            and self._bytes <= MAX_WAITING_BATCHES // 2 * self._limits.max_bytes
        )
        if low and self._paused:
            self._paused = False
            self._control.resume()
