"""How a process ends: SIGTERM and SIGINT set an event, and whoever waits stops waiting."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from core.errors import ConfigError


async def until_signalled(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work` with an event that SIGTERM and SIGINT set; `work` returns soon after it is set.

    Raises:
        ConfigError: A task of `work` found the settings wrong.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await work(stop)
    except ExceptionGroup as failed:
        # One task's wrong settings are what is wrong, not that several tasks were at work.
        wrong = failed.subgroup(ConfigError)
        if wrong is None:
            raise
        raise wrong.exceptions[0] from failed


async def wait(stop: asyncio.Event, delay_s: float) -> None:
    """Wait for `delay_s` seconds, or until `stop` is set."""
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        return
