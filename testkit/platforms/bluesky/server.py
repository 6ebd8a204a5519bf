"""A Jetstream server for tests: speaks v1 and v2 as recorded, and misbehaves when told to.

A real websocket server on a loopback port, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from weakref import WeakSet

import zstandard
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from core.listening import stop_accepting
from services.ingest.sources.bluesky.client import DICTIONARY_PATH, PATHS, SUBPROTOCOL
from services.local.ports import reserved_port
from testkit.platforms.bluesky.answers import Answer, plain_answer, xrpc_answer
from testkit.platforms.bluesky.journal import Entry, info
from testkit.platforms.bluesky.sessions import Fault, Kind, Wish, misbehave, take_hello
from testkit.platforms.site import PATIENCE_S

_TIME_CURSOR: Final = 1_000_000_000_000_000


@dataclass
class FakeJetstream:
    """Serves a journal; append to it while sessions are open and they go on live.

    Attributes:
        entries: the journal, numbers rising.
        faults: one is taken by each session that opens, until there are none; None is no fault.
        answers: one is taken by each connection attempt, before a session; None is no answer.
        floor: the first entry that is still kept, by place in `entries`.
        dictionary: of zstd; empty: the server has none.
        packed: frame -> how it was recorded under `dictionary`, sent so instead of packed anew.
        numbers: False for an old server, which numbers nothing.
        time_cursor_early: a time cursor starts so many entries before.
        requests: paths and queries asked for, for tests to look at; a session's start is settled
            when it is there.
        sent: entries sent or about to be, over all sessions; whoever received one sees it counted.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    faults: deque[Fault | None] = field(default_factory=deque)
    answers: deque[Answer | None] = field(default_factory=deque)
    floor: int = 0
    dictionary: bytes = b""
    packed: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    numbers: bool = True
    time_cursor_early: int = 0
    requests: list[str] = field(default_factory=list[str])
    sent: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._more: asyncio.Event | None = None
        self._made: WeakSet[ServerConnection] = WeakSet()  # also those that still shake hands
        self._port_kept = ExitStack()

    # -- from outside -------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """Its address, as the option `hosts` takes it."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> FakeJetstream:
        """Listen, on the same port as before if there was one."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(PATIENCE_S):
            raise TimeoutError("the fake server did not start")
        return self

    def stop(self) -> None:
        """Close all sessions without a word, and stop listening."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(self._stopping.set)
        thread.join(PATIENCE_S)
        self._loop = None

    def __enter__(self) -> FakeJetstream:
        """Start, on a port that stays ours while we are away."""
        self.port = self._port_kept.enter_context(reserved_port())
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
        self._port_kept.close()

    def append(self, entries: Iterable[Entry]) -> None:
        """Add to the journal; open sessions send it."""
        self.entries.extend(entries)
        self._on_loop(self._wake)

    def abort_all(self) -> None:
        """End every open session without a word (close code 1006)."""
        self._on_loop(self._abort)

    def while_away(self, change: Callable[[], object]) -> None:
        """End every open session and make a change of which none of them hears; wait for it."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("the fake server does not run")

        async def away() -> None:
            self._abort()
            change()

        asyncio.run_coroutine_threadsafe(away(), loop).result(PATIENCE_S)

    def _abort(self) -> None:
        for connection in self._made:
            # One that was only just accepted has none yet, and has asked for nothing.
            if hasattr(connection, "transport"):
                connection.transport.abort()

    def _on_loop(self, call: Callable[[], Any]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(call)

    def _wake(self) -> None:
        if self._more is not None:
            self._more.set()
            self._more = asyncio.Event()

    # -- the server's thread ------------------------------------------------------------------

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._more = asyncio.Event()
        server = await self._listen()
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        await stop_accepting(server.sockets)
        server.close(close_connections=False)
        self._abort()
        # The closing is a task of its own: without its turn the port would stay ours.
        with suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 1.0)

    async def _listen(self) -> Server:
        return await serve(
            self._session, "127.0.0.1", self.port, process_request=self._before,
            create_connection=self._connection,  # type: ignore[arg-type]
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
            ping_interval=None, close_timeout=0.2, max_size=10_000_000,
        )  # fmt: skip

    def _connection(self, *arguments: Any, **options: Any) -> ServerConnection:
        made = ServerConnection(*arguments, **options)
        self._made.add(made)
        return made

    def _before(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what is no session; else keep the wish for `_session`."""
        answer = self._answer(connection, request)
        # Only now: who sees the request may append, and the session brings what comes from here on.
        self.requests.append(request.path)
        return answer

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if parts.path == DICTIONARY_PATH:
            return self._dictionary_answer()
        answer = self.answers.popleft() if self.answers else None
        if answer is not None:
            headers = Headers([*answer.headers, ("Content-Length", str(len(answer.body)))])
            return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)
        if parts.path not in PATHS.values():
            return plain_answer(404, "not found")
        wish = Wish.of(parse_qs(parts.query), parts.path == PATHS["v2"])
        offered = request.headers.get("Sec-WebSocket-Extensions", "")
        if not wish.is_v2 and wish.zstd and "permessage-deflate" in offered:
            return plain_answer(400, "choose one compression scheme")
        refused = self._place(wish)
        connection.wish = wish  # type: ignore[attr-defined]
        return refused

    def _dictionary_answer(self) -> Response:
        if not self.dictionary:
            return plain_answer(404, "not found")
        found = zstandard.ZstdCompressionDict(self.dictionary).dict_id()
        headers = Headers(
            [("X-Zstd-Dictionary-Id", str(found)), ("Content-Length", str(len(self.dictionary)))]
        )
        return Response(200, "OK", headers, self.dictionary)

    def _place(self, wish: Wish) -> Response | None:
        """Set where the session starts; return a refusal if it cannot start there."""
        entries, cursor = self.entries, wish.cursor
        wish.start = len(entries)
        if not cursor:
            return None
        if cursor >= _TIME_CURSOR:
            found = next((i for i, e in enumerate(entries) if e.us >= cursor), len(entries))
            found = max(0, found - self.time_cursor_early)
            if found < self.floor or (self.floor and entries[self.floor].us > cursor):
                wish.notice = info("OutdatedCursor", "below retention floor")
            wish.start = max(found, self.floor)
            return None
        if not self.numbers or not entries or cursor > entries[-1].seq + 1:
            wish.notice = info("FutureCursor", "beyond this archive's next seq")
            return None
        found = next((i for i, e in enumerate(entries) if e.seq >= cursor), len(entries))
        if found < self.floor and wish.is_v2:
            floor_seq = entries[self.floor].seq
            said = f"cursor {cursor} is below the floor {floor_seq}"
            return xrpc_answer(400, "CursorTooOld", said)
        wish.start = max(found, self.floor)
        return None

    async def _session(self, connection: ServerConnection) -> None:
        wish: Wish = connection.wish  # type: ignore[attr-defined]
        fault = self.faults.popleft() if self.faults else None
        with suppress(ConnectionClosed):
            if wish.hello and not await take_hello(connection, wish):
                return
            if wish.is_v2 and wish.notice:
                await self._send(connection, wish, wish.notice)
            await self._stream(connection, wish, fault)

    async def _stream(self, connection: ServerConnection, wish: Wish, fault: Fault | None) -> None:
        place, sent = wish.start, 0
        while True:
            more = self._more
            while place < len(self.entries):
                entry = self.entries[place]
                place += 1
                if not wish.includes(entry):
                    continue
                if (
                    fault is not None
                    and sent == fault.after
                    and await self._misbehave(connection, wish, fault.kind, place)
                ):
                    return
                sent += 1
                self.sent += 1
                await self._send(connection, wish, wish.frame_of(entry))
            if more is not None:
                await more.wait()

    async def _misbehave(
        self, connection: ServerConnection, wish: Wish, kind: Kind, place: int
    ) -> bool:
        """Do what a fault says before the event at `place - 1`; True ends the session."""
        around = [*self.entries[max(0, place - 6) : place - 1], *self.entries[place : place + 4]]
        near = [wish.frame_of(entry) for entry in around if wish.includes(entry)]
        send = partial(self._send, connection, wish)
        return await misbehave(connection, kind, near, send, lambda b: self._compressor.compress(b))

    async def _send(self, connection: ServerConnection, wish: Wish, frame: bytes) -> None:
        if wish.zstd:
            await connection.send(self.packed.get(frame) or self._compressor.compress(frame))
        else:
            await connection.send(frame, text=True)

    @cached_property
    def _compressor(self) -> zstandard.ZstdCompressor:
        dictionary = zstandard.ZstdCompressionDict(self.dictionary)
        dictionary.precompute_compress(level=1)
        return zstandard.ZstdCompressor(level=1, dict_data=dictionary)
