"""What a flow needs of others, and what the flows of a worker share."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.clock import Clock
from core.metrics import Metrics
from stream.store.increments import Applied, ApplyBatch, PartitionState
from stream.windows.watermark import PartitionWatermark
from stream.worker.batching import BatchLimits
from stream.worker.intake import RawRecord
from stream.worker.pipeline import Outcome


class Store(Protocol):
    """What a flow needs of the store; `stream.store.redis_store.RedisStore` is the real one."""

    async def partition_state(self, partition: int) -> PartitionState:
        """Return cursors, watermark and totals of a partition."""
        ...

    async def seen(
        self,
        partition: int,
        lookups: Sequence[tuple[str, int, Sequence[int]]],
        first: int | None = None,
        applied: int = -1,
    ) -> list[bool]:
        """Tell which ids are counted; refuse if `first` was applied, or `applied` no longer is."""
        ...

    async def apply(self, partition: int, batch: ApplyBatch) -> Applied:
        """Apply a batch, all of it or nothing."""
        ...


class Outlets(Protocol):
    """Where results go. Every call returns once acknowledged."""

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
        self,
        partition: int,
        records: Sequence[RawRecord],
        watermark: PartitionWatermark,
        applied: int,
    ) -> Prepared:
        """Decode, look up, match; called in order, one batch at a time.

        `applied` is the cursor that the flow knows to be stored, or was.
        """
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
    end: Callable[[], int | None]
