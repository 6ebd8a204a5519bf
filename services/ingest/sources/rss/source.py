"""The source `rss`: looks at feeds in turn and delivers entries that are new or changed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import aiohttp
import msgspec
from msgspec import Struct

from core.clock import epoch_ms
from core.retry import Backoff
from services.ingest.sources.base import Cursor, Gap, Ignored, SourceContext, Unmappable
from services.ingest.sources.records import edit_of
from services.ingest.sources.remembering import ITEM_BYTES, Delivered, RememberingSource
from services.ingest.sources.rss import MANIFEST
from services.ingest.sources.rss.client import Fetched, fetch
from services.ingest.sources.rss.options import RssOptions
from services.ingest.sources.rss.parse import Entry, parse_feed
from services.ingest.sources.web import public_session

_TICK_S: Final = 0.25
_MAX_BACKOFF_S: Final = 3_600.0
_AT_ONCE: Final = 4
"""Feeds that are asked side by side."""
_ENTRIES_A_STEP: Final = 100
"""So many entries at most come again after a crash."""


class FeedState(Struct, frozen=True, array_like=True):
    """What is known of a feed; part of the cursor.

    Attributes:
        etag, modified: The validators of the last answer that was read to its end.
        seen: The key and version of entries, the latest looked at last.
        looked_ms: When it was last read, in milliseconds since 1970; 0 before the first time.
    """

    etag: str = ""
    modified: str = ""
    seen: tuple[tuple[str, str], ...] = ()
    looked_ms: int = 0


class RssSource(RememberingSource[RssOptions]):
    """Entries of RSS and Atom feeds, each once, and their changes.

    A feed that has moved on so far that nothing in it is known any more is a counted gap.

    Cursor: per feed its validators and the entries known, and `n`, how often it moved: after every
    few entries, and with whatever else is told.
    """

    manifest: ClassVar = MANIFEST
    name: ClassVar[str] = MANIFEST.name
    Options = RssOptions
    watches_silence: ClassVar[bool] = False  # the silence between two looks is our own

    def __init__(self, options: RssOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._feeds = tuple(dict.fromkeys(options.feeds))
        self._due_s: dict[str, float] = {}
        self._backoffs: dict[str, Backoff] = {}

    def restore(self, cursor: Any) -> tuple[int, dict[str, Any]]:
        """Return what was known of the feeds."""
        feeds = msgspec.convert(cursor["feeds"], dict[str, FeedState])
        return int(cursor["n"]), feeds

    def cursor_after(self, number: int, at: Mapping[str, Any]) -> Cursor:
        """Return the cursor: what is known of the feeds is all in it."""
        return {"n": number, "feeds": at}

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over what was known of the feeds; those no longer asked for are forgotten."""
        super().start_at(cursor)
        self.at = {feed: self.at.get(feed, FeedState()) for feed in self._feeds}
        self._due_s = dict.fromkeys(self._feeds, self.context.clock.monotonic())
        self._backoffs = {
            feed: Backoff(self.options.every_s, _MAX_BACKOFF_S) for feed in self._feeds
        }

    async def session(self) -> None:
        """Look at each feed when it is due; a feed in trouble does not hold up the others."""
        private = self.options.allow_private_addresses
        limit = asyncio.Semaphore(_AT_ONCE)
        running: dict[str, asyncio.Task[None]] = {}
        async with public_session(allow_private=private, timeout_s=self.options.timeout_s) as http:
            self.connected()
            try:
                while True:
                    self._start_due(http, limit, running)
                    if running:
                        await asyncio.wait(
                            running.values(), timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED
                        )
                    else:
                        await asyncio.sleep(self._pause_s())
                    for feed in [feed for feed, task in running.items() if task.done()]:
                        running.pop(feed).result()
            finally:
                for task in running.values():
                    task.cancel()
                await asyncio.gather(*running.values(), return_exceptions=True)

    def _start_due(
        self,
        http: aiohttp.ClientSession,
        limit: asyncio.Semaphore,
        running: dict[str, asyncio.Task[None]],
    ) -> None:
        now_s = self.context.clock.monotonic()
        for feed, due_s in self._due_s.items():
            if due_s <= now_s and feed not in running:
                running[feed] = asyncio.create_task(self._look(http, limit, feed))

    def _pause_s(self) -> float:
        now_s = self.context.clock.monotonic()
        due_s = min(self._due_s.values(), default=now_s + _TICK_S)
        return min(max(due_s - now_s, 0.005), _TICK_S)

    async def _look(self, http: aiohttp.ClientSession, limit: asyncio.Semaphore, feed: str) -> None:
        """Ask for a feed, deliver what is new, and say when to look again."""
        state = self.at[feed]
        async with limit:
            found = await fetch(
                http, feed, state.etag, state.modified, self.options, self.context.clock.now()
            )
        self.received()
        backoff = self._backoffs[feed]
        wait_s = self.options.every_s * random.uniform(0.95, 1.05)
        if found.status in (200, 304):
            backoff.reset()
            wait_s = max(wait_s, found.wait_s or 0.0)
            if found.status == 200:
                await self._take_answer(feed, found)
        elif found.status == 410:
            self.log.warning("feed is gone for good", source=self.name, feed=feed)
            wait_s = float("inf")
        else:
            wait_s = max(wait_s, backoff.next_s(found.wait_s))
            self.log.warning(
                "feed not read", source=self.name, feed=feed, error=found.fault,
                next_in_s=round(wait_s, 1),
            )  # fmt: skip
        self._due_s[feed] = self.context.clock.monotonic() + wait_s

    async def _take_answer(self, feed: str, found: Fetched) -> None:
        # In a thread: the parser takes seconds for megabytes of bad markup.
        entries = await asyncio.to_thread(
            parse_feed, found.body, feed, self.context.clock.now(), self.hide,
            found.content_type, bool(self.author_key),
        )  # fmt: skip
        async with self.turn:
            if isinstance(entries, Unmappable):
                await self._refuse(feed, found, entries)
            else:
                await self._deliver_new(feed, found, entries)

    async def _refuse(self, feed: str, found: Fetched, why: Unmappable) -> None:
        """Keep a document that is no feed, once."""
        if not self.was_refused(feed.encode("utf-8", "replace") + found.body):
            await self._hand_on(feed, self.at[feed], [why], len(found.body))

    async def _deliver_new(self, feed: str, found: Fetched, entries: list[Entry]) -> None:
        """Deliver what is new or changed; the validators count once all of it is delivered."""
        state = self.at[feed]
        seen = dict(state.seen)
        now_ms = epoch_ms(self.context.clock.now())
        if seen and entries and not any(entry.key in seen for entry in entries):
            gap = Gap("feed_moved_on", max(0, now_ms - state.looked_ms) / 1000)
            await self._hand_on(feed, state, [gap], 0)
        fresh: list[Delivered] = []
        for entry in entries:
            version = seen.pop(entry.key, None)
            seen[entry.key] = entry.version  # at the end: what is still in the feed is kept longest
            if version != entry.version:
                is_known = version is not None
                is_first_look = not state.looked_ms
                fresh.append(self._record(entry, is_known, is_first_look, now_ms))
            if len(fresh) >= min(_ENTRIES_A_STEP, self.limits.max_buffered_items):
                state = await self._step(feed, state, seen, fresh)
                fresh = []
        state = await self._step(feed, state, seen, fresh)
        keep = max(self.options.remember_entries, 2 * len(entries))
        known = FeedState(found.etag, found.modified, tuple(seen.items())[-keep:], now_ms)
        self.at = {**self.at, feed: known}

    async def _step(
        self,
        feed: str,
        state: FeedState,
        seen: dict[str, str],
        fresh: list[Delivered],
    ) -> FeedState:
        """Deliver entries; only the last moves the cursor: each cursor holds all that is known."""
        if fresh:
            state = msgspec.structs.replace(state, seen=tuple(seen.items()))
            await self._hand_on(feed, state, fresh, len(fresh) * ITEM_BYTES)
        return state

    def _record(self, entry: Entry, is_known: bool, is_first_look: bool, now_ms: int) -> Delivered:
        record = entry.record
        if isinstance(record, Unmappable):
            return record
        if is_known:
            return edit_of(record)
        if record.claimed_at is None:
            # A feed holds what it has gathered for weeks: none of it was written just now.
            return Ignored() if is_first_look else record
        age_s = (now_ms - epoch_ms(record.claimed_at)) / 1000
        return Ignored() if age_s > self.options.max_age_s else record

    async def _hand_on(
        self, feed: str, state: FeedState, records: Sequence[Delivered], size_bytes: int
    ) -> None:
        at = {**self.at, feed: state}
        await self.hand_on(records, size_bytes, at)
        # Only now: cancelled while there was no room, the entries are looked at again.
        self.at = at
