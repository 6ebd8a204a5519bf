"""Beside Quix Streams, Bytewax and a pipeline as people write it: same broker, same posts.

Two comparisons, each job a process of its own, timed by itself from its first post to its last:

- the plain job (decode, count and mean length per minute) of our parts, Quix Streams and Bytewax.
  Our store is a process beside, so its processor time is added to ours;
- our whole worker (fake scorer, 100 queries, dedupe, scored-posts) and a naive Faust agent that
  scores a post at a time with a scorer that costs nothing, without queries or dedupe.

Every job's minutes must be those of a plain count, or there is no figure.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, run_benchmark, say, spread
from benchmarks.lab import BenchFailed, Drained, Lab
from benchmarks.peers.environments import HERE, peer_python, pinned_version
from benchmarks.posts import posts, texts
from core.codec import post_decoder
from evaluation.drawing import bars
from services.bootstrap import make_store
from services.local.child import Command, run_to_end
from services.local.machine import process_cpu_s
from services.local.paths import PROJECT_ROOT
from stream.runtime.sink import KafkaSink
from stream.topics import POSTS
from stream.worker.outlets import OutRecord

PLAIN_POSTS: Final = 300_000
WHOLE_POSTS: Final = 20_000
PARTITIONS: Final = 4
SPACING_S: Final = 0.005
QUERIES: Final = 100
_JOB_TIMEOUT_S: Final = 240.0
_CLOSING_AFTER: Final = timedelta(minutes=10)

LABELS: Final = {
    "our": "ours", "quix": "Quix Streams", "bytewax": "Bytewax",
    "bytewax_fast": "Bytewax, ordering off",
}  # fmt: skip
"""Job -> its name in the picture."""

Minutes = dict[int, tuple[int, int]]
"""start (s) -> (posts, sum of lengths)"""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a job said of itself, and what the store used meanwhile."""

    posts: int
    wall_s: float
    cpu_s: float
    minutes: Minutes

    @property
    def posts_per_s(self) -> float:
        """Posts a second."""
        return self.posts / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Processor microseconds a post."""
        return self.cpu_s / self.posts * 1e6


class Bench:
    """One broker and one store for all jobs."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._runs = 0

    def run(self, job: str, python: Path, topic: str, number: int) -> Finished:
        """Run a job to its end."""
        self._runs += 1
        scratch = self.lab.directory / f"{job}-{self._runs}"
        scratch.mkdir()
        out = scratch / "report.json"
        ours = job in ("our", "naive")
        name, _, variant = job.partition("_")
        what = ("-m", f"benchmarks.peers.{name}_job") if ours else (str(HERE / f"{name}_job.py"),)
        argv = (
            str(python), *what, "--bootstrap", self.lab.kafka.bootstrap, "--topic", topic,
            "--posts", str(number), "--out", str(out), "--scratch", str(scratch),
            "--redis", self.lab.settings.redis.url, "--variant", variant,
        )  # fmt: skip
        env = {"PYTHONPATH": str(PROJECT_ROOT)} if ours else {}
        before = process_cpu_s(self.lab.redis_pid)
        try:
            status, output = run_to_end(Command(argv, env, cwd=PROJECT_ROOT), _JOB_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise BenchFailed(f"{job} did not end within {_JOB_TIMEOUT_S:g} s") from error
        if status or not out.exists():
            raise BenchFailed(f"{job} ended with status {status}:\n{output[-3000:]}")
        store_s = process_cpu_s(self.lab.redis_pid) - before if job == "our" else 0.0
        report = json.loads(out.read_text())
        minutes = {int(at): (sums[0], sums[1]) for at, sums in report["windows"].items()}
        shutil.rmtree(scratch, ignore_errors=True)
        return Finished(report["posts"], report["wall_s"], report["cpu_s"] + store_s, minutes)

    def stored_minutes(self) -> Minutes:
        """Return the minutes that our plain job left in the store, and empty it."""

        async def read() -> Minutes:
            store = make_store(self.lab.settings)
            try:
                found: Minutes = {}
                for start in await store.pane_starts(range(PARTITIONS)):
                    pane = (await store.pane(range(PARTITIONS), start))["all"]
                    found[start] = (pane.counters[0], pane.counters[1])
                return found
            finally:
                await store.close()

        found = asyncio.run(read())
        self.lab.redis.flushall()
        return found


def plain_records(number: int, seed: int, start: datetime) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, encoded post): posts in turn, and one for each partition that closes.

    Later by ten minutes, the last ones close every window of the peers, which close by event time.
    """
    encoded = posts(texts(number, seed), start, SPACING_S, "p")
    for place, post in enumerate(encoded):
        yield place % PARTITIONS, post.value
    end = start + timedelta(seconds=number * SPACING_S) + _CLOSING_AFTER
    for partition, post in enumerate(posts(["the end"] * PARTITIONS, end, 0.0, "end")):
        yield partition, post.value


def count_plainly(records: Sequence[tuple[int, bytes]]) -> Minutes:
    """Return the minutes by an obvious count, the closing posts left out."""
    found: Minutes = {}
    for _, value in records[:-PARTITIONS]:
        post = post_decoder.decode(value)
        at = post.claimed_at or post.ingested_at
        start = int(at.timestamp()) // 60 * 60
        known = found.get(start, (0, 0))
        found[start] = (known[0] + 1, known[1] + len(post.text))
    return found


async def send_plain(lab: Lab, topic: str, records: Sequence[tuple[int, bytes]]) -> None:
    """Produce records keyed by their partition: the peers keep windows by key."""
    sink = KafkaSink(lab.settings.kafka)
    await sink.start()
    try:
        for partition in range(PARTITIONS):
            key = b"p%d" % partition
            own = [OutRecord(key, value) for at, value in records if at == partition]
            for first in range(0, len(own), 2_000):
                await sink.send(topic, partition, own[first : first + 2_000])
    finally:
        await sink.stop()


def _expect(name: str, found: Minutes, wanted: Minutes, *, counts_only: bool = False) -> None:
    got = {start: sums for start, sums in found.items() if start in wanted}
    if counts_only:
        right = {s: n for s, (n, _) in got.items()} == {s: n for s, (n, _) in wanted.items()}
    else:
        right = got == wanted
    if not right:
        off = sum(abs(got.get(s, (0, 0))[0] - n) for s, (n, _) in wanted.items())
        raise BenchFailed(f"{name}: its minutes are not those of a plain count (off by {off})")


def plain_job(bench: Bench, options: Options) -> dict[str, list[Finished]]:
    """Let ours, Quix Streams and Bytewax take turns at the plain job."""
    size = options.size(PLAIN_POSTS, 2_000)
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    records = list(plain_records(size, options.seed, start))
    wanted = count_plainly(records)
    asyncio.run(send_plain(bench.lab, POSTS, records))
    pythons = {
        "our": Path(sys.executable), "quix": peer_python("quix"),
        "bytewax": peer_python("bytewax"), "bytewax_fast": peer_python("bytewax"),
    }  # fmt: skip
    runs: dict[str, list[Finished]] = {job: [] for job in pythons}
    for round_ in range(options.rounds):
        for job, python in pythons.items():
            run = bench.run(job, python, POSTS, len(records))
            _expect(job, bench.stored_minutes() if job == "our" else run.minutes, wanted)
            runs[job].append(run)
            say(f"round {round_ + 1}, {job}: {run.posts_per_s:,.0f}/s, {run.cpu_us:.1f} us")
    return runs


def whole_job(options: Options) -> tuple[list[Drained], list[Finished]]:
    """Let our worker and the naive pipeline take turns, on a broker of their own."""
    size = options.size(WHOLE_POSTS, 1_000)
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    ours: list[Drained] = []
    naive: list[Finished] = []
    with Lab("naive", {"kafka": {"partitions": PARTITIONS}}) as lab:
        bench = Bench(lab)
        catalog = write_catalog(lab.directory / "queries.toml", QUERIES)
        made = list(posts(plant(texts(size, options.seed), QUERIES, 0), start, SPACING_S, "n"))
        wanted = count_plainly([(0, post.value) for post in made] + [(0, b"")] * PARTITIONS)
        lab.produce(made)
        for round_ in range(options.rounds):
            lab.start_workers(queries__path=str(catalog))
            ours.append(lab.drain(size // 20))
            lab.stop_workers()
            lab.redis.flushall()
            naive.append(bench.run("naive", Path(sys.executable), POSTS, size))
            _expect("naive", naive[-1].minutes, wanted, counts_only=True)
            say(
                f"round {round_ + 1}: worker {ours[-1].posts_per_s:,.0f}/s, "
                f"naive {naive[-1].posts_per_s:,.0f}/s"
            )
    return ours, naive


def measure(options: Options) -> Measured:
    """Measure both comparisons."""
    with Lab("peers", {"kafka": {"partitions": PARTITIONS}}) as lab:
        runs = plain_job(Bench(lab), options)
    ours, naive = whole_job(options)
    figures: dict[str, float] = {}
    rows: list[tuple[str, float, float, float]] = []
    for job, label in LABELS.items():
        rates = [run.posts_per_s for run in runs[job]]
        figures |= spread(f"plain_{job}_posts_per_s", rates)
        figures |= spread(f"plain_{job}_cpu_us_per_post", [run.cpu_us for run in runs[job]])
        rows.append((label, statistics.median(rates), min(rates), max(rates)))
        if job == "our":
            continue
        both = list(zip(runs["our"], runs[job], strict=True))
        figures |= spread(
            f"plain_our_over_{job}_ratio", [a.posts_per_s / b.posts_per_s for a, b in both], 2
        )
        figures |= spread(
            f"plain_our_cpu_over_{job}_ratio", [a.cpu_us / b.cpu_us for a, b in both], 3
        )
    figures |= spread("whole_our_posts_per_s", [run.posts_per_s for run in ours])
    figures |= spread("whole_naive_posts_per_s", [run.posts_per_s for run in naive])
    figures |= spread(
        "whole_our_over_naive_ratio",
        [a.posts_per_s / b.posts_per_s for a, b in zip(ours, naive, strict=True)], 2,
    )  # fmt: skip
    used = statistics.median(run.cpu_us("worker") + run.cpu_us("redis") for run in ours)
    figures["whole_our_cpu_us_per_post"] = round(used, 1)
    figures["whole_naive_cpu_us_per_post"] = round(statistics.median(r.cpu_us for r in naive), 1)
    settings = {
        "plain_posts": runs["our"][0].posts, "whole_posts": options.size(WHOLE_POSTS, 1_000),
        "partitions": PARTITIONS, "our_batch_posts": 4_096, "queries": QUERIES,
    }  # fmt: skip
    versions = {p: pinned_version(n, p) for n, p in (("quix", "quixstreams"),
                                                     ("bytewax", "bytewax"))}  # fmt: skip
    picture = bars("Plain job: count and mean per minute", "posts/s", rows)
    return Measured(figures, settings, picture, versions)


if __name__ == "__main__":
    run_benchmark(measure)
