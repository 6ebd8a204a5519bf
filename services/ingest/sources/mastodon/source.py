"""The source `mastodon`: streams of one server, and what was missed while none was open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Final

import aiohttp

from core.errors import ConfigError
from core.schemas import Post
from services.ingest.sources.base import Cursor, SourceContext, Unmappable
from services.ingest.sources.live import SessionEnded
from services.ingest.sources.mastodon import MANIFEST
from services.ingest.sources.mastodon.client import Events, MastodonClient
from services.ingest.sources.mastodon.options import (
    MastodonOptions,
    check_streaming_url,
    stream_of,
)
from services.ingest.sources.mastodon.parse import StatusMapper
from services.ingest.sources.mastodon.position import CatchUp, later
from services.ingest.sources.mastodon.wire import ServerEvent
from services.ingest.sources.records import Found
from services.ingest.sources.remembering import RememberingSource
from services.ingest.sources.web import USER_AGENT

_HELD_EVENTS: Final = 1_000
_SEAM_AFTER_S: Final = 3.0
"""By then a server that answered has subscribed us; half of what a fill goes back at most."""
_ROOM_EVERY_S: Final = 0.02


class MastodonSource(RememberingSource[MastodonOptions]):
    """Public posts, edits and deletions of one Mastodon server, live.

    Every stream is read by an open connection. After a reconnect the timeline of the stream is
    fetched from the last post on before what the stream brings meanwhile is delivered; what comes
    twice is left out. What the server does not give any more is a counted gap.

    Cursor: `n`, number of the last item, and `at`, the newest status of each stream.
    """

    manifest: ClassVar = MANIFEST
    name: ClassVar[str] = MANIFEST.name
    Options = MastodonOptions

    def __init__(self, options: MastodonOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self.max_held = options.remember_posts
        self._streams = [stream_of(name) for name in dict.fromkeys(options.streams)]
        self._headers = {"User-Agent": USER_AGENT}
        if context.secret and not options.anonymous:
            self._headers["Authorization"] = f"Bearer {context.secret.reveal()}"
        self._mapper = StatusMapper(
            options.host, self.hide, context.clock.now, lambda post_id: self.held.author_of(post_id)
        )
        # They outlive a session: deletions and edits among them are in no timeline.
        self._waiting: deque[tuple[str, ServerEvent | Unmappable]] = deque()
        self._arrived = asyncio.Event()
        self._sessions_before = 0
        self._streaming_url = ""

    def fingerprint(self) -> str:
        """The server: ids of another one mean other posts."""
        return self.options.host

    def later(self, one: str, other: str) -> str:
        """Return the later of two ids."""
        return later(one, other)

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor."""
        super().start_at(cursor)
        self._waiting.clear()
        self._arrived = asyncio.Event()
        self._sessions_before = 0 if cursor is None else 1

    async def session(self) -> None:
        """Open all streams, fetch what was missed, read until one of them ends."""
        timeout_s = self.limits.connect_timeout_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s)
        async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as http:
            client = MastodonClient(
                http, self.options.server, self._headers, self.context.clock.now, timeout_s,
                self.heard,
            )  # fmt: skip
            await self._stream_all(client)

    async def _stream_all(self, client: MastodonClient) -> None:
        base = await self._where(client)
        is_open, is_filled = asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(None) as connecting:
            coroutines = [
                *self._readers(client, base, is_open),
                self._catch_up(CatchUp(client, self._mapper, self), is_open, is_filled),
                self._take_events(is_filled),
            ]
            tasks = [asyncio.ensure_future(one) for one in coroutines]
            loop = asyncio.get_running_loop()
            connecting.reschedule(loop.time() + 2 * self.limits.connect_timeout_s)
            is_open_task = asyncio.ensure_future(is_open.wait())
            # Out of time in this very moment, it is too late to take the limit away.
            is_open_task.add_done_callback(
                lambda _: None if connecting.expired() else connecting.reschedule(None)
            )
            try:
                await _first_failure(tasks)
            finally:
                await _cancel([*tasks, is_open_task])

    def _readers(
        self, client: MastodonClient, base: str, is_open: asyncio.Event
    ) -> list[Coroutine[Any, Any, None]]:
        """Return what reads the streams; `is_open` is set once all of them are."""
        is_one = self.options.transport == "websocket"
        waiting = 1 if is_one else len(self._streams)

        def opened() -> None:
            nonlocal waiting
            waiting -= 1
            if waiting <= 0:
                self.connected()
                is_open.set()

        if is_one:
            return [self._read_events(client.read_websocket(base, self._streams, opened))]
        return [self._read_events(client.read_sse(base, one, opened)) for one in self._streams]

    async def _where(self, client: MastodonClient) -> str:
        """Return where the server streams: as configured, or as it says itself."""
        if self.options.streaming_url:
            return self.options.streaming_url
        if not self._streaming_url:
            found = await client.streaming_url()
            try:
                check_streaming_url(found)
            except ConfigError as error:
                raise SessionEnded(
                    "protocol", "the server names no streaming address that can be used"
                ) from error
            self._streaming_url = found
        return self._streaming_url

    async def _read_events(self, events: Events) -> None:
        async with aclosing(events) as open_events:
            async for stream, event in open_events:
                await self._hold(stream, event)

    async def _hold(self, stream: str, event: ServerEvent | Unmappable) -> None:
        """Keep an event for its turn; while there is no room, silence is our own doing."""
        while len(self._waiting) >= _HELD_EVENTS:
            self.idle.restart()
            await asyncio.sleep(_ROOM_EVERY_S)
        self.received()
        self._waiting.append((stream, event))
        self._arrived.set()

    async def _take_events(self, is_filled: asyncio.Event) -> None:
        """Deliver what the streams bring, after what was missed: an author's posts stay in order.

        Until then a bounded number of events is held; beyond that the streams are not read.
        """
        await is_filled.wait()
        while True:
            while self._waiting:
                await self._take_event(*self._waiting[0])
                self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    async def _take_event(self, stream: str, event: ServerEvent | Unmappable) -> None:
        if isinstance(event, Unmappable):
            await self.take(Found(event), len(event.raw))
        elif event.cut:
            cut = Unmappable(event.data, f"an event of over {len(event.data)} bytes")
            await self.take(Found(cut), len(event.data))
        else:
            found = self._mapper.event(event.name, event.data)
            mark = found.post_id if isinstance(found.record, Post) else ""
            await self.take(found, len(event.data), stream, mark)

    async def _catch_up(
        self, catch_up: CatchUp, is_open: asyncio.Event, is_filled: asyncio.Event
    ) -> None:
        """Fill every stream, and its seam; then look at the newest posts again."""
        await is_open.wait()
        for stream in self._streams:
            await catch_up.fill(stream)
        is_filled.set()
        await asyncio.sleep(min(_SEAM_AFTER_S, self.options.rewind_s / 2))
        for stream in self._streams:
            await catch_up.fill_seam(stream)
        if self._sessions_before:
            await catch_up.recheck()
        self._sessions_before += 1
        await asyncio.Event().wait()


async def _first_failure(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Wait until one of the tasks ends, and raise what ended it.

    Raises:
        SessionEnded: it ended without an error.
    """
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    raise SessionEnded("closed")


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
