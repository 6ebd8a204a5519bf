"""The source `mastodon`: streams of one server, and what was missed while none was open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Final

import aiohttp
from msgspec import Struct

from core.authors import author_hasher
from core.errors import ConfigError
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.sources.base import (
    Cursor,
    Gap,
    Ignored,
    SourceContext,
    SourceItem,
    Unmappable,
)
from services.ingest.sources.bounded_http import USER_AGENT
from services.ingest.sources.held_posts import DELETED, HeldPosts
from services.ingest.sources.live import LiveSource, SessionEnded
from services.ingest.sources.mastodon.connections import read_sse, read_websocket
from services.ingest.sources.mastodon.options import MastodonOptions, Stream, check_url, stream_of
from services.ingest.sources.mastodon.parse import (
    SOURCE,
    UNKNOWN_POST,
    Mapped,
    StatusMapper,
)
from services.ingest.sources.mastodon.positions import later, order, rewound, time_of_id
from services.ingest.sources.mastodon.rest import (
    LOOKUP_POSTS,
    Refused,
    Rest,
    Unanswered,
    status_bytes,
)
from services.ingest.sources.mastodon.sse import ServerEvent
from services.ingest.sources.records import Skipped, edit_of, text_of

_HELD_EVENTS: Final = 1_000
_MAX_COUNTS: Final = 10_000


class MastodonCursor(Struct):
    """Where to go on.

    Attributes:
        n: number of the last item.
        at: stream -> id of the newest status before which none is missing.
    """

    n: int = 0
    at: dict[str, str] = {}


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
        self._streams = [stream_of(name) for name in dict.fromkeys(options.streams)]
        self._headers = {"User-Agent": USER_AGENT}
        if context.secret and not options.anonymous:
            self._headers["Authorization"] = f"Bearer {context.secret.reveal()}"
        self._held: HeldPosts | None = None
        self._mapper = self._make_mapper()
        self._cursor = MastodonCursor()
        self._events: asyncio.Queue[tuple[str, ServerEvent | Unmappable]] = asyncio.Queue()
        self._one_at_a_time = asyncio.Lock()
        self._sessions_before = 0
        self._counts: dict[str, tuple[int, ...]] = {}
        self._streaming_url = ""

    def fingerprint(self) -> str:
        """The server: ids of another one mean other posts."""
        return self.options.host

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor."""
        fields = cursor or {}
        self._cursor = MastodonCursor(fields.get("n", 0), dict(fields.get("at", {})))
        self._one_at_a_time = asyncio.Lock()
        self._held = HeldPosts(
            self.context.state_dir / "mastodon.held.sqlite",
            self.options.remember_posts,
            is_fresh=cursor is None,
        )
        self._sessions_before = 0 if cursor is None else 1

    def acknowledged(self, cursor: Cursor) -> None:
        """Remember what Kafka has, so that it is left out when it comes again."""
        if self._held is not None:
            self._held.acknowledged(cursor["n"])

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
            raise SessionEnded("network", f"{type(error).__name__}: {error}") from error

    async def _stream_all(self, http: aiohttp.ClientSession, rest: Rest) -> None:
        base = await self._where(rest)
        is_open = asyncio.Event()
        waiting = 1 if self.options.transport == "websocket" else len(self._streams)

        def opened() -> None:
            nonlocal waiting
            waiting -= 1
            if waiting <= 0:
                self.connected()
                is_open.set()

        self._events = asyncio.Queue(_HELD_EVENTS)
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
            tasks.append(asyncio.ensure_future(self._catch_up(rest, is_open, is_filled)))
            tasks.append(asyncio.ensure_future(self._take_events(is_filled)))
            loop = asyncio.get_running_loop()
            connecting.reschedule(loop.time() + 2 * self.limits.connect_timeout_s)
            is_open_task = asyncio.ensure_future(is_open.wait())
            is_open_task.add_done_callback(lambda _: connecting.reschedule(None))
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
                raise SessionEnded("protocol", str(error)) from error
            self._streaming_url = found
        return self._streaming_url

    async def _read_one(self, stream: Stream, events: AsyncGenerator[ServerEvent, None]) -> None:
        async with aclosing(events) as open_events:
            async for event in open_events:
                await self._events.put((stream.name, event))

    async def _read_all(
        self, events: AsyncGenerator[tuple[str, ServerEvent | Unmappable], None]
    ) -> None:
        async with aclosing(events) as open_events:
            async for stream, event in open_events:
                await self._events.put((stream, event))

    async def _take_events(self, is_filled: asyncio.Event) -> None:
        """Deliver what the streams bring, after what was missed: an author's posts stay in order.

        Until then a bounded number of events is held; beyond that the streams are not read.
        """
        await is_filled.wait()
        while True:
            stream, event = await self._events.get()
            await self._take_event(stream, event)

    async def _take_event(self, stream: str, event: ServerEvent | Unmappable) -> None:
        self.received()
        if isinstance(event, Unmappable):
            await self._deliver(Mapped(event), len(event.raw), stream)
        elif event.cut:
            cut = Unmappable(event.data, f"an event of over {len(event.data)} bytes")
            await self._deliver(Mapped(cut), len(event.data), stream)
        else:
            mapped = self._mapper.event(event.name, event.data)
            await self._deliver(mapped, len(event.data), stream)

    # -- what was missed ----------------------------------------------------------------------

    async def _catch_up(self, rest: Rest, is_open: asyncio.Event, is_filled: asyncio.Event) -> None:
        """Fill every stream, then look at the newest posts again; then there is no more to do."""
        await is_open.wait()
        for stream in self._streams:
            await self._fill(rest, stream)
        is_filled.set()
        if self._sessions_before and self.options.recheck_posts:
            await self._recheck(rest)
        self._sessions_before += 1
        await asyncio.Event().wait()

    async def _fill(self, rest: Rest, stream: Stream) -> None:
        """Deliver what a timeline has after the last post, oldest first."""
        last = self._cursor.at.get(stream.name, "")
        try:
            if not last:
                page = await rest.timeline(stream, limit="1")
                ids = [text_of(one.get("id")) for one in page if isinstance(one, dict)]
                self._pass(stream.name, max(ids, key=order, default="0"))
            else:
                await self._fill_from(rest, stream, last)
        except (Refused, Unanswered) as error:
            cause = "fill_refused" if isinstance(error, Refused) else "fill_failed"
            self.log.warning("cannot fetch what was missed", source=self.name, error=str(error))
            if last:
                await self._miss(cause, last)

    async def _fill_from(self, rest: Rest, stream: Stream, last: str) -> None:
        place = rewound(last, self.options.rewind_s)
        taken = 0
        while True:
            page = await rest.timeline(stream, min_id=place)
            self.received(len(page))
            if not page:
                return
            found = [(text_of(one.get("id")) if isinstance(one, dict) else "", one) for one in page]
            found.sort(key=lambda pair: order(pair[0]))
            for status_id, status in found:
                raw = status_bytes(status)
                mapped = self._mapper.status(status, raw)
                # Never before `last`: what was filled by rewinding was passed already.
                self._pass(stream.name, later(last, status_id))
                taken += await self._deliver(mapped, len(raw), stream.name)
            newest = found[-1][0]
            if order(newest) <= order(place):
                return
            place = newest
            if taken >= self.options.fill_max_posts:
                await self._miss("fill_limit", place)
                return

    async def _miss(self, cause: str, last: str) -> None:
        """Say that what comes after the status `last` cannot be had."""
        at = time_of_id(last)
        lost_s = 0.0 if at is None else (self.context.clock.now() - at).total_seconds()
        async with self._one_at_a_time:
            await self._hand_on(Gap(cause, max(0.0, lost_s)), 0)

    async def _recheck(self, rest: Rest) -> None:
        """Look at the newest posts again: edits and deletions are not in any timeline."""
        if self._held is None:
            return
        newest = self._held.newest(self.options.recheck_posts)
        for start in range(0, len(newest), LOOKUP_POSTS):
            wanted = dict(newest[start : start + LOOKUP_POSTS])
            try:
                found = await rest.statuses(list(wanted))
                for status in found:
                    raw = status_bytes(status)
                    if isinstance(status, dict) and wanted.pop(text_of(status.get("id")), None):
                        await self._deliver(self._mapper.status(status, raw), len(raw), "")
                        await self._deliver_counts(self._mapper.counts(status, raw), len(raw))
                for status_id in wanted:
                    if await rest.is_gone(status_id):
                        gone = self._mapper.removal(status_id, status_id.encode())
                        await self._deliver(gone, len(status_id), "")
            except (Refused, Unanswered) as error:
                self.log.info("posts cannot be looked at again", source=self.name, error=str(error))
                return

    async def _deliver_counts(self, mapped: Mapped, size_bytes: int) -> None:
        """Deliver counts that differ from those known: none, or those delivered last."""
        found = mapped.record
        if not isinstance(found, PostEvent):
            return
        counts = (found.likes or 0, found.replies or 0, found.reposts or 0, found.quotes or 0)
        if counts == self._counts.pop(mapped.post_id, (0, 0, 0, 0)):
            self._counts[mapped.post_id] = counts
            return
        self._counts[mapped.post_id] = counts
        if len(self._counts) > _MAX_COUNTS:
            del self._counts[next(iter(self._counts))]
        await self._deliver(mapped, size_bytes, "")

    # -- one line of items --------------------------------------------------------------------

    def _make_mapper(self) -> StatusMapper:
        key = self.context.author_key if self.options.authors == "hashed" else Secret()
        return StatusMapper(
            self.options.host, author_hasher(key), self.context.clock.now, self._author_of
        )

    def _author_of(self, post_id: str) -> str | None:
        return None if self._held is None else self._held.author_of(post_id)

    def _pass(self, stream: str, status_id: str) -> None:
        if stream and status_id:
            self._cursor.at[stream] = later(self._cursor.at.get(stream, ""), status_id)

    async def _deliver(self, mapped: Mapped, size_bytes: int, stream: str) -> int:
        """Hand on one record, unless it was delivered before; return how many items it made.

        One at a time: streams and fetching are tasks of their own, and the buffer takes one.
        """
        async with self._one_at_a_time:
            record = self._unless_known(mapped)
            if isinstance(mapped.record, Post):
                self._pass(stream, mapped.record.id)
            if record is None:
                self.repeated()
                return 0
            self._remember(self._cursor.n + 1, record, mapped)
            await self._hand_on(Ignored() if isinstance(record, Skipped) else record, size_bytes)
            return 1

    async def _hand_on(
        self, record: Post | PostEvent | Unmappable | Ignored | Gap, size_bytes: int
    ) -> None:
        self._cursor.n += 1
        cursor = {"n": self._cursor.n, "at": dict(self._cursor.at)}
        await self.deliver([SourceItem(record, cursor)], size_bytes)

    def _unless_known(self, mapped: Mapped) -> Post | PostEvent | Unmappable | Skipped | None:
        """Return what is to be delivered: a known post again is nothing, or an edit."""
        record, version = mapped.record, mapped.version
        if self._held is None or not isinstance(record, Post | PostEvent):
            return record
        held = self._held.find(mapped.post_id)
        if isinstance(record, Post):
            if held is None:
                return record
            if held.version == DELETED or version <= held.version:
                return None
            return edit_of(record)
        if record.kind == "edit" and held is not None:
            return None if held.version == DELETED or version <= held.version else record
        return record

    def _remember(
        self, n: int, record: Post | PostEvent | Unmappable | Skipped, mapped: Mapped
    ) -> None:
        """Note what item `n` says of a post.

        An edit of a post that was not delivered is no reason to leave the post out when it comes;
        a deletion of one is.
        """
        if self._held is None or not mapped.post_id:
            return
        if isinstance(record, Post):
            self._held.remember(n, mapped.post_id, record.author, mapped.version)
        elif isinstance(record, Skipped):
            if record.reason == UNKNOWN_POST:
                self._held.remember(n, mapped.post_id, "", DELETED)
        elif isinstance(record, PostEvent) and record.kind == "delete":
            self._held.remember(n, mapped.post_id, record.author, DELETED)
        elif (
            isinstance(record, PostEvent)
            and record.kind == "edit"
            and self._held.find(mapped.post_id) is not None
        ):
            self._held.remember(n, mapped.post_id, record.author, mapped.version)


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
