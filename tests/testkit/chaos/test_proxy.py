"""The TCP proxy: it passes, delays, cuts and refuses."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.listening import stop_accepting
from services.local.ports import LOOPBACK
from testkit.chaos.proxy import ProxyThread, TcpProxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        try:
            while chunk := await reader.read(1 << 16):
                writer.write(chunk)
                await writer.drain()
        finally:
            writer.close()
            await writer.wait_closed()


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """A proxy before a server that says everything back."""
    server = await asyncio.start_server(_echo, LOOPBACK, 0)
    made = TcpProxy(server.sockets[0].getsockname()[1])
    await made.start()
    yield made
    await made.stop()
    await stop_accepting(server.sockets)
    server.close()


async def _say(port: int, what: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(what)
        await writer.drain()
        return await reader.readexactly(len(what))
    finally:
        writer.transport.abort()


async def test_bytes_pass_unchanged(proxy: TcpProxy):
    what = bytes(range(256)) * 4096
    assert await _say(proxy.port, what) == what
    assert proxy.connections == 1


async def test_what_passes_is_delayed_in_both_directions(proxy: TcpProxy):
    loop = asyncio.get_running_loop()
    proxy.latency_s = 0.1
    before = loop.time()
    await _say(proxy.port, b"slowly")
    assert loop.time() - before >= 0.2


async def test_a_delayed_answer_comes_after_one_that_goes_past_the_proxy(proxy: TcpProxy):
    proxy.latency_s = 0.3
    order: list[str] = []

    async def ask(port: int, name: str) -> None:
        await _say(port, b"?")
        order.append(name)

    await asyncio.gather(ask(proxy.port, "proxied"), ask(proxy.target_port, "direct"))
    assert order == ["direct", "proxied"]


async def test_a_cut_ends_what_is_open_and_new_connections_pass(proxy: TcpProxy):
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    writer.write(b"open")
    assert await reader.readexactly(4) == b"open"
    proxy.cut()
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    assert await _say(proxy.port, b"again") == b"again"


async def test_while_it_refuses_nobody_gets_through(proxy: TcpProxy):
    proxy.is_refusing = True
    try:
        said = await _say(proxy.port, b"?")
    except (OSError, asyncio.IncompleteReadError):
        said = b""
    assert said == b""
    proxy.is_refusing = False
    assert await _say(proxy.port, b"!") == b"!"


async def test_a_server_that_is_away_looks_away_through_the_proxy(proxy: TcpProxy):
    proxy.target_port = 1
    try:
        said = await _say(proxy.port, b"?")
    except (OSError, asyncio.IncompleteReadError):
        said = b""
    assert said == b""


def test_proxies_on_a_thread_serve_a_driver_that_is_not_asynchronous():
    async def talk(port: int) -> bytes:
        server = await asyncio.start_server(_echo, LOOPBACK, 0)
        try:
            proxy.target_port = server.sockets[0].getsockname()[1]
            return await _say(port, b"thread")
        finally:
            server.close()
            # Who serves its connections ends with them; none outlives the loop.
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    with ProxyThread() as proxies:
        proxy = proxies.add()
        assert asyncio.run(talk(proxy.port)) == b"thread"
        proxies.cut(proxy)


@pytest.mark.parametrize("turns", range(12))
async def test_a_connection_that_is_being_led_through_at_the_end_is_closed(turns: int):
    async with await asyncio.start_server(_echo, LOOPBACK, 0) as server:
        proxy = TcpProxy(server.sockets[0].getsockname()[1])
        await proxy.start()
        with socket.socket() as line:
            line.setblocking(False)
            line.connect_ex((LOOPBACK, proxy.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            await proxy.stop()
            with contextlib.suppress(ConnectionResetError):  # cut off, as it should be
                heard = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(line, 1), 60)
                assert heard == b""
        await stop_accepting(server.sockets)
