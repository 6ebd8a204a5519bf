"""What forecasts cost the hot path: end to end with the forecaster and without, in turns.

Kafka -> worker -> Triton -> Redis, 100 queries, and beside it, every second time, a forecaster that
asks the engagement model about each post. The ratio is taken within a round, whose halves change
their order from round to round.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, over_other, run_benchmark, say, spread
from benchmarks.lab import BenchFailed, Drained, Lab
from benchmarks.posts import posts, texts
from evaluation.drawing import Bar, bars

POSTS: Final = 8_192
WARM_UP_POSTS: Final = 512
QUERIES: Final = 100
SPACING_S: Final = 0.005
_READY_S: Final = 60.0
_TAKEN_OVER: Final = "partition taken over"


def start_forecaster(lab: Lab) -> None:
    """Start a forecaster and wait until it has all partitions."""
    child = lab.start_process("forecaster", forecasts__shed_after_s=3_600)
    give_up_at = time.monotonic() + _READY_S
    while child.log_path.read_text().count(_TAKEN_OVER) < lab.settings.kafka.partitions:
        if time.monotonic() > give_up_at or not child.is_running:
            raise BenchFailed(f"the forecaster has not all partitions\n{lab.last_words()}")
        time.sleep(0.1)


def measure(options: Options) -> Measured:
    """Run both in turn, `rounds` times, each on texts of its own."""
    size = options.size(POSTS, 600)
    runs: dict[str, list[Drained]] = {"off": [], "on": []}
    with Lab("forecasts", {}, triton=True) as lab:
        lab.tree["queries"] = {"path": str(write_catalog(lab.directory / "q.toml", QUERIES))}
        start = datetime.now(UTC) - timedelta(minutes=30)
        # The model server knows a text again: what takes turns must not be asked the same.
        every = texts(options.rounds * 2 * (size + WARM_UP_POSTS), options.seed)
        for round_ in range(options.rounds):
            for name in ("off", "on") if round_ % 2 == 0 else ("on", "off"):
                lab.start_workers()
                lab.wait_assigned()
                if name == "on":
                    start_forecaster(lab)
                warm = [next(every) for _ in range(WARM_UP_POSTS)]
                lab.rush(posts(warm, start, SPACING_S, f"{name}warm{round_}"))
                time.sleep(0.5)
                said = plant([next(every) for _ in range(size)], QUERIES, round_)
                runs[name].append(lab.rush(posts(said, start, SPACING_S, f"{name}{round_}")))
                lab.stop_workers()
            rates = {name: each[-1].posts_per_s for name, each in runs.items()}
            say(f"round {round_ + 1}: off {rates['off']:,.0f}, on {rates['on']:,.0f} posts/s")
    rates = {name: [run.posts_per_s for run in each] for name, each in runs.items()}
    figures = {
        **spread("without_posts_per_s", rates["off"]),
        **spread("with_posts_per_s", rates["on"]),
        **over_other("with", rates["on"], rates["off"]),
        **spread("forecaster_cpu_us_per_post", [run.cpu_us("forecaster") for run in runs["on"]]),
    }
    shown = [_bar(figures, name) for name in ("without", "with")]
    picture = bars(f"End to end, {size:,} posts", "posts/s", shown)
    return Measured(figures, {"posts": size, "queries": QUERIES}, picture)


def _bar(figures: dict[str, float], name: str) -> Bar:
    rate = f"{name}_posts_per_s"
    return name, figures[rate], figures[f"{rate}_least"], figures[f"{rate}_most"]


if __name__ == "__main__":
    run_benchmark(measure)
