"""From produced to counted: p50, p95, p99 under open-loop load at 25, 50 and 80 % of saturation.

The whole stream with the real model. Saturation is measured first, in the same run. Posts are due
at random moments (a Poisson process) whether or not the system keeps up, and a post's clock starts
when it is *due*: what waits in the generator, in Kafka and in batches is counted. It stops at
`applied_at` of the first `progress` record whose cursor has passed the post.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from benchmarks.bench_throughput import QUERIES
from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, percentile, run_benchmark, say
from benchmarks.lab import Lab
from benchmarks.posts import author_of, posts, texts
from core.clock import epoch_ms, from_epoch_ms
from core.codec import encode, progress_decoder
from core.schemas import Post
from evaluation.drawing import lines
from services.kafka_client import RecordProducer, read_topic
from stream.topics import POSTS, PROGRESS

SATURATION_POSTS: Final = 6_144
LOAD_S: Final = 30.0
SETTLE_S: Final = 3.0
"""Posts due in the first seconds of a load are not among the samples."""
SHARES: Final = (25, 50, 80)
PERCENTILES: Final = (50, 95, 99)


class _PostId(msgspec.Struct):
    id: str
    ingested_at: datetime


_id_decoder: Final = msgspec.json.Decoder(_PostId)


@dataclass(slots=True)
class Load:
    """One stretch of load: how many posts were due, and how late the generator sent them."""

    prefix: str
    posts_per_s: float
    posts: int = 0
    late_ms: list[float] = field(default_factory=list[float])


def offer_load(lab: Lab, load: Load, said: Iterator[str], seconds: float, seed: int) -> None:
    """Send posts when they are due, whatever happens to them, and wait for the last to be taken."""
    rng = random.Random(seed)
    producer = RecordProducer(lab.settings.kafka)
    began, began_ms = time.monotonic(), epoch_ms(datetime.now(UTC))
    due_s = rng.expovariate(load.posts_per_s)
    try:
        while due_s < seconds:
            ahead_s = began + due_s - time.monotonic()
            if ahead_s > 0:
                time.sleep(ahead_s)
            at = from_epoch_ms(began_ms + int(due_s * 1000))
            author = author_of(load.posts)
            post = Post(
                id=f"{load.prefix}-{load.posts}", source="synthetic", author=author,
                claimed_at=at, ingested_at=at, text=next(said), lang="en",
            )  # fmt: skip
            producer.send(POSTS, author.encode(), encode(post))
            load.late_ms.append(max(0.0, (time.monotonic() - began - due_s) * 1000))
            load.posts += 1
            due_s += rng.expovariate(load.posts_per_s)
        producer.flush(60)
    finally:
        producer.close()


def latencies_ms(lab: Lab, loads: list[Load], settle_s: float) -> dict[str, list[float]]:
    """Return prefix -> sorted milliseconds from due to counted, of the posts after settling."""
    cursors: dict[int, list[int]] = {}
    applied: dict[int, list[float]] = {}
    for record in read_topic(lab.settings.kafka, PROGRESS):
        progress = progress_decoder.decode(record.value)
        passed = cursors.setdefault(progress.partition, [])
        if not passed or progress.cursor > passed[-1]:
            passed.append(progress.cursor)
            applied.setdefault(progress.partition, []).append(progress.applied_at.timestamp())
    found: dict[str, list[tuple[float, float]]] = {load.prefix: [] for load in loads}
    for record in read_topic(lab.settings.kafka, POSTS):
        post = _id_decoder.decode(record.value)
        prefix = post.id.partition("-")[0]
        if prefix in found:
            place = bisect_left(cursors[record.partition], record.offset)
            due_s = post.ingested_at.timestamp()
            found[prefix].append((due_s, applied[record.partition][place] - due_s))
    kept: dict[str, list[float]] = {}
    for prefix, samples in found.items():
        settled_s = min(due_s for due_s, _ in samples) + settle_s
        kept[prefix] = sorted(taken * 1000 for due_s, taken in samples if due_s >= settled_s)
    return kept


def measure(options: Options) -> Measured:
    """Measure saturation, then latency at shares of it."""
    size, seconds = options.size(SATURATION_POSTS, 600), max(2.0, LOAD_S * options.scale)
    loads: list[Load] = []
    with Lab("latency", {}, triton=True) as lab:
        catalog = write_catalog(lab.directory / "queries.toml", QUERIES)
        lab.tree["queries"] = {"path": str(catalog)}
        said = plant(texts(1_000_000, options.seed), QUERIES, options.seed)
        lab.start_workers()
        lab.wait_assigned()
        now = datetime.now(UTC)
        lab.rush(posts((next(said) for _ in range(512)), now, 0.001, "warm"))
        saturated = lab.rush(posts((next(said) for _ in range(size)), now, 0.001, "full"))
        say(f"saturation {saturated.posts_per_s:,.0f} posts/s")
        for share in SHARES:
            load = Load(f"load{share}", saturated.posts_per_s * share / 100)
            offer_load(lab, load, said, seconds, options.seed + share)
            lab.expect(load.posts)
            lab.drain()
            loads.append(load)
            say(f"{share} %: {load.posts:,} posts")
        lab.stop_workers()
        samples = latencies_ms(lab, loads, min(SETTLE_S, seconds / 10))
    figures = {"saturation_posts_per_s": round(saturated.posts_per_s, 1)}
    series: dict[str, list[tuple[float, float]]] = {}
    for share, load in zip(SHARES, loads, strict=True):
        taken = samples[load.prefix]
        figures[f"at_{share}_posts_per_s"] = round(load.posts_per_s, 1)
        figures[f"at_{share}_samples"] = len(taken)
        figures[f"at_{share}_generator_late_p99_ms"] = round(
            percentile(sorted(load.late_ms), 0.99), 1
        )
        for level in PERCENTILES:
            figures[f"at_{share}_p{level}_ms"] = round(percentile(taken, level / 100), 1)
        series[f"{share} % ({load.posts_per_s:,.0f}/s)"] = [
            (level, percentile(taken, level / 100)) for level in range(1, 100)
        ]
    picture = lines("Produced to counted", "percentile", "ms", series)
    return Measured(figures, {"load_s": seconds, "saturation_posts": size}, picture)


if __name__ == "__main__":
    run_benchmark(measure)
