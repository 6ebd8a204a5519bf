"""A small TCP proxy that delays what passes, cuts connections and refuses new ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from core.listening import stop_accepting
from services.local.ports import LOOPBACK

_CHUNK_BYTES: Final = 262_144
_START_TIMEOUT_S: Final = 60.0


class TcpProxy:
    """Passes bytes between clients and one loopback port. Lives on one event loop.

    Attributes:
        target_port: Where connections are led; may be changed.
        latency_s: Every chunk waits so long, in either direction; may be changed at any time.
        drip_s: What comes back passes byte by byte, one in so long, while it is not 0.
        is_refusing: New connections are closed at once while True.
        connections: How many were led through.
    """

    def __init__(self, target_port: int = 0) -> None:
        self.target_port = target_port
        self.latency_s = 0.0
        self.drip_s = 0.0
        self.is_refusing = False
        self.connections = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen on a loopback port, a free one if 0."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Reset every connection now."""
        for writer in list(self._open):
            writer.transport.abort()

    async def stop(self) -> None:
        """Cut everything and stop listening."""
        if self._server is not None:
            await stop_accepting(self._server.sockets)
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the next turn of the loop

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.is_refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.target_port)
        except BaseException as error:  # a cut at this moment too
            writer.transport.abort()
            if isinstance(error, OSError):
                return
            raise
        self.connections += 1
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._pass(reader, far_writer), self._pass(far_reader, writer, is_answer=True)
            )
        finally:
            self._open -= {writer, far_writer}
            for side in (writer, far_writer):
                side.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool = False
    ) -> None:
        """Pass one direction until it ends; the end of one is the end of both."""
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if self.latency_s > 0:
                    await asyncio.sleep(self.latency_s)
                while is_answer and self.drip_s > 0 and len(chunk) > 1:
                    writer.write(chunk[:1])
                    await asyncio.sleep(self.drip_s)
                    chunk = chunk[1:]
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()


class ProxyThread:
    """Proxies on a thread of their own, for a driver that is not asynchronous. Context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._proxies: list[TcpProxy] = []

    def __enter__(self) -> ProxyThread:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every proxy and the thread."""
        for proxy in self._proxies:
            self._call(proxy.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_TIMEOUT_S)
        self._loop.close()

    def add(self) -> TcpProxy:
        """Return a proxy that listens already; its `target_port` is still to be set."""
        proxy = TcpProxy()
        self._call(proxy.start)
        self._proxies.append(proxy)
        return proxy

    def cut(self, proxy: TcpProxy) -> None:
        """Reset the proxy's connections."""
        self._loop.call_soon_threadsafe(proxy.cut)

    def _call(self, work: Callable[[], Awaitable[None]]) -> None:
        async def awaited() -> Any:
            await work()

        asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(_START_TIMEOUT_S)
