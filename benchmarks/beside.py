"""What a process beside the workers costs the hot path: end to end with it and without, in turns.

Kafka -> worker -> Triton -> Redis, 100 queries, and every second time the other process. The ratio
is taken within a round, whose halves change their order from round to round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, over_other, say, spread
from benchmarks.lab import Drained, Lab
from benchmarks.posts import posts, texts
from evaluation.drawing import Bar, bars

POSTS: Final = 8_192
WARM_UP_POSTS: Final = 512
QUERIES: Final = 100
SPACING_S: Final = 0.005

Busy = Callable[[Lab, Sequence[str]], AbstractContextManager[object]]
"""Keeps the process at work while posts are counted; it is given ids of posts that are there."""


@dataclass(frozen=True, slots=True)
class BesideProcess:
    """A process that runs every second time.

    Attributes:
        role: The beginning of its name among the lab's processes.
        start: Starts it and waits until it is ready.
        busy: Keeps it at work.
    """

    role: str
    start: Callable[[Lab], None]
    busy: Busy


def measure_beside(options: Options, beside: BesideProcess) -> Measured:
    """Run without and with the process in turn, `rounds` times, each on texts of its own."""
    size = options.size(POSTS, 600)
    runs: dict[str, list[Drained]] = {"off": [], "on": []}
    with Lab(beside.role, {}, triton=True) as lab:
        lab.tree["queries"] = {"path": str(write_catalog(lab.directory / "q.toml", QUERIES))}
        start = datetime.now(UTC) - timedelta(minutes=30)
        # The model server knows a text again: what takes turns must not be asked the same.
        every = texts(options.rounds * 2 * (size + WARM_UP_POSTS), options.seed)
        for round_ in range(options.rounds):
            for name in ("off", "on") if round_ % 2 == 0 else ("on", "off"):
                lab.start_workers()
                lab.wait_assigned()
                if name == "on":
                    beside.start(lab)
                warm = f"{name}warm{round_}"
                lab.rush(posts([next(every) for _ in range(WARM_UP_POSTS)], start, SPACING_S, warm))
                said = plant([next(every) for _ in range(size)], QUERIES, round_)
                rush = posts(said, start, SPACING_S, f"{name}{round_}")
                if name == "on":
                    with beside.busy(lab, [f"{warm}-{place}" for place in range(WARM_UP_POSTS)]):
                        runs[name].append(lab.rush(rush))
                else:
                    time.sleep(0.5)
                    runs[name].append(lab.rush(rush))
                lab.stop_workers()
            rates = {name: each[-1].posts_per_s for name, each in runs.items()}
            say(f"round {round_ + 1}: off {rates['off']:,.0f}, on {rates['on']:,.0f} posts/s")
    return _measured(runs, beside.role, size)


def _measured(runs: dict[str, list[Drained]], role: str, size: int) -> Measured:
    rates = {name: [run.posts_per_s for run in each] for name, each in runs.items()}
    figures = {
        **spread("without_posts_per_s", rates["off"]),
        **spread("with_posts_per_s", rates["on"]),
        **over_other("with", rates["on"], rates["off"]),
        **spread(f"{role}_cpu_us_per_post", [run.cpu_us(role) for run in runs["on"]]),
        **spread("triton_without_cpu_us_per_post", [run.cpu_us("triton") for run in runs["off"]]),
        **spread("triton_with_cpu_us_per_post", [run.cpu_us("triton") for run in runs["on"]]),
    }
    shown = [_bar(figures, name) for name in ("without", "with")]
    picture = bars(f"End to end, {size:,} posts", "posts/s", shown)
    return Measured(figures, {"posts": size, "queries": QUERIES}, picture)


def _bar(figures: dict[str, float], name: str) -> Bar:
    rate = f"{name}_posts_per_s"
    return name, figures[rate], figures[f"{rate}_least"], figures[f"{rate}_most"]
