"""What 200 viewers of the console cost the stream, and how long they wait for its answers.

Kafka -> worker -> Triton -> Redis with a closer and a console, 100 queries. First end to end with
viewers and without, in turns. Then half of that rate is offered while the viewers watch, once with
100 queries in the list and once with 2,000. The viewers run on the same cores.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Final

import msgspec

from benchmarks.bench_latency import Load, offer_load
from benchmarks.catalogs import plant, write_catalog
from benchmarks.harness import Measured, Options, over_other, percentile, run_benchmark, say, spread
from benchmarks.lab import READY_S, BenchFailed, Drained, Lab
from benchmarks.posts import posts, texts
from benchmarks.viewers import OPEN, Seen, Watch
from evaluation.drawing import lines
from services.console.keys import KeyRing, Role
from services.console.sessions import KEYS_FILE, LINK_FILE
from services.local.machine import process_cpu_s
from services.local.paths import PROJECT_ROOT

VIEWERS: Final = 200
KEYS: Final = 20
FOLLOWED: Final = 20
ASKS_PER_S: Final = 10.0
"""A question of each viewer every twenty seconds."""
POSTS: Final = 8_192
WARM_UP_POSTS: Final = 512
SPACING_S: Final = 0.005
LOAD_S: Final = 90.0
_LEAST_S: Final = 4.0
LISTS: Final = (100, 2_000)
PERCENTILES: Final = (50, 95, 99)


class _Watched:
    """What became of one stretch of watching."""

    seen = Seen()
    seconds = 0.0
    viewers_cpu_s = 0.0
    console_cpu_s = 0.0


class Hall:
    """The console of a lab, and those who come to watch.

    Args:
        lab: With its catalog settled and its workers started.
        viewers: How many watch at once.
    """

    def __init__(self, lab: Lab, viewers: int) -> None:
        self._lab = lab
        self._viewers = viewers
        self._folder = lab.directory / "console"
        self._folder.mkdir()
        ring = KeyRing(self._folder / KEYS_FILE)
        now = datetime.now(UTC)
        self._keys = [ring.add(f"viewer{n}", Role.VIEWER, now) for n in range(min(KEYS, viewers))]
        self._console = lab.start_process(
            "console", console__port=0, console__data_dir=str(self._folder),
            console__local_link="true", metrics__port=0,
        )  # fmt: skip
        self._base = self._address()

    def _address(self) -> str:
        link = self._folder / LINK_FILE
        self._lab.wait_for(self._console, link.exists, "there is no link to it")
        return link.read_text().partition("/enter")[0]

    @contextmanager
    def watching(self, queries: list[str], seed: int) -> Iterator[_Watched]:
        """Let the viewers watch; what they saw is there at the end.

        Raises:
            BenchFailed: Somebody was refused.
        """
        watched, report = _Watched(), self._lab.directory / f"viewers-{seed}.json"
        watch = Watch(
            base=self._base, keys=self._keys, viewers=self._viewers, queries=queries,
            asks_per_s=ASKS_PER_S, seed=seed, report=str(report),
        )  # fmt: skip
        argv = (sys.executable, "-m", "benchmarks.viewers")
        process = subprocess.Popen(
            argv, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            _say_to(process, watch)
            began, console_s = time.monotonic(), process_cpu_s(self._console.pid)
            viewers_s = process_cpu_s(process.pid)
            yield watched
            watched.seconds = time.monotonic() - began
            watched.console_cpu_s = process_cpu_s(self._console.pid) - console_s
            watched.viewers_cpu_s = process_cpu_s(process.pid) - viewers_s
        finally:
            process.terminate()
            process.wait(2 * READY_S)
        watched.seen = msgspec.json.decode(report.read_bytes(), type=Seen)
        if watched.seen.refused:
            raise BenchFailed(f"refused: {watched.seen.refused}\n{self._lab.last_words()}")


def _say_to(process: subprocess.Popen[str], watch: Watch) -> None:
    """Give the viewers their task, and wait until all series are open."""
    if process.stdin is None or process.stdout is None:
        raise BenchFailed("the viewers cannot be spoken to")
    process.stdin.write(msgspec.json.encode(watch).decode())
    process.stdin.close()
    if process.stdout.readline().strip() != OPEN:
        raise BenchFailed("the viewers could not open their series")


def in_turns(
    lab: Lab, hall: Hall, options: Options, followed: list[str]
) -> dict[str, list[Drained]]:
    """Count backlogs without viewers and with them, in turns."""
    size = options.size(POSTS, 600)
    start = datetime.now(UTC) - timedelta(minutes=30)
    every = texts(options.rounds * 2 * (size + WARM_UP_POSTS), options.seed)
    runs: dict[str, list[Drained]] = {"off": [], "on": []}
    for round_ in range(options.rounds):
        for name in ("off", "on") if round_ % 2 == 0 else ("on", "off"):
            warm = posts([next(every) for _ in range(WARM_UP_POSTS)], start, SPACING_S,
                         f"{name}warm{round_}")  # fmt: skip
            lab.rush(warm)
            said = plant([next(every) for _ in range(size)], LISTS[0], round_)
            rush = posts(said, start, SPACING_S, f"{name}{round_}")
            if name == "on":
                with hall.watching(followed, options.seed + round_):
                    runs[name].append(lab.rush(rush))
            else:
                runs[name].append(lab.rush(rush))
        rates = {name: each[-1].posts_per_s for name, each in runs.items()}
        say(f"round {round_ + 1}: without {rates['off']:,.0f}, with {rates['on']:,.0f} posts/s")
    return runs


def at_half_load(
    lab: Lab, hall: Hall, options: Options, rate: float, listed: int, followed: list[str]
) -> _Watched:
    """Offer half of a rate while the viewers watch a list of so many queries."""
    seconds = max(_LEAST_S, LOAD_S * options.scale)
    said = plant(texts(1_000_000, options.seed + listed), listed, options.seed + listed)
    load = Load(f"half{listed}", rate / 2)
    with hall.watching(followed, options.seed + listed) as watched:
        offer_load(lab, load, said, seconds, options.seed + listed)
    lab.expect(load.posts)
    lab.wait_all()
    return watched


def _figures_of(name: str, watched: _Watched) -> dict[str, float]:
    took = watched.seen.took_ms
    every = sorted(chain.from_iterable(took.values()))
    if not every:
        raise BenchFailed("no question was answered")
    figures: dict[str, float] = {
        f"{name}_answers": len(every),
        f"{name}_live_windows": watched.seen.windows,
        f"{name}_console_core_share": round(watched.console_cpu_s / watched.seconds, 3),
        f"{name}_viewers_core_share": round(watched.viewers_cpu_s / watched.seconds, 3),
    }
    for level in PERCENTILES:
        figures[f"{name}_p{level}_ms"] = round(percentile(every, level / 100), 1)
    for kind, found in sorted(took.items()):
        figures[f"{name}_{kind}_p95_ms"] = round(percentile(sorted(found), 0.95), 1)
    return figures


def measure(options: Options) -> Measured:
    """Measure throughput in turns, then answers at half load with each length of the list."""
    followed = [f"q{place}" for place in range(FOLLOWED - 1)] + ["all"]
    viewers = options.size(VIEWERS, 4)
    series: dict[str, list[tuple[float, float]]] = {}
    with Lab("viewers", {}, triton=True) as lab:
        catalog = write_catalog(lab.directory / "queries.toml", LISTS[0])
        lab.tree["queries"] = {"path": str(catalog)}
        lab.start_workers()
        lab.wait_assigned()
        lab.start_process("closer", metrics__port=0)
        hall = Hall(lab, viewers)
        runs = in_turns(lab, hall, options, followed)
        rates = {name: [run.posts_per_s for run in each] for name, each in runs.items()}
        figures = {
            **spread("without_posts_per_s", rates["off"]),
            **spread("with_posts_per_s", rates["on"]),
            **over_other("with", rates["on"], rates["off"]),
        }
        half = figures["without_posts_per_s"]
        for listed in LISTS:
            write_catalog(catalog, listed)
            watched = at_half_load(lab, hall, options, half, listed, followed)
            figures |= _figures_of(f"of_{listed}", watched)
            say(f"{listed} queries: p95 {figures[f'of_{listed}_p95_ms']:,.0f} ms")
            every = sorted(chain.from_iterable(watched.seen.took_ms.values()))
            series[f"{listed} queries"] = [(n, percentile(every, n / 100)) for n in range(1, 100)]
    picture = lines("Due to answered", "percentile", "ms", series)
    settings = {"viewers": viewers, "asks_per_s": ASKS_PER_S, "load_s": LOAD_S * options.scale}
    return Measured(figures, settings, picture)


if __name__ == "__main__":
    run_benchmark(measure)
