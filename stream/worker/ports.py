"""What the worker needs of others: of the store, and of whoever fetches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream.store.increments import Applied, ApplyBatch, PartitionState


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


@dataclass(frozen=True, slots=True)
class PartitionControl:
    """How a flow moves its partition; given by the transport."""

    seek: Callable[[int], Awaitable[None]]
    pause: Callable[[], None]
    resume: Callable[[], None]
    earliest: Callable[[], Awaitable[int]]
    end: Callable[[], int | None]
