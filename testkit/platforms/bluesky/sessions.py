"""One session of the fake Jetstream server: what was asked for, and what goes wrong in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from websockets.asyncio.server import ServerConnection

from testkit.platforms.bluesky.journal import Entry, refusal

Kind = Literal[
    "abort", "going_away", "stall", "half_frame", "loris", "wrong_json", "binary", "repeat",
    "reorder", "bomb", "huge", "too_slow", "error",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong in one session, after `after` events of it."""

    kind: Kind
    after: int = 0


@dataclass(slots=True)
class Wish:
    """What one session asked for.

    Attributes:
        notice: what a v2 session is told first; empty for nothing.
        start: place in the journal from which it is sent.
    """

    is_v2: bool
    cursor: int
    collections: set[str]
    dids: set[str]
    zstd: bool
    hello: bool
    notice: bytes = b""
    start: int = 0

    @classmethod
    def of(cls, query: dict[str, list[str]], is_v2: bool) -> Wish:
        """Return what the query of an address asks for."""
        names = ("collections", "dids") if is_v2 else ("wantedCollections", "wantedDids")
        return cls(
            is_v2=is_v2,
            cursor=int(query.get("cursor", ["0"])[0]),
            collections=set(query.get(names[0], [])),
            dids=set(query.get(names[1], [])),
            zstd="zstdDictionary" in query if is_v2 else query.get("compress") == ["true"],
            hello=query.get("requireHello") == ["true"],
        )

    def includes(self, entry: Entry) -> bool:
        """Tell whether the filter lets an event pass."""
        if self.dids and entry.did not in self.dids:
            return False
        # Accounts and identities come whatever collections are asked for.
        return not self.collections or not entry.collection or entry.collection in self.collections

    def frame_of(self, entry: Entry) -> bytes:
        """Return an event in the version of the session."""
        return entry.v2 if self.is_v2 else entry.v1


async def take_hello(connection: ServerConnection, wish: Wish) -> bool:
    """Read the filter that comes as a message; False if it is none and the session is over."""
    try:
        told = msgspec.json.decode(await connection.recv())
        payload = told["payload"] if told["type"] == "options_update" else {}
        wish.collections = set(payload["wantedCollections"])
        wish.dids = set(payload["wantedDids"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        await connection.close(1008, "invalid options")
        return False
    return True


async def misbehave(
    connection: ServerConnection,
    kind: Kind,
    near: Sequence[bytes],
    send: Callable[[bytes], Awaitable[None]],
    pack: Callable[[bytes], bytes],
) -> bool:
    """Do what a fault says; True ends the session.

    Args:
        connection: of the session.
        kind: of the fault.
        near: frames around this place, for faults that send some again.
        send: sends a frame as the session wants it.
        pack: compresses under the server's dictionary.
    """
    if kind == "wrong_json":
        for frame in (b'{"did":', b"[]", b'{"did":1,"kind":"commit"}', b"null"):
            await send(frame)
    elif kind == "binary":
        await connection.send(b"\x00\x01\x02", text=False)
    elif kind in ("repeat", "reorder"):
        for frame in reversed(near) if kind == "reorder" else near:
            await send(frame)
    elif kind == "bomb":
        await connection.send(pack(bytes(50_000_000)), text=False)
    elif kind == "huge":
        await connection.send(b" " * 3_000_000, text=True)
    else:
        await _end(connection, kind, send)
        return True
    return False


async def _end(
    connection: ServerConnection, kind: Kind, send: Callable[[bytes], Awaitable[None]]
) -> None:
    """End the session in the way of a fault."""
    if kind == "going_away":
        await connection.close(1001, "server shutting down")
    elif kind == "stall":
        await connection.wait_closed()
    elif kind in ("too_slow", "error"):
        name = "ConsumerTooSlow" if kind == "too_slow" else "InternalError"
        await send(refusal(name, "reconnect"))
        await connection.close(1008 if kind == "too_slow" else 1011, name)
    else:
        if kind in ("half_frame", "loris"):
            # A text frame of 1,024 bytes is announced and never comes to its end.
            connection.transport.write(b'\x81\x7e\x04\x00{"did":')
        while kind == "loris" and not connection.transport.is_closing():
            await asyncio.sleep(0.05)
            connection.transport.write(b" ")
        connection.transport.abort()
