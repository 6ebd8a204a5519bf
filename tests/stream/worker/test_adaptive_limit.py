"""The adaptive limit on a simulated scorer with a clock of its own: no server, no waiting."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from core.clock import ManualClock
from core.metrics import Metrics
from core.settings import WorkerSettings
from stream.worker.adaptive_limit import FIRST_IN_FLIGHT, LEAST_IN_FLIGHT, AdaptiveLimit

WORKER = WorkerSettings()
TARGET_S = WORKER.target_latency_ms / 1000
MOST = WORKER.max_in_flight_posts


@dataclass(frozen=True)
class Run:
    """What a worker with no end of posts got out of a scorer."""

    posts_per_s: float
    longest_s: float  # of the batches sent in the second half, when it has settled
    largest_in_flight: int


class Simulated:
    """One batch after the other, each `fixed_s` and `post_s` a post, as on a busy machine."""

    def __init__(self, fixed_s: float, post_s: float, limit: AdaptiveLimit | None) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.limit = limit or AdaptiveLimit(WORKER, self.clock, Metrics())
        self.is_limited = limit is None
        self.fixed_s, self.post_s = fixed_s, post_s

    def saturate(self, lasts_s: float) -> Run:
        """Send whenever the budget has room for a batch, for so long."""
        queue: deque[tuple[int, float]] = deque()
        start = self.clock.monotonic()
        done, in_flight, largest, longest = 0, 0, 0, 0.0
        while (elapsed_s := self.clock.monotonic() - start) < lasts_s:
            most = self.limit.in_flight_posts() if self.is_limited else MOST
            batch = self.limit.batch_posts() if self.is_limited else WORKER.max_batch_posts
            while not queue or in_flight + batch <= most:
                queue.append((batch, self.clock.monotonic()))
                self.limit.asked()
                in_flight += batch
            largest = max(largest, in_flight) if elapsed_s > lasts_s / 2 else 0
            posts, sent_at = queue.popleft()
            self.clock.advance(self.fixed_s + self.post_s * posts)
            if sent_at - start > lasts_s / 2:
                longest = max(longest, self.clock.monotonic() - sent_at)
            self.limit.ended(posts)
            in_flight -= posts
            done += posts
        return Run(done / elapsed_s, longest, largest)


def unlimited(fixed_s: float, post_s: float) -> Simulated:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    return Simulated(fixed_s, post_s, AdaptiveLimit(WORKER, clock, Metrics()))


def test_before_the_first_answer_little_is_sent() -> None:
    limit = AdaptiveLimit(WORKER, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), Metrics())
    assert limit.in_flight_posts() == FIRST_IN_FLIGHT
    assert limit.batch_posts() == FIRST_IN_FLIGHT // 4


@pytest.mark.parametrize("posts_per_s", [1_100, 5_000, 40_000])
def test_a_fast_scorer_has_all_that_the_settings_allow_and_loses_no_throughput(
    posts_per_s: int,
) -> None:
    limited = Simulated(0.005, 1 / posts_per_s, None).saturate(20.0)
    fixed = unlimited(0.005, 1 / posts_per_s).saturate(20.0)
    assert limited.posts_per_s > 0.98 * fixed.posts_per_s
    assert limited.largest_in_flight > 0.95 * MOST


@pytest.mark.parametrize("posts_per_s", [20, 60, 300])
def test_a_slow_scorer_answers_within_the_target_where_it_took_many_times_as_long(
    posts_per_s: int,
) -> None:
    limited = Simulated(0.02, 1 / posts_per_s, None).saturate(120.0)
    fixed = unlimited(0.02, 1 / posts_per_s).saturate(240.0)
    assert limited.longest_s < 1.3 * TARGET_S
    assert fixed.longest_s > 3 * TARGET_S
    assert limited.largest_in_flight < 1.1 * TARGET_S * posts_per_s


def test_a_very_slow_scorer_still_gets_a_small_batch() -> None:
    limited = Simulated(0.1, 2.0, None).saturate(400.0)
    assert limited.largest_in_flight == LEAST_IN_FLIGHT
    assert limited.posts_per_s == pytest.approx(0.5, rel=0.1)


def test_a_quiet_stream_is_no_slow_scorer() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    limit = AdaptiveLimit(WORKER, clock, Metrics())
    for _ in range(100):
        limit.asked()
        clock.advance(0.01)
        limit.ended(10)
        clock.advance(60.0)
    assert limit.in_flight_posts() == pytest.approx(TARGET_S * 1_000, rel=0.01)


def test_batches_that_fail_lower_the_limit_and_the_first_answers_raise_it_again() -> None:
    clock, metrics = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), Metrics()
    limit = AdaptiveLimit(WORKER, clock, metrics)
    limit.asked()
    clock.advance(0.1)
    limit.ended(1_000)
    assert limit.in_flight_posts() == MOST
    limit.asked()
    clock.advance(30.0)
    limit.ended(0)
    value = metrics.registry.get_sample_value
    assert limit.in_flight_posts() == value("groundswell_in_flight_limit_posts") == LEAST_IN_FLIGHT
    sent = 0
    while limit.in_flight_posts() < MOST:
        posts = limit.in_flight_posts()
        limit.asked()
        clock.advance(0.005 + posts / 4_000)
        limit.ended(posts)
        sent += posts
    assert sent < 20_000
