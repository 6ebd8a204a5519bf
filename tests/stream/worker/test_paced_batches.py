"""What waiting for the last call's time does to a paced stream: simulated, the same posts twice.

Four partitions and a model server that takes all that waits at once, as Triton does. A call costs
what `benchmarks/results/2026-11-21-two-cores/model.json` has: 4.5 ms, and 2.4 ms a post.
"""

import heapq
import random
from dataclasses import dataclass, field

import pytest

from stream.worker.batching import BatchLimits

CALL_S, POST_S, PARTITIONS, LASTS_S = 0.0045, 0.0024, 4, 60.0


@dataclass
class Partition:
    """What waits, what is asked for, and when the first of it came."""

    limits: BatchLimits
    waiting: list[float] = field(default_factory=list)
    in_flight: int = 0


@dataclass
class Paced:
    """A run over one draw of arrivals."""

    waits: bool
    last_call_s: float = 0.0
    batches: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    busy_s: float = 0.0

    def play(self, posts_per_s: float, seed: int = 1) -> "Paced":
        rng, at, events = random.Random(seed), 0.0, []
        while at < LASTS_S:
            at += rng.expovariate(posts_per_s)
            heapq.heappush(events, (at, 0, rng.randrange(PARTITIONS), ()))
        limits = BatchLimits(512, 1 << 20, 0.05, last_call_s=self._told if self.waits else None)
        partitions = [Partition(limits) for _ in range(PARTITIONS)]
        queue: list[tuple[int, list[float], float]] = []
        serving: list[tuple[int, list[float], float]] = []
        while events:
            now, kind, place, _ = heapq.heappop(events)
            if kind == 0:
                partitions[place].waiting.append(now)
            elif kind == 1:  # the server has answered
                for asked, posts, sent in serving:
                    self.last_call_s = now - sent
                    partitions[asked].in_flight -= 1
                    self.latencies += [now - came for came in posts]
                serving = []
            for number, each in enumerate(partitions):
                if not each.waiting:
                    continue
                wait_s = each.limits.wait_s(
                    len(each.waiting), 0, now - each.waiting[0], each.in_flight
                )
                if wait_s <= 1e-9 and each.in_flight < 4:
                    queue.append((number, each.waiting, now))
                    self.batches.append(len(each.waiting))
                    each.waiting, each.in_flight = [], each.in_flight + 1
                elif wait_s > 1e-9 and kind != 2:
                    heapq.heappush(events, (now + wait_s, 2, number, ()))
            if queue and not serving:
                serving, queue = queue, []
                took_s = CALL_S + POST_S * sum(len(posts) for _, posts, _ in serving)
                self.busy_s += took_s
                heapq.heappush(events, (now + took_s, 1, 0, ()))
        return self

    def _told(self) -> float:
        return self.last_call_s

    @property
    def small_share(self) -> float:
        return sum(size <= 4 for size in self.batches) / len(self.batches)

    def percentile_ms(self, share: float) -> float:
        return sorted(self.latencies)[int(share * len(self.latencies))] * 1000

    @property
    def busy_ms_a_post(self) -> float:
        return self.busy_s / len(self.latencies) * 1000


@pytest.mark.parametrize("posts_per_s", [60, 115, 230])
def test_waiting_saves_calls_and_keeps_the_slow_posts_as_fast(posts_per_s: float) -> None:
    before, after = (Paced(waits).play(posts_per_s) for waits in (False, True))
    assert len(before.latencies) == len(after.latencies)
    assert after.busy_ms_a_post < before.busy_ms_a_post
    assert len(after.batches) < len(before.batches)
    assert after.percentile_ms(0.95) < before.percentile_ms(0.95) + 50
