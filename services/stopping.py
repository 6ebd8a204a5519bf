"""How a process ends: SIGTERM and SIGINT set an event, and whoever waits stops waiting."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable


async def until_signalled(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work` with an event that SIGTERM and SIGINT set; `work` returns soon after it is set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await work(stop)


async def wait(stop: asyncio.Event, delay_s: float) -> None:
    """Wait for `delay_s` seconds, or until `stop` is set."""
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        return
