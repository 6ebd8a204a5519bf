"""The server of the fakes leaves nothing open, whenever it is stopped."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from testkit.platforms.site import ThreadedSite


@pytest.mark.parametrize("turns", range(8))
def test_a_connection_that_is_being_accepted_at_the_end_is_closed(turns: int) -> None:
    with ThreadedSite(web.Application) as site, socket.socket() as line:
        line.setblocking(False)

        async def connect_and_end() -> None:
            line.connect_ex(("127.0.0.1", site.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            await site.end()

        site.call(connect_and_end())
        line.settimeout(60.0)
        try:
            assert line.recv(1) == b""
        except ConnectionResetError:
            assert turns < 3  # it was never accepted


def test_what_an_answer_still_does_when_the_site_stops_is_ended() -> None:
    ended: list[bool] = []

    async def never_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    kept: list[asyncio.Task[None]] = []
    with ThreadedSite(web.Application) as site:
        site.do(lambda: kept.append(asyncio.ensure_future(never_end())))
    assert ended == [True]
