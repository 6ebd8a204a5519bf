"""The source `mastodon`: streams of one server, and what was missed while none was open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Final

import aiohttp

from core.authors import author_hasher
from core.errors import ConfigError, FatalError
from core.logs import describe_error
from core.settings import Secret
from services.ingest.sources.base import Cursor, SourceContext, Unmappable
from services.ingest.sources.bounded_http import USER_AGENT
from services.ingest.sources.held_posts import HeldPosts
from services.ingest.sources.live import LiveSource, SessionEnded
from services.ingest.sources.mastodon.catch_up import CatchUp
from services.ingest.sources.mastodon.connections import read_sse, read_websocket
from services.ingest.sources.mastodon.delivery import Delivery
from services.ingest.sources.mastodon.options import MastodonOptions, Stream, check_url, stream_of
from services.ingest.sources.mastodon.parse import SOURCE, Mapped, StatusMapper
from services.ingest.sources.mastodon.rest import Rest
from services.ingest.sources.mastodon.sse import ServerEvent
from services.ingest.sources.memory_file import has_reached

_HELD_EVENTS: Final = 1_000
_SEAM_AFTER_S: Final = 3.0
"""By then a server that answered has subscribed us; half of what a fill goes back at most."""
_ROOM_EVERY_S: Final = 0.02


class MastodonSource(LiveSource[MastodonOptions]):
    """Public posts, edits and deletions of one Mastodon server, live.

    Every stream is read by an open connection. After a reconnect the timeline of the stream is
    fetched from the last post on before what the stream brings meanwhile is delivered; what comes
    twice is left out. What the server does not give any more is a counted gap.

    Cursor: `n`, number of the last item, and `at`, the newest status of each stream.
    """

    name: ClassVar[str] = SOURCE
    Options = MastodonOptions

    def __init__(self, options: MastodonOptions, context: SourceContext) -> None:
        options.check(context.secret)
        super().__init__(options, context, options.limits)
        self._memory = context.state_dir / "mastodon.held.sqlite"
        self._streams = [stream_of(name) for name in dict.fromkeys(options.streams)]
        self._headers = {"User-Agent": USER_AGENT}
        if context.secret and not options.anonymous:
            self._headers["Authorization"] = f"Bearer {context.secret.reveal()}"
        key = context.author_key if options.authors == "hashed" else Secret()
        self._mapper = StatusMapper(
            options.host, author_hasher(key), context.clock.now, self._author_of
        )
        self._held: HeldPosts | None = None
        self._delivery: Delivery | None = None
        # They outlive a session: deletions and edits among them are in no timeline.
        self._waiting: deque[tuple[str, ServerEvent | Unmappable]] = deque()
        self._arrived = asyncio.Event()
        self._sessions_before = 0
        self._streaming_url = ""

    def fingerprint(self) -> str:
        """The server: ids of another one mean other posts."""
        return self.options.host

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor."""
        self._held = HeldPosts(
            self._memory,
            self.options.remember_posts,
            is_fresh=cursor is None,
        )
        self._waiting.clear()
        self._arrived = asyncio.Event()
        self._delivery = Delivery(self._held, cursor, self.deliver, self.repeated)
        self._sessions_before = 0 if cursor is None else 1

    def acknowledged(self, cursor: Cursor) -> None:
        """Remember what Kafka has, so that it is left out when it comes again."""
        if self._held is not None:
            self._held.acknowledged(cursor["n"])

    def recalls(self, cursor: Cursor) -> bool:
        """Tell whether the memory went as far as this cursor."""
        return has_reached(self._memory, cursor["n"])

    def close(self) -> None:
        """Stop reading and close the memory."""
        super().close()
        if self._held is not None:
            self._held.close()
            self._held = None

    async def session(self) -> None:
        """Open all streams, fetch what was missed, read until one of them ends."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect_timeout_s)
        try:
            async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as http:
                rest = Rest(
                    http, self.options.server, self._headers, self.context.clock.now,
                    self.limits.connect_timeout_s,
                )  # fmt: skip
                await self._stream_all(http, rest)
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            raise SessionEnded("network", describe_error(error)) from error

    async def _stream_all(self, http: aiohttp.ClientSession, rest: Rest) -> None:
        held, delivery = self._held, self._delivery
        if held is None or delivery is None:
            raise FatalError("mastodon: a session before the source was opened")
        catch_up = CatchUp(
            rest, self._mapper, delivery, held, self.options, self.context.clock.now, self.received
        )
        base = await self._where(rest)
        is_open = asyncio.Event()
        waiting = 1 if self.options.transport == "websocket" else len(self._streams)

        def opened() -> None:
            nonlocal waiting
            waiting -= 1
            if waiting <= 0:
                self.connected()
                is_open.set()

        is_filled = asyncio.Event()
        common = (self._headers, self.limits.connect_timeout_s, self.context.clock.now)
        readers = []
        if self.options.transport == "websocket":
            events = read_websocket(http, base, self._streams, *common, opened, self.heard)
            readers.append(self._read_all(events))
        else:
            for stream in self._streams:
                one = read_sse(http, base, stream, *common, opened, self.heard)
                readers.append(self._read_one(stream, one))
        async with asyncio.timeout(None) as connecting:
            tasks = [asyncio.ensure_future(reader) for reader in readers]
            tasks.append(asyncio.ensure_future(self._catch_up(catch_up, is_open, is_filled)))
            tasks.append(asyncio.ensure_future(self._take_events(delivery, is_filled)))
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

    async def _where(self, rest: Rest) -> str:
        """Return where the server streams: as configured, or as it says itself."""
        if self.options.streaming_url:
            return self.options.streaming_url
        if not self._streaming_url:
            found = await rest.streaming_url()
            try:
                check_url("streaming_url", found, ("https", "http", "wss", "ws"))
            except ConfigError as error:
                raise SessionEnded(
                    "protocol", "the server names no streaming address that can be used"
                ) from error
            self._streaming_url = found
        return self._streaming_url

    async def _read_one(self, stream: Stream, events: AsyncGenerator[ServerEvent, None]) -> None:
        async with aclosing(events) as open_events:
            async for event in open_events:
                await self._hold(stream.name, event)

    async def _read_all(
        self, events: AsyncGenerator[tuple[str, ServerEvent | Unmappable], None]
    ) -> None:
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

    async def _take_events(self, delivery: Delivery, is_filled: asyncio.Event) -> None:
        """Deliver what the streams bring, after what was missed: an author's posts stay in order.

        Until then a bounded number of events is held; beyond that the streams are not read.
        """
        await is_filled.wait()
        while True:
            while self._waiting:
                stream, event = self._waiting[0]
                await self._take_event(delivery, stream, event)
                self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    async def _take_event(
        self, delivery: Delivery, stream: str, event: ServerEvent | Unmappable
    ) -> None:
        if isinstance(event, Unmappable):
            await delivery.deliver(Mapped(event), len(event.raw), stream)
        elif event.cut:
            cut = Unmappable(event.data, f"an event of over {len(event.data)} bytes")
            await delivery.deliver(Mapped(cut), len(event.data), stream)
        else:
            mapped = self._mapper.event(event.name, event.data)
            await delivery.deliver(mapped, len(event.data), stream)

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

    def _author_of(self, post_id: str) -> str | None:
        return None if self._held is None else self._held.author_of(post_id)


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
