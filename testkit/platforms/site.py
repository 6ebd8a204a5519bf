"""A web server in a thread, for fakes of platforms: it outlives the process that reads it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, TypeVar

from aiohttp import web

from services.ingest.sources.listener import Listener
from services.local.ports import reserved_port
from testkit.waiting import wait_until

T = TypeVar("T")

PATIENCE_S: Final = 60.0
"""For what comes at once, unless the machine is very busy."""


class ThreadedSite:
    """Serves one application on a free loopback port between `start` and `stop`.

    Args:
        application: made on the server's own loop.
    """

    def __init__(self, application: Callable[[], web.Application]) -> None:
        self._make = application
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: Listener | None = None
        self._port_kept = ExitStack()
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def do(self, work: Callable[[], T]) -> T:
        """Run a function on the server's loop and return its result."""

        async def done() -> T:
            return work()

        return self.call(done())

    def start(self) -> ThreadedSite:
        """Serve; the port stays the same when started again."""
        if not self._thread.is_alive():
            self._thread.start()
            self.port = self._port_kept.enter_context(reserved_port())
        self.call(self._start())
        return self

    async def _start(self) -> None:
        self._listener = Listener(self._make(), shutdown_timeout=0.1)
        await self._listener.start("127.0.0.1", self.port)

    def pause(self) -> None:
        """Close every connection and refuse new ones until `start`."""
        self.call(self.end())

    async def end(self) -> None:
        """Do what `pause` does, on the server's loop."""
        if self._listener is not None:
            await self._listener.end()
            self._listener = None

    def stop(self) -> None:
        """End the server and its thread."""
        self.pause()
        self.call(_end_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
        self._port_kept.close()

    def __enter__(self) -> ThreadedSite:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


async def _end_others() -> None:
    """Cancel what still runs on this loop, and wait for it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def abort(request: web.Request) -> None:
    """Reset the connection of a request: no farewell, as when a cable is cut."""
    transport = request.transport
    if transport is not None:
        transport.abort()


def request_is_open(request: web.Request) -> bool:
    """Tell whether somebody still waits for the answer."""
    return request.transport is not None and not request.transport.is_closing()


wait_for = partial(wait_until, what="what the platform waits for", patience_s=PATIENCE_S)
"""Return once a claim is true; see `testkit.waiting`."""
