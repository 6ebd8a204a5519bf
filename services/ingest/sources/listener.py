"""A web server that leaves nothing open, whenever it is told to end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

_TURNS: Final = 5
"""Of the event loop; a connection that was accepted is the server's after three."""


class Listener:
    """Serves an application on one address. One event loop.

    Args:
        application: to be served.
        options: further ones of `aiohttp.web.AppRunner`.
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

        asyncio loses a connection that it has accepted when the server is closed before it is
        made, and aiohttp forgets one that is made while it closes the others: both would stay
        open. What is on its way is let in first.
        """
        listening, self._listening = self._listening, None
        if listening is not None:
            for one in listening.sockets:
                asyncio.get_running_loop().remove_reader(one.fileno())
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            listening.close()
        await self._runner.cleanup()
