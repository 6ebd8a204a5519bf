"""When a batch leaves, and how many posts may be in scoring at once. Pure decisions and one budget.

Batches form by themselves: under load the next batch grows while the last is being scored, and age
bounds the wait. While nothing is in flight a record waits as long as the last call of the scorer
took, and no longer: a few posts cost almost what many do, so waiting for as long as the work itself
takes at most doubles the time of a post and saves the scorer a call for each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one batch.

    Attributes:
        max_posts: records at most.
        max_bytes: message bytes at most; one record may be larger by itself.
        max_age_s: an incomplete batch leaves after so long.
        posts_now: returns how many posts a batch may have now, if that changes.
        last_call_s: returns how long the scorer took last; without it nothing waits while nothing
            is in flight.
    """

    max_posts: int
    max_bytes: int
    max_age_s: float
    posts_now: Callable[[], int] | None = None
    last_call_s: Callable[[], float] | None = None

    @classmethod
    def of(
        cls,
        worker: WorkerSettings,
        posts_now: Callable[[], int] | None = None,
        last_call_s: Callable[[], float] | None = None,
    ) -> BatchLimits:
        """Return the limits that the settings ask for."""
        age_s = worker.max_batch_age_ms / 1000
        return cls(worker.max_batch_posts, worker.max_batch_bytes, age_s, posts_now, last_call_s)

    @property
    def most_posts(self) -> int:
        """Records in a batch now at most."""
        if self.posts_now is None:
            return self.max_posts
        return min(self.max_posts, self.posts_now())

    def take(self, sizes: Sequence[int]) -> int:
        """Return how many records from the front make one batch, at least one if there is any.

        Example:
            >>> BatchLimits(3, 100, 0.05).take([40, 50, 60, 1])
            2
        """
        most = self.most_posts
        if sum(sizes) <= self.max_bytes:
            return min(len(sizes), most)
        total = 0
        for position, size in enumerate(sizes[:most]):
            total += size
            if total > self.max_bytes and position:
                return position
        return min(len(sizes), most)

    def wait_s(self, posts: int, size: int, age_s: float, in_flight: int) -> float:
        """Return how long to wait for more records; 0 means the batch leaves now."""
        if posts >= self.most_posts or size >= self.max_bytes:
            return 0.0
        most_s = self.max_age_s
        if in_flight == 0:
            most_s = min(most_s, self.last_call_s()) if self.last_call_s is not None else 0.0
        return max(0.0, most_s - age_s)


class PostBudget:
    """How many posts may be in scoring over all partitions; first come, first served.

    Not thread-safe; one event loop. A request larger than the whole budget is granted alone.
    """

    def __init__(self, size: int, size_now: Callable[[], int] | None = None) -> None:
        """Begin with nothing in scoring.

        Args:
            size: The posts at most.
            size_now: Returns how many it may be now, if that changes; what is held stays held.
        """
        self._size = size
        self._size_now = size_now
        self._in_use = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def in_use(self) -> int:
        """Posts that hold a part of the budget."""
        return self._in_use

    async def acquire(self, posts: int) -> int:
        """Wait until `posts` fit; return what to release. A cancelled wait takes nothing."""
        wanted = min(posts, self._size)
        if not self._waiting and self._fits(wanted):
            self._in_use += wanted
            return wanted
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(wanted)  # granted in the same moment
            elif (wanted, future) in self._waiting:
                self._waiting.remove((wanted, future))
                self._grant()
            raise
        return wanted

    def release(self, posts: int) -> None:
        """Give back what `acquire` returned."""
        self._in_use -= posts
        self._grant()

    def _fits(self, posts: int) -> bool:
        size = self._size if self._size_now is None else min(self._size, self._size_now())
        return not self._in_use or self._in_use + posts <= size

    def _grant(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            wanted, future = self._waiting.popleft()
            if not future.cancelled():
                self._in_use += wanted
                future.set_result(None)
