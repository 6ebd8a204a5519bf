"""Calls one after the other: how long each takes, and what a policy of Triton's queue adds to that.

Real Triton with the shipped models. The post encoder is asked by one caller, four posts at a time,
and by four callers, sixteen at a time; the crowd model by one caller, one event at a time. A caller
asks again as soon as it is answered. Two servers take turns: one as it is built, the other with a
limit and a time-out for the queue of each model, as the configuration had it before: with either,
Triton wakes its batcher for idle instances only, and a request that comes just before an instance
is idle waits until the batcher looks again by itself, half a second later.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from benchmarks.harness import Measured, Options, percentile, run_benchmark, say, spread
from benchmarks.posts import texts
from core.config import build as settings_of
from core.ports import CrowdQuestions
from core.settings import ScorerSettings
from evaluation.drawing import bars
from models.build_crowd import CROWD
from models.scorers import CROWDS, SCORERS
from models.serving.place import MODEL_NAME
from services.local.paths import DEFAULT_PATHS
from services.local.triton_server import TritonServer, build_model_repository

CALLS: Final = 400
LANES: Final = {"encoder_one": (1, 4), "encoder_four": (4, 16)}
"""Name -> how many callers, and posts in a call."""
STALLED_S: Final = 0.4
"""Nothing that is asked for here takes so long by itself."""
_NO_WAIT: Final = "  max_queue_delay_microseconds: 0\n"
_POLICY: Final = (
    "  default_queue_policy {\n    max_queue_size: 64\n    timeout_action: REJECT\n"
    "    default_timeout_microseconds: 30000000\n    allow_timeout_override: true\n  }\n"
)
_USUAL: Final = np.full((1, 3), 1 / 3, np.float32)
Call = Callable[[], Awaitable[object]]


def _repository(folder: Path, has_policy: bool) -> Path:
    """Return a repository of the two models in a folder, with a policy of their queues or as built.

    Its large files are links to those of the repository that was built.
    """
    for model in (MODEL_NAME, CROWD):
        made = shutil.copytree(
            DEFAULT_PATHS.model_repository / model, folder / model, copy_function=os.link
        )
        if has_policy:
            file = made / "config.pbtxt"
            text = file.read_text("utf-8")
            file.unlink()  # a link: never written through
            file.write_text(text.replace(_NO_WAIT, _NO_WAIT + _POLICY), "utf-8")
    return folder


async def _callers(many: int, calls: int, call: Call) -> list[float]:
    """Return the seconds that each call took."""
    found: list[float] = []

    async def caller() -> None:
        for _ in range(max(1, calls // many)):
            asked = time.monotonic()
            await call()
            found.append(time.monotonic() - asked)

    await asyncio.gather(*(caller() for _ in range(many)))
    return found


async def _timed(
    settings: ScorerSettings, said: Iterator[str], calls: int
) -> dict[str, list[float]]:
    """Return the seconds of each call, by who was asked."""
    scorer, crowd = SCORERS.get("triton")(settings), CROWDS.get("triton")(settings)

    def score(posts: int) -> Call:
        return lambda: scorer.score_batch([next(said) for _ in range(posts)], ["en"] * posts)

    def expect() -> Awaitable[object]:
        heads, seen = np.full((1, 7), 0.2, np.float32), np.zeros((1, 7, 3), np.float32)
        return crowd.expect(
            CrowdQuestions(_USUAL, heads, seen, np.zeros((1, 2), np.float32), [next(said)])
        )

    asks: dict[str, tuple[int, Call]] = {CROWD: (1, expect)}
    asks |= {name: (many, score(posts)) for name, (many, posts) in LANES.items()}
    try:
        found: dict[str, list[float]] = {}
        for name, (many, call) in asks.items():
            await call()
            found[name] = await _callers(many, calls, call)
        return found
    finally:
        await scorer.close()
        await crowd.close()


def measure(options: Options) -> Measured:
    """Measure both servers in turn."""
    build_model_repository()
    calls = options.size(CALLS, 20)
    found: dict[str, list[list[float]]] = {}
    posts = sum(posts for _many, posts in LANES.values()) + 1
    said = iter(texts(2 * options.rounds * (calls + 2) * posts, options.seed))
    with TemporaryDirectory(dir=DEFAULT_PATHS.model_repository.parent) as scratch:
        for number in range(options.rounds):
            arms = ("as_built", "with_policy")
            for arm in arms if number % 2 == 0 else arms[::-1]:
                place = Path(scratch) / f"{number}-{arm}"
                repository = _repository(place / "models", arm == "with_policy")
                with TritonServer(place / "server", repository=repository) as server:
                    scorer = settings_of({"scorer": {"url": server.grpc_address}}).scorer
                    for name, seconds in asyncio.run(_timed(scorer, said, calls)).items():
                        found.setdefault(f"{arm}_{name}", []).append(sorted(seconds))
                        say(f"round {number + 1}, {arm}, {name}: {statistics.mean(seconds):.4f} s")
    figures: dict[str, float] = {}
    for name, rounds in found.items():
        in_ms = [[1e3 * one for one in seconds] for seconds in rounds]
        for share in (50, 95, 99):
            figures |= spread(f"{name}_p{share}_ms", [percentile(r, share / 100) for r in in_ms])
        figures |= spread(f"{name}_mean_ms", [statistics.mean(r) for r in in_ms])
        stalled = [sum(one > STALLED_S for one in r) / len(r) for r in rounds]
        figures[f"{name}_stalled_share"] = round(statistics.mean(stalled), 4)
    settings = {"calls": calls, "callers_and_posts": {n: list(v) for n, v in LANES.items()}}
    rows = [
        (name, figures[mean], figures[f"{mean}_least"], figures[f"{mean}_most"])
        for name, mean in ((name, f"{name}_mean_ms") for name in sorted(found))
    ]
    return Measured(figures, settings, bars("A call, one after the other", "ms", rows))


if __name__ == "__main__":
    run_benchmark(measure)
