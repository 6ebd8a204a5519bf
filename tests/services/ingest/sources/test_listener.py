"""A server that is started, ended, ended twice, and given up while it starts."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from services.ingest.sources.listener import Listener

HOST = "127.0.0.1"


async def _answers(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


async def test_it_says_where_it_listens_and_how_many_are_connected() -> None:
    listener = Listener(web.Application())
    assert (listener.port, listener.connections) == (0, 0)
    await listener.start(HOST, 0)
    try:
        assert listener.port > 0
        assert listener.connections == 0
        assert b"404" in await _answers(listener.port)
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert listener.connections == 1
    finally:
        await listener.end()
    await reader.read()
    assert reader.at_eof()
    writer.close()
    await writer.wait_closed()
    assert listener.connections == 0


async def test_it_may_be_ended_at_any_time_and_twice() -> None:
    never_started = Listener(web.Application())
    await never_started.end()
    listener = Listener(web.Application())
    await listener.start(HOST, 0)
    await listener.end()
    await listener.end()
    assert listener.connections == 0


async def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    first, second = Listener(web.Application()), Listener(web.Application())
    await first.start(HOST, 0)
    try:
        with pytest.raises(OSError, match="in use"):
            await second.start(HOST, first.port)
        assert second.port == 0
    finally:
        await second.end()
        await first.end()


async def test_one_that_is_given_up_while_it_starts_leaves_no_socket_open() -> None:
    listener = Listener(web.Application())
    loop = asyncio.get_running_loop()
    create, made = loop.create_server, asyncio.Event()
    servers: list[asyncio.Server] = []

    async def slowly(*args: object, **options: object) -> asyncio.Server:
        made.set()
        await asyncio.sleep(0)
        servers.append(await create(*args, **options))  # type: ignore[arg-type]
        return servers[0]

    loop.create_server = slowly  # type: ignore[method-assign,assignment]
    try:
        starting = asyncio.create_task(listener.start(HOST, 0))
        await made.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    finally:
        del loop.create_server
    (server,) = servers
    assert server.is_serving()
    await listener.end()
    assert not server.is_serving()
