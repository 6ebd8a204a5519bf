"""What a worker and Redis hold over a million posts, and whether it stays flat (fake scorer).

Six hours of event time pass through with every horizon at one hour, so that for more than half of
the run as much is forgotten as is remembered; the closer runs, as panes it has not published are
kept. At the end every key is weighed by `MEMORY USAGE` and the bytes are shared out over what they
hold: ids of the dedupe horizon, contributions of the correction horizon, panes.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psutil

from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, run_benchmark, say
from benchmarks.lab import Lab
from benchmarks.posts import posts, texts
from evaluation.drawing import lines

POSTS: Final = 1_000_000
EVENT_TIME_H: Final = 6
HORIZON_H: Final = 1
QUERIES: Final = 100
SAMPLE_EVERY_S: Final = 0.5
_MB: Final = 1_000_000
_WEIGHED_AT_ONCE: Final = 2_000


@dataclass(slots=True)
class Samples:
    """Memory by posts applied, sampled while the run goes on."""

    lab: Lab
    applied: list[int] = field(default_factory=list[int])
    worker_mb: list[float] = field(default_factory=list[float])
    redis_mb: list[float] = field(default_factory=list[float])
    _next_at: float = 0.0

    def take(self, applied: int, *, at_once: bool = False) -> None:
        """Sample, at most every half second unless it is to be at once."""
        if time.monotonic() < self._next_at and not at_once:
            return
        self._next_at = time.monotonic() + SAMPLE_EVERY_S
        worker = next(c for name, c in self.lab.workers.items() if name.startswith("worker"))
        self.applied.append(applied)
        self.worker_mb.append(psutil.Process(worker.pid).memory_info().rss / _MB)
        self.redis_mb.append(self.lab.redis.info("memory")["used_memory"] / _MB)

    def mean_between(self, values: list[float], first: float, last: float) -> float:
        """Return the mean of `values` over a stretch of the run, given as shares of its posts."""
        total = self.applied[-1] or 1
        found = [v for n, v in zip(self.applied, values, strict=True) if first <= n / total <= last]
        return statistics.fmean(found or values[-1:])


@dataclass(slots=True)
class Weights:
    """Bytes in Redis by what they are for, and how many things they hold.

    Attributes:
        size: `seen`, `kept`, `pane`, `strata`, `authors`, `revisions` or `other` -> bytes.
        held: The same -> ids, contributions, (query, pane, partition) triples.
    """

    size: Counter[str] = field(default_factory=Counter[str])
    held: Counter[str] = field(default_factory=Counter[str])
    keys: Counter[str] = field(default_factory=Counter[str])
    pane_queries: set[tuple[bytes, bytes]] = field(default_factory=set[tuple[bytes, bytes]])


_COUNTED_BY: Final = {"seen": "SCARD", "kept": "HLEN", "pane": "HLEN"}


def weigh(redis: Any) -> Weights:
    """Weigh every key."""
    weights = Weights()
    for keys in _chunks(redis.scan_iter(count=2_000), _WEIGHED_AT_ONCE):
        pipe = redis.pipeline(transaction=False)
        kinds = [_kind(key) for key in keys]
        for key, kind in zip(keys, kinds, strict=True):
            pipe.memory_usage(key, samples=0)
            pipe.execute_command(_COUNTED_BY.get(kind, "EXISTS"), key)
            pipe.hkeys(key) if kind == "pane" else pipe.exists(key)
        answers = pipe.execute()
        for place, (key, kind) in enumerate(zip(keys, kinds, strict=True)):
            size, held, queries = answers[3 * place : 3 * place + 3]
            weights.size[kind] += size or 0
            weights.held[kind] += held
            weights.keys[kind] += 1
            if kind == "pane":
                start = key.rpartition(b":")[2]
                weights.pane_queries.update((start, query) for query in queries)
    return weights


def _kind(key: bytes) -> str:
    name = key.partition(b"}:")[2].partition(b":")[0].decode()
    if name in ("seen", "kept", "pane", "strata", "authors"):
        return name
    return "revisions" if name == "rev" else "other"


def _chunks(keys: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    waiting: list[bytes] = []
    for key in keys:
        waiting.append(key)
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def measure(options: Options) -> Measured:
    """Let the posts pass, sample, and weigh what is left."""
    size = options.size(POSTS, 5_000)
    spacing_s = EVENT_TIME_H * 3_600 / size
    horizon_s = HORIZON_H * 3_600
    tables = {
        "windows": {"retention_s": horizon_s, "correction_horizon_s": horizon_s},
        "worker": {"dedupe_horizon_s": horizon_s},
    }
    with Lab("memory", tables) as lab:
        catalog = write_catalog(lab.directory / "queries.toml", QUERIES)
        lab.tree["queries"] = {"path": str(catalog)}
        start = datetime.now(UTC) - timedelta(hours=EVENT_TIME_H)
        said = plant(texts(size, options.seed), QUERIES, options.seed)
        empty_mb = lab.redis.info("memory")["used_memory"] / _MB
        lab.produce(posts(said, start, spacing_s, "m"))
        say(f"{size:,} posts produced")
        samples = Samples(lab)
        lab.start_process("closer")
        lab.start_workers()
        run = lab.drain(0, samples.take)
        samples.take(size, at_once=True)
        weights = weigh(lab.redis)
    figures = _figures(samples, weights, size / EVENT_TIME_H)
    figures |= {
        "posts_per_s": round(run.posts_per_s, 1),
        "redis_empty_mb": round(empty_mb, 1),
    }
    settings = {
        "posts": size, "event_time_h": EVENT_TIME_H, "horizons_h": HORIZON_H, "queries": QUERIES,
        "partitions": 4, "pane_s": lab.settings.windows.pane_s,
    }  # fmt: skip
    series = {
        "worker": list(zip(map(float, samples.applied), samples.worker_mb, strict=True)),
        "Redis": list(zip(map(float, samples.applied), samples.redis_mb, strict=True)),
    }
    return Measured(figures, settings, lines("Memory", "posts applied", "MB", series))


def _figures(samples: Samples, weights: Weights, posts_per_h: float) -> dict[str, float]:
    # Horizons end on whole hours: compare the same phase of an hour, the fourth and the last.
    fourth, last = (3 / 6, 4 / 6), (5 / 6, 1.0)
    size, held = weights.size, weights.held
    panes = size["pane"] + size["strata"] + size["authors"]
    figures = {
        "worker_rss_most_mb": max(samples.worker_mb),
        "worker_rss_last_hour_over_fourth_ratio": samples.mean_between(samples.worker_mb, *last)
        / samples.mean_between(samples.worker_mb, *fourth),
        "redis_most_mb": max(samples.redis_mb),
        "redis_last_hour_over_fourth_ratio": samples.mean_between(samples.redis_mb, *last)
        / samples.mean_between(samples.redis_mb, *fourth),
        "posts_per_event_hour": posts_per_h,
        "ids_held": held["seen"],
        "bytes_per_id": size["seen"] / max(1, held["seen"]),
        "ids_per_key": held["seen"] / max(1, weights.keys["seen"]),
        "contributions_held": held["kept"],
        "bytes_per_contribution": size["kept"] / max(1, held["kept"]),
        "contributions_per_key": held["kept"] / max(1, weights.keys["kept"]),
        "query_minutes_held": len(weights.pane_queries),
        "bytes_per_query_minute": panes / max(1, len(weights.pane_queries)),
        "bytes_per_query_minute_and_partition": panes / max(1, held["pane"]),
    }
    for kind in ("pane", "strata", "authors"):
        share = size[kind] / max(1, len(weights.pane_queries))
        figures[f"bytes_per_query_minute_{kind}"] = share
    for kind, bytes_ in sorted(size.items()):
        figures[f"redis_{kind}_mb"] = bytes_ / _MB
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    run_benchmark(measure)
