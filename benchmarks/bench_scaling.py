"""More workers, more partitions (fake scorer). Two cores hold all of it, broker and store included.

What scaling out gives on machines of their own cannot be measured here; what can: whether workers
share the partitions, what a second one gives while there is a core for it, and what more partitions
cost one worker.
"""

from __future__ import annotations

import os
import statistics
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, run_benchmark, say, spread
from benchmarks.lab import Drained, Lab
from benchmarks.posts import posts, texts
from evaluation.drawing import bars

POSTS_EACH: Final = 80_000
SPACING_S: Final = 0.005
QUERIES: Final = 100
CASES: Final = ((1, (1,)), (2, (1, 2)), (4, (1, 2, 4)))
"""Partitions, and the numbers of workers that share them."""


def measure(options: Options) -> Measured:
    """Measure every pair; with the same partitions, teams of workers take turns."""
    size = options.size(POSTS_EACH)
    runs: dict[str, list[Drained]] = {}
    start = datetime.now(UTC) - timedelta(minutes=30)
    for partitions, teams in CASES:
        with Lab("scaling", {"kafka": {"partitions": partitions}}) as lab:
            catalog = write_catalog(lab.directory / "queries.toml", QUERIES)
            for round_ in range(options.rounds):
                for workers in teams:
                    name = f"partitions_{partitions}_workers_{workers}"
                    said = plant(texts(size, options.seed), QUERIES, round_)
                    lab.start_workers(workers, queries__path=str(catalog))
                    lab.wait_assigned()
                    run = lab.rush(posts(said, start, SPACING_S, f"{name}-{round_}"))
                    runs.setdefault(name, []).append(run)
                    lab.stop_workers()
                    say(f"{name}: {run.posts_per_s:,.0f} posts/s")
    figures: dict[str, float] = {}
    rows: list[tuple[str, float, float, float]] = []
    for name, found in runs.items():
        figures |= spread(f"{name}_posts_per_s", [run.posts_per_s for run in found])
        for part in ("worker", "redis", "kafka"):
            used = statistics.median(run.cpu_us(part) for run in found)
            figures[f"{name}_{part}_cpu_us_per_post"] = round(used, 1)
        label = name.replace("partitions_", "").replace("_workers_", " partitions, ") + " workers"
        key = f"{name}_posts_per_s"
        rows.append((label, figures[key], figures[f"{key}_least"], figures[f"{key}_most"]))
    settings = {"posts_each": size, "queries": QUERIES, "cores": os.cpu_count()}
    picture = bars("Fake scorer, all on the same two cores", "posts/s", rows)
    return Measured(figures, settings, picture)


if __name__ == "__main__":
    run_benchmark(measure)
