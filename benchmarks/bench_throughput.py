"""How many posts a second: bare model, end to end, worker alone. The three take turns in one run.

- bare: normalise, tokenise and infer all texts as one window sorted by length; nothing else runs;
- end to end: Kafka -> worker -> Triton -> Redis, 100 queries, the same texts as the bare model;
- worker: everything but inference (fake scorer, all heads, 100 queries, dedupe, scored-posts).

With `--beside CHECKOUT` the workers of another source tree take turns with this one's, and their
ratio is taken within each round.
"""

from __future__ import annotations

import json
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, over_other, run_benchmark, say, spread
from benchmarks.lab import BenchFailed, Drained, Lab
from benchmarks.posts import posts, texts
from evaluation.drawing import bars
from services.local.child import Command, run_to_end
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT
from services.local.triton_server import DEFAULT_SERVER_PYTHON

MODEL_POSTS: Final = 8_192
WORKER_POSTS: Final = 120_000
WARM_UP_POSTS: Final = 512
QUERIES: Final = 100
SPACING_S: Final = 0.005
ALONE: Final = {"worker__max_batch_posts": 1_024, "worker__max_in_flight_posts": 4_096}
"""Batches for a scorer that is not the bottleneck (`docs/settings.md`); the default suits a CPU."""
_BARE_TIMEOUT_S: Final = 300.0


def bare_model(said: list[str], scratch: Path) -> tuple[float, float]:
    """Return posts/s and tokens a post of the bare model (`evaluation.encoder.bench_bare`)."""
    words, report = scratch / "texts.txt", scratch / "bare.json"
    words.write_text("\n".join(" ".join(text.split()) for text in said), encoding="utf-8")
    command = Command(
        (
            str(DEFAULT_SERVER_PYTHON), "-m", "evaluation.encoder.bench_bare",
            "--texts", str(words),
            "--json", str(report), "--repository", str(DEFAULT_PATHS.model_repository),
            "--repeats", "1",
        ),
        env={"PYTHONPATH": str(PROJECT_ROOT)},
        cwd=PROJECT_ROOT,
    )  # fmt: skip
    status, output = run_to_end(command, _BARE_TIMEOUT_S)
    if status:
        raise BenchFailed(f"the bare model did not run:\n{output}")
    figures = json.loads(report.read_text())["figures"]
    return figures["posts_per_s"], figures["tokens_per_post"]


def measure(options: Options) -> Measured:
    """Run the three in turn, `rounds` times, each round on texts of its own."""
    size, worker_size = options.size(MODEL_POSTS, 600), options.size(WORKER_POSTS)
    bare: list[float] = []
    every_whole: dict[str, list[Drained]] = {prefix: [] for prefix, _ in options.trees()}
    every_alone: dict[str, list[Drained]] = {prefix: [] for prefix, _ in options.trees()}
    whole, alone = every_whole[""], every_alone[""]
    tokens = 0.0
    with Lab("throughput", {}, triton=True) as lab:
        catalog = write_catalog(lab.directory / "queries.toml", QUERIES)
        lab.tree["queries"] = {"path": str(catalog)}
        start = datetime.now(UTC) - timedelta(minutes=30)
        # The model server knows a text again: what takes turns must not be asked the same.
        drawn = options.rounds * size * len(options.trees())
        every = texts(drawn + WARM_UP_POSTS, options.seed)
        warm = [next(every) for _ in range(WARM_UP_POSTS)]
        for round_ in range(options.rounds):
            said = {
                prefix: list(plant([next(every) for _ in range(size)], QUERIES, round_))
                for prefix, _ in options.trees()
            }
            rate, tokens = bare_model(said[""], lab.directory)
            bare.append(rate)
            for prefix, lab.code in options.trees(round_):
                lab.start_workers()
                lab.wait_assigned()
                lab.rush(posts(warm, start, SPACING_S, f"{prefix}warm{round_}"))
                time.sleep(0.5)
                said_now = posts(said[prefix], start, SPACING_S, f"{prefix}whole{round_}")
                every_whole[prefix].append(lab.rush(said_now))
                lab.stop_workers()
                many = plant(texts(worker_size, options.seed), QUERIES, round_)
                lab.produce(posts(many, start, SPACING_S, f"{prefix}alone{round_}"))
                lab.start_workers(scorer__kind="fake", **ALONE)
                every_alone[prefix].append(lab.drain(worker_size // 10))
                lab.stop_workers()
            say(
                f"round {round_ + 1}: bare {rate:,.0f}, end to end {whole[-1].posts_per_s:,.0f}, "
                f"worker {alone[-1].posts_per_s:,.0f} posts/s at "
                f"{alone[-1].cpu_us('worker'):.1f} us of processor"
            )
    shares = [run.posts_per_s / rate for run, rate in zip(whole, bare, strict=True)]
    figures = (
        spread("bare_posts_per_s", bare)
        | spread("end_to_end_posts_per_s", [run.posts_per_s for run in whole])
        | spread("end_to_end_over_bare_ratio", shares, 3)
        | spread("worker_posts_per_s", [run.posts_per_s for run in alone])
        | {"tokens_per_post": round(tokens, 1)}
    )
    if options.beside is not None:
        for name, both in (("end_to_end", every_whole), ("worker", every_alone)):
            rates = {prefix: [run.posts_per_s for run in runs] for prefix, runs in both.items()}
            figures |= spread(f"other_{name}_posts_per_s", rates["other_"])
            figures |= over_other(name, rates[""], rates["other_"])
    for name, runs in (("end_to_end", whole), ("worker", alone)):
        for part in ("worker", "redis", "kafka", "triton"):
            if name == "worker" and part == "triton":
                continue
            used = statistics.median(run.cpu_us(part) for run in runs)
            figures[f"{name}_{part}_cpu_us_per_post"] = round(used, 1)
    rows = [
        (label, figures[name], figures[f"{name}_least"], figures[f"{name}_most"])
        for label, name in (
            ("bare model", "bare_posts_per_s"), ("end to end", "end_to_end_posts_per_s"),
        )
    ]  # fmt: skip
    settings = {
        "model_posts": size, "worker_posts": worker_size, "queries": QUERIES, "partitions": 4,
        "workers": 1, "max_batch_posts": lab.settings.worker.max_batch_posts,
        "max_in_flight_posts": lab.settings.worker.max_in_flight_posts, "alone": ALONE,
    }  # fmt: skip
    return Measured(figures, settings, bars("Posts of 37 tokens, two cores", "posts/s", rows))


if __name__ == "__main__":
    run_benchmark(measure)
