"""What 10, 100 and 2,000 queries cost the whole worker (fake scorer), as ratios within one run.

With `--beside CHECKOUT` the workers of another source tree take turns with this one's.

- `silent`: 2,000 queries of which only the first ten ever match: what watching alone costs;
- `spread`: as many matches as with ten, but over all the queries, few of them often: what being
  watched by many costs, as every query that matched in a minute has a pane of its own.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, over_other, run_benchmark, say, spread
from benchmarks.lab import Drained, Lab
from benchmarks.posts import posts, texts
from evaluation.drawing import bars

POSTS_EACH: Final = 60_000
SPACING_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Case:
    """How many queries there are, and over how many of them the matches are spread."""

    name: str
    queries: int
    matching: int


CASES: Final = (
    Case("ten", 10, 10),
    Case("hundred", 100, 100),
    Case("thousands_silent", 2_000, 10),
    Case("thousands_spread", 2_000, 2_000),
)


def measure(options: Options) -> Measured:
    """Let the cases take turns; compare each with ten queries of the same round."""
    size = options.size(POSTS_EACH)
    runs: dict[str, list[Drained]] = {
        f"{prefix}{case.name}": [] for prefix, _ in options.trees() for case in CASES
    }
    with Lab("queries", {"scorer": {"kind": "fake"}}) as lab:
        start = datetime.now(UTC) - timedelta(minutes=30)
        for round_ in range(options.rounds):
            for case, (prefix, lab.code) in itertools.product(CASES, options.trees(round_)):
                name = f"{prefix}{case.name}"
                said = plant(texts(size, options.seed), case.matching, round_)
                lab.produce(posts(said, start, SPACING_S, f"{name}{round_}"))
                catalog = write_catalog(lab.directory / f"{case.name}.toml", case.queries)
                lab.start_workers(queries__path=str(catalog))
                runs[name].append(lab.drain(size // 10))
                lab.stop_workers()
            found = ", ".join(f"{n} {r[-1].posts_per_s:,.0f}/s" for n, r in runs.items())
            say(f"round {round_ + 1}: {found}")
    figures: dict[str, float] = {}
    rows: list[tuple[str, float, float, float]] = []
    for case in CASES:
        rates = [run.posts_per_s for run in runs[case.name]]
        figures |= spread(f"{case.name}_posts_per_s", rates)
        for part in ("worker", "redis"):
            used = [run.cpu_us(part) for run in runs[case.name]]
            figures[f"{case.name}_{part}_cpu_us_per_post"] = round(statistics.median(used), 1)
        if options.beside is not None:
            others = [run.posts_per_s for run in runs[f"other_{case.name}"]]
            figures |= over_other(case.name, rates, others)
        slower = [
            ten.posts_per_s / run.posts_per_s
            for ten, run in zip(runs["ten"], runs[case.name], strict=True)
        ]
        if case.name != "ten":
            figures |= spread(f"{case.name}_over_ten_time_ratio", slower, 3)
            worker = [
                run.cpu_us("worker") / ten.cpu_us("worker")
                for ten, run in zip(runs["ten"], runs[case.name], strict=True)
                if ten.cpu_us("worker")
            ]
            figures |= spread(f"{case.name}_over_ten_worker_cpu_ratio", worker or [0.0], 3)
        rows.append((case.name.replace("_", " "), *_middle(rates)))
    picture = bars("Worker with fake scorer, by queries", "posts/s", rows)
    return Measured(figures, {"posts_each": size, "matching_share": 0.5}, picture)


def _middle(values: list[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


if __name__ == "__main__":
    run_benchmark(measure)
