"""The source `reddit`: looks at listings in turn, and again at what it delivered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Final

from core.authors import author_hasher
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
from services.ingest.sources.held_posts import DELETED, Held, HeldPosts
from services.ingest.sources.live import LiveSource, SessionEnded
from services.ingest.sources.memory_file import has_reached
from services.ingest.sources.recent import Recent
from services.ingest.sources.records import Skipped, edit_of
from services.ingest.sources.reddit import parse
from services.ingest.sources.reddit.client import (
    PAGE_THINGS,
    RedditClient,
    bounded_session,
)
from services.ingest.sources.reddit.options import RedditOptions
from services.ingest.sources.reddit.parse import Thing, ThingMapper

_TICK_S: Final = 0.25
_THING_BYTES: Final = 1_000
"""About what a thing weighs in the buffer."""
_MAX_COUNTS: Final = 10_000
_MAX_REFUSED: Final = 10_000
_NO_COUNTS: Final = (None, None)
_NOTHING_YET: Final = (_NO_COUNTS, (1, 0), (1, None))
"""The score begins with the author's own vote."""


class RedditSource(LiveSource[RedditOptions]):
    """New posts and comments of chosen communities, their edits and deletions.

    A listing is read back to what is known; Reddit shows the last thousand only, so what is beyond
    is a counted gap. Deletions are found by looking again.

    Cursor: `n`, the number of the last item, and `at`, when the newest thing of each listing was
    published.
    """

    name: ClassVar[str] = parse.SOURCE
    Options = RedditOptions

    def __init__(self, options: RedditOptions, context: SourceContext) -> None:
        options.check(context.secret)
        super().__init__(options, context, options.limits)
        self._memory = context.state_dir / "reddit.held.sqlite"
        key = context.author_key if options.authors == "hashed" else Secret()
        self._mapper = ThingMapper(author_hasher(key), context.clock.now)
        self._held: HeldPosts | None = None
        self._n = 0
        self._at: dict[str, float] = {}
        self._counts: dict[str, tuple[int | None, int | None]] = {}
        self._refused = Recent(_MAX_REFUSED)
        self._next_recheck_s = 0.0

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor."""
        fields = cursor or {}
        self._n = fields.get("n", 0)
        self._at = dict(fields.get("at", {}))
        self._held = HeldPosts(
            self._memory,
            self.options.remember_posts,
            is_fresh=cursor is None,
        )
        # At once after a restart: things were deleted meanwhile.
        self._next_recheck_s = self.context.clock.monotonic()

    def acknowledged(self, cursor: Cursor) -> None:
        """Remember what Kafka has."""
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
        """Look at the listings in turn until something goes wrong."""
        async with bounded_session(self.options.request_timeout_s) as http, self._awake():
            client = RedditClient(self.options, self.context.secret, http)
            while True:
                for listing in self.options.listings:
                    await self._look(client, listing)
                if self.context.clock.monotonic() >= self._next_recheck_s:
                    await self._recheck(client)
                    self._next_recheck_s = (
                        self.context.clock.monotonic() + self.options.recheck_every_s
                    )
                await asyncio.sleep(self.options.every_s)

    @asynccontextmanager
    async def _awake(self) -> AsyncIterator[None]:
        """Keep the idle timer quiet: every request has a time-out, and waits are the limit's."""

        async def restart() -> None:
            while True:
                self.idle.restart()
                await asyncio.sleep(_TICK_S)

        task = asyncio.create_task(restart())
        try:
            yield
        finally:
            task.cancel()

    # -- listings -----------------------------------------------------------------------------

    async def _look(self, client: RedditClient, listing: str) -> None:
        """Deliver what a listing has of new things, oldest first."""
        last_s = self._at.get(listing)
        found: list[Thing] = []
        after = ""
        is_complete = False
        pages = self.options.first_pages if last_s is None else self.options.max_pages
        for _ in range(pages):
            page = self._mapper.listing(await client.page(listing, after))
            if isinstance(page, Unmappable):
                await self._hand_on(page)
                raise SessionEnded("protocol", page.detail)
            self.connected()
            self.received(len(page.things))
            found.extend(page.things)
            after = page.after
            if self._is_far_enough(page.things, last_s) or not after:
                is_complete = bool(after) or len(found) < self.options.max_pages * PAGE_THINGS
                break
        if last_s is not None and not is_complete:
            oldest_s = min((one.created_s for one in found if one.created_s), default=last_s)
            await self._hand_on(Gap("listing_ended", max(0.0, oldest_s - last_s)))
        for thing in reversed(found):
            await self._take(thing, listing)
        self._at.setdefault(listing, self.context.clock.now().timestamp())

    def _is_far_enough(self, things: tuple[Thing, ...], last_s: float | None) -> bool:
        """Tell whether a page reaches back to what is known."""
        if last_s is None:
            return False
        if any(thing.created_s and thing.created_s < last_s - self.options.rewind_s
               for thing in things):  # fmt: skip
            return True
        return bool(things) and all(self._known(thing.thing_id) is not None for thing in things)

    def _known(self, thing_id: str) -> Held | None:
        return None if self._held is None or not thing_id else self._held.find(thing_id)

    async def _take(self, thing: Thing, listing: str) -> None:
        """Deliver a thing of a listing, unless it was delivered before."""
        held = self._known(thing.thing_id)
        record = thing.record
        if held is not None:
            self.repeated()
            await self._take_again(thing, held)
            return
        if isinstance(record, Skipped):
            return
        if isinstance(record, Unmappable) and not self._refused.is_new(hash(record.raw)):
            return  # it stays in the listing for a while
        at = {**self._at, listing: max(self._at.get(listing, 0.0), thing.created_s)}
        if self._held is not None and isinstance(record, Post):
            self._held.remember(self._n + 1, thing.thing_id, record.author, thing.version)
        await self._hand_on(record, at)
        self._at = at

    # -- again --------------------------------------------------------------------------------

    async def _recheck(self, client: RedditClient) -> None:
        """Look again at the newest things delivered: deletions come by no listing."""
        if self._held is None or not self.options.recheck_posts:
            return
        newest = self._held.newest(self.options.recheck_posts)
        for start in range(0, len(newest), PAGE_THINGS):
            wanted = dict(newest[start : start + PAGE_THINGS])
            page = self._mapper.listing(await client.things(list(wanted)))
            if isinstance(page, Unmappable):
                raise SessionEnded("protocol", page.detail)
            for thing in page.things:
                held = wanted.get(thing.thing_id)
                if held is not None:
                    await self._take_again(thing, held)
                    await self._take_counts(thing, held)

    async def _take_again(self, thing: Thing, held: Held) -> None:
        """Deliver what became of a thing: its deletion, or its new text."""
        if self._held is None or held.version == DELETED:
            return
        record = thing.record
        if isinstance(record, Skipped) and record.reason == parse.DELETED:
            self._held.remember(self._n + 1, thing.thing_id, held.author, DELETED)
            await self._hand_on(self._mapper.deletion(thing.thing_id, held.author))
        elif isinstance(record, Post) and thing.version > held.version:
            self._held.remember(self._n + 1, thing.thing_id, held.author, thing.version)
            await self._hand_on(edit_of(record))

    async def _take_counts(self, thing: Thing, held: Held) -> None:
        """Deliver counts that have changed since they were looked at last."""
        counts = (thing.score, thing.replies)
        known = self._counts.get(thing.thing_id, _NO_COUNTS)
        if not isinstance(thing.record, Post) or counts == known or counts in _NOTHING_YET:
            return
        self._counts.pop(thing.thing_id, None)
        self._counts[thing.thing_id] = counts
        if len(self._counts) > _MAX_COUNTS:
            del self._counts[next(iter(self._counts))]
        await self._hand_on(self._mapper.counts(thing, held.author))

    async def _hand_on(
        self,
        record: Post | PostEvent | Unmappable | Ignored | Gap,
        at: dict[str, float] | None = None,
    ) -> None:
        self._n += 1
        cursor = {"n": self._n, "at": dict(self._at) if at is None else at}
        try:
            await self.deliver([SourceItem(record, cursor)], _THING_BYTES)
        except BaseException:
            # Cancelled while there was no room: it is delivered when it comes again.
            if self._held is not None:
                self._held.take_back(self._n)
            raise
