"""How the fake Mastodon server streams, both ways, and what goes wrong in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from testkit.platforms.mastodon.faults import Faults
from testkit.platforms.site import abort, request_is_open

_PIECE_BYTES: Final = 97
_DRIP_S: Final = 0.05
_ANNOUNCED_BYTES: Final = 60_000
"""Length of the frame that is dripped; longer than any test waits."""


@dataclass(eq=False)
class Client:
    """One open connection.

    Attributes:
        streams: that it listens to.
        queue: what it is to be sent: (stream, event, payload), or bytes; None ends it.
        request: that opened it.
    """

    streams: set[str]
    queue: asyncio.Queue[tuple[str, str, str] | bytes | None]
    request: web.Request


class Streaming(Protocol):
    """The server, as far as streams need it."""

    heartbeat_s: float
    faults: Faults

    def count(self, what: str) -> None:
        """Note that something was used."""
        ...


async def serve_sse(server: Streaming, client: Client, answer: web.StreamResponse) -> None:
    """Stream events and comments until the client is ended."""
    while True:
        event = await _next(server, client)
        if event is None:
            return
        if event == "":
            if not server.faults.stall:
                await answer.write(b":thump\n")
        elif isinstance(event, bytes):
            await answer.write(event)
        elif server.faults.stall:
            server.count("stall")
        else:
            _, name, payload = event
            wire = f"event: {name}\ndata: {_spoiled(server, payload)}\n\n".encode()
            if await _go_wrong(server, client, wire, b"event: update\ndata: ", answer.write):
                return


async def serve_websocket(server: Streaming, client: Client, socket: web.WebSocketResponse) -> None:
    """Send events and pings until the client is ended, then close.

    Raises:
        TypeError: bytes of server-sent events came.
    """

    async def write(piece: bytes) -> None:
        if client.request.transport is not None:
            client.request.transport.write(piece)

    while (event := await _next(server, client)) is not None:
        if event == "":
            if not server.faults.stall:
                await socket.ping()
        elif isinstance(event, bytes):
            raise TypeError("bytes of server-sent events are for clients of these")
        elif server.faults.stall:
            server.count("stall")
        else:
            text = _message(event[0], event[1], _spoiled(server, event[2]))
            if await _go_wrong(server, client, _frame(text), _head(_ANNOUNCED_BYTES), write):
                return
    await socket.close(code=1011)


async def _next(server: Streaming, client: Client) -> tuple[str, str, str] | bytes | str | None:
    """Return what comes next; "" is time for a sign of life."""
    try:
        async with asyncio.timeout(server.heartbeat_s):
            return await client.queue.get()
    except TimeoutError:
        return ""


async def _go_wrong(
    server: Streaming,
    client: Client,
    wire: bytes,
    beginning: bytes,
    write: Callable[[bytes], Awaitable[object]],
) -> bool:
    """Send an event, with the fault that is wanted; True ends the stream.

    Args:
        server: that counts and knows the faults.
        client: to be cut off.
        wire: the bytes of the event.
        beginning: of one that never ends.
        write: sends bytes.
    """
    if _meets(server, "half_event"):
        await write(wire[: len(wire) // 2])
        await asyncio.sleep(_DRIP_S)
        abort(client.request)
        return True
    if _meets(server, "drip"):
        await write(beginning)
        while request_is_open(client.request):
            await write(b" ")
            await asyncio.sleep(_DRIP_S)
        return True
    pieces = [wire]
    if server.faults.slow_bytes:
        server.count("slow_bytes")
        starts = range(0, len(wire), _PIECE_BYTES)
        pieces = [wire[place : place + _PIECE_BYTES] for place in starts]
    for piece in pieces:
        await write(piece)
        await asyncio.sleep(0)
    return False


def _spoiled(server: Streaming, payload: str) -> str:
    return payload[: len(payload) // 2] if _meets(server, "wrong_json") else payload


def _meets(server: Streaming, fault: str) -> bool:
    """Tell whether a fault that happens once is wanted, which it is no longer then."""
    is_wanted = bool(getattr(server.faults, fault))
    if is_wanted:
        setattr(server.faults, fault, False)
        server.count(fault)
    return is_wanted


def _message(stream: str, name: str, payload: str) -> bytes:
    kind, _, tag = stream.rpartition(":") if stream.startswith("hashtag") else (stream, "", "")
    where = [kind, tag] if tag else [kind]
    return json.dumps({"stream": where, "event": name, "payload": payload}).encode()


def _frame(text: bytes) -> bytes:
    """Return the one frame of a text message as servers send it: whole and without a mask."""
    return _head(len(text)) + text


def _head(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return bytes((0x81, 126)) + length.to_bytes(2, "big")
    return bytes((0x81, 127)) + length.to_bytes(8, "big")
