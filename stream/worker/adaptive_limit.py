"""How many posts may be in scoring, from how fast the scorer answers: an adaptive limit.

By Little's law what waits for a scorer of `r` posts/s waits `n / r` seconds when `n` are in flight.
So the limit is the measured rate times a target latency. A batch that took less than the target
raises it, one that took longer lowers it; nothing is probed and nothing is guessed but the start.
"""

from __future__ import annotations

from typing import Final

from core.clock import Clock
from core.metrics import Metrics
from core.settings import WorkerSettings

LEAST_IN_FLIGHT: Final = 16
"""Posts that may always be in scoring: enough to measure by, and a batch worth sending."""
_BATCHES: Final = 4  # one is scored, one is next, two are on their way there or back
FIRST_IN_FLIGHT: Final = 64
"""Posts before the first answer: a scorer that is fast shows it within a few batches."""


class AdaptiveLimit:
    """Posts in scoring and in one batch, by the rate of the last answers. One event loop.

    The rate is the posts answered over the time in which something was asked, both forgotten by
    half in each target latency of such time: a quiet stream is not a slow scorer.
    """

    def __init__(self, worker: WorkerSettings, clock: Clock, metrics: Metrics) -> None:
        """Begin with a small limit.

        Args:
            worker: The bounds, and the target latency.
            clock: Its monotonic seconds are read.
            metrics: The metrics of this process; the limit is exported.
        """
        self._most = worker.max_in_flight_posts
        self._most_in_batch = worker.max_batch_posts
        self._target_s = worker.target_latency_ms / 1000
        self._clock = clock
        self._asked = 0
        self._looked_at = 0.0
        self._posts = 0.0
        self._busy_s = 0.0
        self._last_call_s = 0.0
        metrics.in_flight_limit_posts.set_function(self.in_flight_posts)

    def asked(self) -> None:
        """Note that a batch was sent."""
        self._pass_time()
        self._asked += 1

    def last_call_s(self) -> float:
        """Return how long the last call took that was answered; 0 before the first."""
        return self._last_call_s

    def ended(self, posts: int, took_s: float = 0.0) -> None:
        """Note that a batch came back with scores of so many posts, 0 if it failed."""
        self._pass_time()
        if posts:
            self._last_call_s = took_s
        self._asked -= 1
        self._posts += posts

    def in_flight_posts(self) -> int:
        """Return how many posts may be in scoring now, over all partitions."""
        if not self._busy_s and not self._posts:
            wanted = FIRST_IN_FLIGHT
        elif not self._busy_s:  # answered within the clock's resolution
            wanted = self._most
        else:
            wanted = int(min(self._most, self._posts / self._busy_s * self._target_s))
        return min(self._most, max(LEAST_IN_FLIGHT, wanted))

    def batch_posts(self) -> int:
        """Return how many posts one batch may have now: a part of what may be in scoring."""
        return min(self._most_in_batch, max(1, self.in_flight_posts() // _BATCHES))

    def _pass_time(self) -> None:
        now_s = self._clock.monotonic()
        if self._asked:
            passed_s = now_s - self._looked_at
            kept = 0.5 ** (passed_s / self._target_s)
            self._posts *= kept
            self._busy_s = self._busy_s * kept + passed_s
        self._looked_at = now_s
