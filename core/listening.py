"""How a server that listens is closed without losing whom it is just letting in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

_TURNS: Final = 5
"""Of the event loop; a connection that was accepted is the server's after three."""


class ListeningSocket(Protocol):
    """What is asked of a socket here."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


async def stop_accepting(sockets: Iterable[ListeningSocket]) -> None:
    """Take no more connections, and let in those on their way; then the server may be closed.

    asyncio loses a connection that it has accepted when the server is closed before the
    connection is made: it stays open, and nobody knows of it. Runs on the server's event loop.

    Args:
        sockets: The sockets of an `asyncio.Server`, or of what a library makes of one; none once
            closed.
    """
    loop = asyncio.get_running_loop()
    for one in sockets:
        loop.remove_reader(one.fileno())
    for _ in range(_TURNS):
        await asyncio.sleep(0)
