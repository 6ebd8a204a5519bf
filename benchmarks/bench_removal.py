"""From a deletion to the removal of what its post had added: p50, p95, p99 beside a load of posts.

The whole stream with the fake scorer: deletions are not scored, so the model is not in their way.
Posts are due at random moments (a Poisson process); each tenth is deleted half a second to three
seconds after it. A deletion's clock starts when it is *due*, and stops at `applied_at` of the first
`progress` record whose event cursor has passed it. In the second load a backlog is put before the
workers first, so that they are never idle and some deletions overtake their posts. At the end every
deletion must have removed exactly one contribution.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Final

import msgspec

from benchmarks.bench_throughput import QUERIES
from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, percentile, run_benchmark, say
from benchmarks.lab import BenchFailed, Lab
from benchmarks.posts import author_of, posts, texts
from core.codec import encode, progress_decoder
from core.schemas import Post, PostEvent
from evaluation.drawing import lines
from services.kafka_client import RecordProducer, read_topic
from stream.store import keys
from stream.topics import POST_EVENTS, POSTS, PROGRESS

POSTS_PER_S: Final = 500.0
BACKLOG_POSTS: Final = 100_000
LOAD_S: Final = 30.0
DELETED_EVERY: Final = 10
SETTLE_S: Final = 60.0
LOADS: Final = ("idle", "busy")
PERCENTILES: Final = (50, 95, 99)


class _Event(msgspec.Struct):
    post_id: str
    ingested_at: datetime


_event_decoder: Final = msgspec.json.Decoder(_Event)


def offer_load(lab: Lab, name: str, said: list[str], seconds: float, seed: int) -> tuple[int, int]:
    """Send posts and deletions when they are due; return how many of each."""
    rng = random.Random(seed)
    producer = RecordProducer(lab.settings.kafka)
    began, began_at = time.monotonic(), datetime.now(UTC)
    due: list[tuple[float, int]] = [(rng.expovariate(POSTS_PER_S), -1)]
    sent = deleted = 0
    try:
        while due:
            due_s, victim = heappop(due)
            ahead_s = began + due_s - time.monotonic()
            if ahead_s > 0:
                time.sleep(ahead_s)
            at = began_at + timedelta(seconds=due_s)
            author = author_of(victim if victim >= 0 else sent)
            if victim >= 0:
                event = PostEvent(
                    kind="delete", post_id=f"{name}-{victim}", source="synthetic", author=author,
                    ingested_at=at,
                )  # fmt: skip
                producer.send(POST_EVENTS, author.encode(), encode(event))
                deleted += 1
                continue
            post = Post(
                id=f"{name}-{sent}", source="synthetic", author=author, claimed_at=at,
                ingested_at=at, text=said[sent % len(said)], lang="en",
            )  # fmt: skip
            producer.send(POSTS, author.encode(), encode(post))
            if sent % DELETED_EVERY == 0:
                heappush(due, (due_s + rng.uniform(0.5, 3.0), sent))
            sent += 1
            following_s = due_s + rng.expovariate(POSTS_PER_S)
            if following_s < seconds:
                heappush(due, (following_s, -1))
        producer.flush(60)
    finally:
        producer.close()
    return sent, deleted


def latencies_ms(lab: Lab) -> dict[str, list[float]]:
    """Return load -> sorted milliseconds from due to removed."""
    cursors: dict[int, list[int]] = {}
    applied: dict[int, list[float]] = {}
    for record in read_topic(lab.settings.kafka, PROGRESS):
        progress = progress_decoder.decode(record.value)
        passed = cursors.setdefault(progress.partition, [])
        if not passed or progress.event_cursor > passed[-1]:
            passed.append(progress.event_cursor)
            applied.setdefault(progress.partition, []).append(progress.applied_at.timestamp())
    found: dict[str, list[float]] = {name: [] for name in LOADS}
    for record in read_topic(lab.settings.kafka, POST_EVENTS):
        event = _event_decoder.decode(record.value)
        place = bisect_left(cursors[record.partition], record.offset)
        taken_s = applied[record.partition][place] - event.ingested_at.timestamp()
        found[event.post_id.partition("-")[0]].append(taken_s * 1000)
    return {name: sorted(taken) for name, taken in found.items()}


def removed(lab: Lab) -> int:
    """Return how many contributions were taken back so far, by the store's totals."""
    pipe = lab.redis.pipeline(transaction=False)
    for partition in range(lab.settings.kafka.partitions):
        pipe.hget(keys.cursor(partition), "removed")
    return sum(int(n or 0) for n in pipe.execute())


def _settle(lab: Lab, sent: int, wanted: int) -> None:
    """Wait until all posts are applied and every deletion has removed its post's contribution.

    Raises:
        BenchFailed: They have not, or there are too many.
    """
    give_up_at = time.monotonic() + SETTLE_S
    while (lab.accounted() < sent or removed(lab) < wanted) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    if removed(lab) != wanted:
        raise BenchFailed(f"{removed(lab):,} removed of {wanted:,}\n{lab.last_words()}")


def measure(options: Options) -> Measured:
    """Measure beside workers that have time, and beside workers with a backlog."""
    seconds, backlog = max(2.0, LOAD_S * options.scale), options.size(BACKLOG_POSTS)
    said = list(plant(texts(20_000, options.seed), QUERIES, options.seed))
    produced = deletions = 0
    with Lab("removal", {}) as lab:
        catalog = write_catalog(lab.directory / "queries.toml", QUERIES)
        lab.tree["queries"] = {"path": str(catalog)}
        lab.start_workers()
        lab.wait_assigned()
        for place, name in enumerate(LOADS):
            if name == "busy":
                waiting = (said[n % len(said)] for n in range(backlog))
                produced += lab.produce(posts(waiting, datetime.now(UTC), 0.0001, "backlog"))
            sent, deleted = offer_load(lab, name, said, seconds, options.seed + place)
            produced, deletions = produced + sent, deletions + deleted
            _settle(lab, produced, deletions)
            say(f"{name}: {sent:,} posts, {deleted:,} deletions")
        lab.stop_workers()
        samples = latencies_ms(lab)
    figures: dict[str, float] = {"posts_per_s": POSTS_PER_S}
    series: dict[str, list[tuple[float, float]]] = {}
    for name in LOADS:
        taken = samples[name]
        figures[f"{name}_samples"] = len(taken)
        for level in PERCENTILES:
            figures[f"{name}_p{level}_ms"] = round(percentile(taken, level / 100), 1)
        figures[f"{name}_most_ms"] = round(taken[-1], 1)
        series[name] = [(level, percentile(taken, level / 100)) for level in range(1, 100)]
    picture = lines("Deletion to removal", "percentile", "ms", series)
    return Measured(figures, {"load_s": seconds, "backlog_posts": backlog}, picture)


if __name__ == "__main__":
    run_benchmark(measure)
