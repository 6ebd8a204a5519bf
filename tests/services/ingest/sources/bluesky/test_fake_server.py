"""The fake of Jetstream leaves nothing open, whenever it is stopped."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest
from websockets.sync.client import connect

from testkit.platforms.bluesky.server import FakeJetstream
from testkit.platforms.bluesky.sessions import Wish


@pytest.mark.parametrize("turns", range(8))
def test_a_connection_that_is_being_accepted_at_the_end_is_closed(turns: int) -> None:
    server = FakeJetstream().start()
    loop = server._loop
    assert loop is not None
    with socket.socket() as line:
        line.setblocking(False)

        async def connect_and_stop() -> None:
            line.connect_ex(("127.0.0.1", server.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            server._stopping.set()

        asyncio.run_coroutine_threadsafe(connect_and_stop(), loop).result(60)
        server.stop()
        line.settimeout(60.0)
        with suppress(ConnectionResetError):  # cut off, as it should be
            assert line.recv(1) == b""


def test_where_a_session_starts_is_settled_before_its_request_is_seen() -> None:
    seen: list[list[str]] = []

    class Watched(FakeJetstream):
        def _place(self, wish: Wish) -> None:
            seen.append(list(self.requests))

    with Watched() as server, connect(f"{server.host}/subscribe", open_timeout=60.0):
        assert seen == [[]]
        assert server.requests == ["/subscribe"]
