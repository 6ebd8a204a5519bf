"""A web server that leaves nothing open, whenever it is told to end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import web

from core.listening import stop_accepting


class Listener:
    """Serves an application on one address. One event loop.

    Args:
        application: The application to be served.
        options: Further options of `aiohttp.web.AppRunner`.
    """

    def __init__(self, application: web.Application, **options: Any) -> None:
        self._runner = web.AppRunner(application, access_log=None, **options)
        self._listening: asyncio.Server | None = None
        self.port = 0
        """Where it listens, once it does."""

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return 0 if self._runner.server is None else len(self._runner.server.connections)

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            OSError: the address cannot be had.
        """
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("a runner that was set up has a server")
        # Cancelled while it starts, asyncio would leave its socket open and unknown to us.
        starting = asyncio.ensure_future(
            asyncio.get_running_loop().create_server(server, host, port, reuse_address=True)
        )
        try:
            listening = await asyncio.shield(starting)
        except asyncio.CancelledError:
            with suppress(OSError):
                self._listening = await starting
            raise
        self._listening = listening
        self.port = listening.sockets[0].getsockname()[1]

    async def end(self) -> None:
        """Accept nothing more, then close every connection; may be called at any time.

        aiohttp forgets a connection that is made while it closes the others, and it would stay
        open: what is on its way is let in first.
        """
        listening, self._listening = self._listening, None
        if listening is not None:
            await stop_accepting(listening.sockets)
            listening.close()
        await self._runner.cleanup()
