"""Many who watch the console at once, as a process of its own: live series, and questions.

Each viewer follows the live series of a query as server-sent events and now and then asks the API.
Questions are due at random moments (a Poisson process); the clock of one starts when it is due and
stops with the last byte of its answer. SIGTERM ends it: what was seen is written as JSON.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec

OPEN: Final = "all live series are open"
"""Said on standard output once that is so."""
_TIMEOUT_S: Final = 60.0
_STOP: Final = {signal.SIGTERM, signal.SIGINT}


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What the viewers do.

    Attributes:
        base: The address of the console.
        keys: Their keys; viewers share them if there are fewer.
        viewers: How many there are.
        queries: Names of the queries that they follow.
        asks_per_s: Questions a second, of all of them together.
        seed: Of moments and questions.
        report: The file for what was seen.
    """

    base: str
    keys: list[str]
    viewers: int
    queries: list[str]
    asks_per_s: float
    seed: int
    report: str


class Seen(msgspec.Struct, kw_only=True):
    """What the viewers saw.

    Attributes:
        took_ms: Question -> milliseconds from due to answered, of those answered well.
        windows: Windows that came live, over all viewers.
        refused: Status or error -> answers that were not what was asked for.
    """

    took_ms: dict[str, list[float]] = {}
    windows: int = 0
    refused: dict[str, int] = {}


class Viewers:
    """All viewers of one console.

    Args:
        watch: What they do.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._rng = random.Random(watch.seed)
        self._refused: Counter[str] = Counter()
        self._took_ms: dict[str, list[float]] = {}
        self._windows = 0
        self._open = 0
        self._all_open = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> Seen:
        """Watch until `stop` is set; return what was seen."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            self._watch.base, timeout=timeout, connector=connector
        ) as session:
            tasks = [
                asyncio.create_task(self._follow(session, n)) for n in range(self._watch.viewers)
            ]
            opened = asyncio.create_task(self._all_open.wait())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({opened, stopped}, return_when=asyncio.FIRST_COMPLETED)
            sys.stdout.write(f"{OPEN}\n")
            sys.stdout.flush()
            await self._ask_until(session, stopped)
            for task in (*tasks, opened, stopped):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Seen(
            took_ms=self._took_ms,
            windows=self._windows,
            refused=dict(sorted(self._refused.items())),
        )

    def _headers(self, number: int) -> dict[str, str]:
        keys = self._watch.keys
        return {"Authorization": f"Bearer {keys[number % len(keys)]}"}

    async def _follow(self, session: aiohttp.ClientSession, number: int) -> None:
        query = self._watch.queries[number % len(self._watch.queries)]
        path = f"/api/v1/queries/{query}/live"
        try:
            async with session.get(path, headers=self._headers(number)) as answer:
                answer.raise_for_status()
                self._open += 1
                if self._open == self._watch.viewers:
                    self._all_open.set()
                async for line in answer.content:
                    self._windows += line.startswith(b"event: window")
                self._refused["a live series ended"] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self._refused[f"live: {type(error).__name__}"] += 1

    async def _ask_until(
        self, session: aiohttp.ClientSession, stopped: asyncio.Task[Literal[True]]
    ) -> None:
        """Ask when it is due, whatever becomes of the questions before; wait for all answers."""
        began, due_s = time.monotonic(), 0.0
        asking: list[asyncio.Task[None]] = []
        while not stopped.done():
            due_s += self._rng.expovariate(self._watch.asks_per_s)
            ahead_s = max(0.0, began + due_s - time.monotonic())
            await asyncio.wait({stopped}, timeout=ahead_s)
            if not stopped.done():
                asking.append(asyncio.create_task(self._ask(session, len(asking), began + due_s)))
        # The slowest are among those that are not answered yet.
        await asyncio.gather(*asking)

    async def _ask(self, session: aiohttp.ClientSession, number: int, due_at: float) -> None:
        query = self._rng.choice(self._watch.queries)
        name, path = self._rng.choices(
            [
                ("windows", f"/api/v1/queries/{query}/windows?limit=60"),
                ("hours", f"/api/v1/queries/{query}/windows?step=1h&limit=24"),
                ("queries", "/api/v1/queries?limit=100"),
                ("alerts", "/api/v1/alerts?limit=20"),
            ],
            [6, 2, 1, 1],
        )[0]
        try:
            async with session.get(path, headers=self._headers(number)) as answer:
                await answer.read()
                if answer.status != 200:
                    self._refused[f"{name}: {answer.status}"] += 1
                    return
        except (aiohttp.ClientError, TimeoutError) as error:
            self._refused[f"{name}: {type(error).__name__}"] += 1
            return
        self._took_ms.setdefault(name, []).append((time.monotonic() - due_at) * 1000)


async def main(watch: Watch) -> Seen:
    """Watch until a signal comes."""
    stop = asyncio.Event()
    for number in _STOP:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await Viewers(watch).run(stop)


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.stdin.read(), type=Watch)
    Path(wanted.report).write_bytes(msgspec.json.encode(asyncio.run(main(wanted))))
