"""An event's replies: how long three take, asked one after the other on a real Triton.

Only the responder is served, so that nothing else of the model server runs. Every post is new; a
few are answered before the clock starts. The time is what the caller waits, filters and ranking
included; the processor time is that of the server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil

from benchmarks.harness import Measured, Options, percentile, run_benchmark, say, spread
from benchmarks.lab import BenchFailed
from benchmarks.posts import texts
from core.ports import Generated
from evaluation.drawing import bars
from models.scorers.responder_triton import TritonResponder
from services.local.paths import DEFAULT_PATHS
from services.local.triton_server import TritonServer, build_model_repository

EVENTS: Final = 50
REPLIES: Final = 3
WARM_UP: Final = 3
_NAME: Final = "responder"
_TIMEOUT_S: Final = 120.0


@dataclass(slots=True)
class Round:
    """What one round took.

    Attributes:
        seconds: What each event took.
        cpu_s: The processor time of the server, of the whole round.
        made: What was answered.
    """

    seconds: list[float] = field(default_factory=list[float])
    cpu_s: float = 0.0
    made: list[Generated] = field(default_factory=list[Generated])


def _alone(folder: Path) -> Path:
    """Return a repository of the responder alone; its files are those of the built one."""
    built = DEFAULT_PATHS.model_repository / _NAME
    if not built.is_dir():
        raise BenchFailed(f"there is no responder at {built}: groundswell models build says why")
    shutil.copytree(built, folder / _NAME, copy_function=os.link)
    return folder


def _cpu_s(process: psutil.Process) -> float:
    """Return the processor time of a process and all that it has started, in seconds."""
    every = [process, *process.children(recursive=True)]
    return sum(one.cpu_times().user + one.cpu_times().system for one in every)


async def _round(url: str, server: psutil.Process, posts: list[str], seed: int) -> Round:
    found, responder = Round(), TritonResponder(url, _NAME, _TIMEOUT_S)
    try:
        for place, post in enumerate(posts):
            if place == WARM_UP:
                found.cpu_s = -_cpu_s(server)
            started = time.perf_counter()
            made = await responder.reply(post, REPLIES, seed + place)
            if place >= WARM_UP:
                found.seconds.append(time.perf_counter() - started)
                found.made.append(made)
        found.cpu_s += _cpu_s(server)
    finally:
        await responder.close()
    return found


def measure(options: Options) -> Measured:
    """Answer new posts, `rounds` times."""
    build_model_repository()
    events = options.size(EVENTS, 5)
    every = texts(options.rounds * (events + WARM_UP), options.seed)
    rounds: list[Round] = []
    DEFAULT_PATHS.root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=DEFAULT_PATHS.root) as scratch:
        folder = Path(scratch)
        with TritonServer(folder, repository=_alone(folder / "repository")) as server:
            process = psutil.Process(server.pid)
            for number in range(options.rounds):
                posts = [next(every) for _ in range(events + WARM_UP)]
                found = asyncio.run(_round(server.grpc_address, process, posts, options.seed))
                rounds.append(found)
                p95 = percentile(sorted(found.seconds), 0.95)
                say(f"round {number + 1}: p95 {p95:.2f} s, load {os.getloadavg()[0]:.1f}")
    figures = _figures(rounds, events)
    picture = bars(
        "Seconds until an event has its replies", "s",
        [
            (name, *(figures[f"event_{name}_s{which}"] for which in ("", "_least", "_most")))
            for name in ("p50", "p95")
        ],
    )  # fmt: skip
    settings = {"events": events, "replies": REPLIES, "model": rounds[0].made[0].model_version}
    return Measured(figures, settings, picture)


def _figures(rounds: list[Round], events: int) -> dict[str, float]:
    ordered = [sorted(one.seconds) for one in rounds]
    made = [answer for one in rounds for answer in one.made]
    written = sum(len(one.texts) + sum(one.refused.values()) for one in made)
    return {
        **spread("event_p50_s", [percentile(one, 0.5) for one in ordered], 3),
        **spread("event_p95_s", [percentile(one, 0.95) for one in ordered], 3),
        **spread("event_cpu_s", [one.cpu_s / events for one in rounds], 3),
        "replies_per_event": round(sum(len(one.texts) for one in made) / len(made), 3),
        "refused_share": round(sum(sum(one.refused.values()) for one in made) / written, 3),
        "load_average": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    run_benchmark(measure)
