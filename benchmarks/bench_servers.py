"""Two model servers against one with the same cores in all; two of them killed and hung in turn.

Real Triton with the shipped model. One server has two cores, each of the two has one of them. Posts
are English, no two alike, in batches of 64, eight in flight. The arms take turns, each with servers
of its own that were started for it, so that no text was scored before. In the last part the two
are killed and started again in turn under the same load, and then stopped in turn as if they hung:
every batch must be answered, and none may wait for longer than the time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec.structs import replace

from benchmarks.harness import Measured, Options, run_benchmark, say
from benchmarks.lab import BenchFailed
from benchmarks.posts import texts
from core.errors import ScorerUnavailable
from core.ports import Scorer
from core.settings import ScorerSettings
from evaluation.drawing import bars
from models.scorers import SCORERS
from services.local.child import Command, signal_session
from services.local.triton_server import TritonServer, build_model_repository

POSTS: Final = 16_384
BATCH: Final = 64
IN_FLIGHT: Final = 8
TIMEOUT_S: Final = 30.0
HANG_S: Final = 10.0
_LEAST_HANG_S: Final = 2.0
_SLACK_S: Final = 1.0
"""What this process itself may add to the time-out on a busy machine."""


class PinnedTriton(TritonServer):
    """A server that runs on some of the cores only."""

    def __init__(self, directory: Path, cores: Sequence[int]) -> None:
        super().__init__(directory)
        self._cores = ",".join(map(str, cores))

    def command(self) -> Command:
        """Return the server's command on its cores."""
        plain = super().command()
        argv = ("taskset", "--cpu-list", self._cores, *plain.argv)
        return Command(argv, plain.env, plain.cwd, inherits=plain.inherits)


@contextlib.contextmanager
def _serving(directory: Path, parts: Sequence[Sequence[int]]) -> Iterator[list[PinnedTriton]]:
    """Run a server on each part of the cores."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(PinnedTriton(directory / str(number), cores))
            for number, cores in enumerate(parts)
        ]


def _scorer(servers: Sequence[TritonServer]) -> Scorer:
    plain = ScorerSettings(kind="triton", timeout_s=TIMEOUT_S)
    urls = tuple(server.grpc_address for server in servers)
    return SCORERS.get("triton")(replace(plain, url=urls))


async def _score(scorer: Scorer, batches: Iterator[list[str]], waits_s: list[float]) -> None:
    """Score what is left, batch by batch, each until it is answered."""
    for batch in batches:
        while True:
            asked = time.monotonic()
            try:
                answer = await scorer.score_batch(batch, ["en"] * len(batch))
            except ScorerUnavailable:
                waits_s.append(time.monotonic() - asked)
                await asyncio.sleep(0.1)
                continue
            waits_s.append(time.monotonic() - asked)
            if len(answer.rated) != len(batch):
                raise BenchFailed(f"{len(batch)} posts, {len(answer.rated)} scores")
            break


async def _rate(servers: Sequence[TritonServer], posted: list[str]) -> float:
    """Return posts a second."""
    scorer = _scorer(servers)
    try:
        await scorer.score_batch(["warm up"] * BATCH, ["en"] * BATCH)
        batches = (posted[at : at + BATCH] for at in range(0, len(posted), BATCH))
        started = time.monotonic()
        await asyncio.gather(*(_score(scorer, batches, []) for _ in range(IN_FLIGHT)))
        return len(posted) / (time.monotonic() - started)
    finally:
        await scorer.close()


async def _kill(server: TritonServer) -> None:
    server.kill()
    server.start()
    await asyncio.to_thread(server.wait_ready)


async def _hang(server: TritonServer, lasting_s: float) -> None:
    """Stop a server with all its processes for a while."""
    signal_session(server.pid, signal.SIGSTOP)
    await asyncio.sleep(lasting_s)
    signal_session(server.pid, signal.SIGCONT)
    await asyncio.to_thread(server.wait_ready)


async def _in_turn(
    servers: Sequence[TritonServer],
    posted: list[str],
    hurt: Callable[[TritonServer], Awaitable[None]],
) -> list[float]:
    """Return the seconds that each call took while the servers were hurt one after the other."""
    scorer, waits_s = _scorer(servers), list[float]()
    turns_over = asyncio.Event()

    def endless() -> Iterator[list[str]]:
        at = 0
        while not turns_over.is_set():
            yield [f"{text} {at}" for text in posted[:BATCH]]
            at += 1

    batches = endless()
    lanes = [asyncio.create_task(_score(scorer, batches, waits_s)) for _ in range(IN_FLIGHT)]
    try:
        for server in servers:
            await hurt(server)
        turns_over.set()
        await asyncio.gather(*lanes)
    finally:
        for lane in lanes:
            lane.cancel()
        await scorer.close()
    if max(waits_s) > TIMEOUT_S + _SLACK_S:
        raise BenchFailed(f"a batch waited {max(waits_s):.1f} s, expected at most {TIMEOUT_S:g} s")
    return waits_s


def measure(options: Options) -> Measured:
    """Measure both arms in turn, then kill and hang the two servers in turn."""
    build_model_repository()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise BenchFailed("two cores are needed, one is there")
    arms = {"one": [cores], "two": [[core] for core in cores]}
    rates: dict[str, list[float]] = {name: [] for name in arms}
    size = options.size(POSTS, BATCH * IN_FLIGHT)
    posted = list(texts(size, options.seed))
    lasting_s = max(_LEAST_HANG_S, HANG_S * options.scale)
    with TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            for name in (*arms,) if number % 2 == 0 else (*reversed(arms),):
                with _serving(Path(scratch) / f"{number}-{name}", arms[name]) as servers:
                    rates[name].append(asyncio.run(_rate(servers, posted)))
                say(f"round {number + 1}, {name}: {rates[name][-1]:,.0f} posts/s")
        with _serving(Path(scratch) / "killed", arms["two"]) as servers:
            killed_s = asyncio.run(_in_turn(servers, posted, _kill))
            hung_s = asyncio.run(_in_turn(servers, posted, lambda one: _hang(one, lasting_s)))
    ratios = [two / one for one, two in zip(rates["one"], rates["two"], strict=True)]
    figures = {
        **{f"{name}_posts_per_s": statistics.median(found) for name, found in rates.items()},
        "two_to_one": statistics.median(ratios),
        "two_to_one_least": min(ratios),
        "two_to_one_most": max(ratios),
        "killed_calls": float(len(killed_s)),
        "killed_longest_wait_s": max(killed_s),
        "hung_calls": float(len(hung_s)),
        "hung_longest_wait_s": max(hung_s),
    }
    rows = [(name, statistics.median(v), min(v), max(v)) for name, v in rates.items()]
    settings = {"posts": size, "batch": BATCH, "in_flight": IN_FLIGHT, "timeout_s": TIMEOUT_S,
                "hang_s": lasting_s}  # fmt: skip
    return Measured(figures, settings, bars("Servers on two cores", "posts/s", rows))


if __name__ == "__main__":
    run_benchmark(measure)
