"""The source `reddit`: looks at listings in turn, and again at what it delivered."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from services.ingest.sources.base import Cursor, SourceContext, Unmappable
from services.ingest.sources.live import SessionEnded
from services.ingest.sources.memory import DELETED, Held
from services.ingest.sources.records import Skipped
from services.ingest.sources.reddit import MANIFEST
from services.ingest.sources.reddit.client import PAGE_THINGS, RedditClient, bounded_session
from services.ingest.sources.reddit.options import RedditOptions
from services.ingest.sources.reddit.parse import Thing, ThingMapper
from services.ingest.sources.remembering import RememberingSource


class RedditSource(RememberingSource[RedditOptions]):
    """New posts and comments of chosen communities, their edits and deletions.

    A listing is read back to what is known; Reddit shows the last thousand only, so what is beyond
    is a counted gap. Deletions are found by looking again.

    Cursor: `n`, the number of the last item, and `at`, when the newest thing of each listing was
    published.
    """

    manifest: ClassVar = MANIFEST
    name: ClassVar[str] = MANIFEST.name
    Options = RedditOptions
    watches_silence: ClassVar[bool] = False  # every request has a time-out
    first_counts: ClassVar = (1, 0, 0, 0)  # the author's own vote

    def __init__(self, options: RedditOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self.max_held = options.remember_posts
        self._mapper = ThingMapper(self.hide, context.clock.now)
        self._next_recheck_s = 0.0

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor."""
        super().start_at(cursor)
        # At once after a restart: things were deleted meanwhile.
        self._next_recheck_s = self.context.clock.monotonic()

    async def session(self) -> None:
        """Look at the listings in turn until something goes wrong."""
        monotonic = self.context.clock.monotonic
        async with bounded_session(self.options.request_timeout_s) as http:
            client = RedditClient(self.options, self.context.secret, http)
            while True:
                for listing in self.options.listings:
                    await self._look(client, listing)
                if monotonic() >= self._next_recheck_s:
                    await self._recheck(client)
                    self._next_recheck_s = monotonic() + self.options.recheck_every_s
                await asyncio.sleep(self.options.every_s)

    # -- listings -----------------------------------------------------------------------------

    async def _look(self, client: RedditClient, listing: str) -> None:
        """Deliver what a listing has of new things, oldest first."""
        last_s = self.at.get(listing)
        found: list[Thing] = []
        after = ""
        is_complete = False
        pages = self.options.first_pages if last_s is None else self.options.max_pages
        for _ in range(pages):
            page = self._mapper.listing(await client.page(listing, after))
            if isinstance(page, Unmappable):
                await self.hand_on([page], len(page.raw))
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
            await self.miss("listing_ended", oldest_s - last_s)
        for thing in reversed(found):
            await self._take(thing, listing)
        if listing not in self.at:
            self.at = self.at_after(listing, self.context.clock.now().timestamp())

    def _is_far_enough(self, things: tuple[Thing, ...], last_s: float | None) -> bool:
        """Tell whether a page reaches back to what is known."""
        if last_s is None:
            return False
        oldest_s = last_s - self.options.rewind_s
        if any(thing.created_s and thing.created_s < oldest_s for thing in things):
            return True
        return bool(things) and all(self._known(thing) is not None for thing in things)

    def _known(self, thing: Thing) -> Held | None:
        return self.held.find(thing.post_id) if thing.post_id else None

    async def _take(self, thing: Thing, listing: str) -> None:
        """Deliver a thing of a listing, or what became of it since it was delivered."""
        known, record = self._known(thing), thing.record
        if known is None:
            is_old = isinstance(record, Unmappable) and self.was_refused(record.raw)
            if isinstance(record, Skipped) or is_old:
                return  # it stays in the listing for a while
        elif known.version == DELETED:
            self.repeated()
            return
        await self.take(thing, place=listing, mark=thing.created_s)

    # -- again --------------------------------------------------------------------------------

    async def _recheck(self, client: RedditClient) -> None:
        """Look again at the newest things delivered: deletions come by no listing."""
        if not self.options.recheck_posts:
            return
        newest = self.held.newest(self.options.recheck_posts)
        for start in range(0, len(newest), PAGE_THINGS):
            wanted = dict(newest[start : start + PAGE_THINGS])
            page = self._mapper.listing(await client.things(list(wanted)))
            if isinstance(page, Unmappable):
                raise SessionEnded("protocol", page.detail)
            for thing in page.things:
                held = wanted.get(thing.post_id)
                if held is None or isinstance(thing.record, Unmappable):
                    continue
                if isinstance(thing.record, Skipped) or thing.version > held.version:
                    await self.take(thing)
                if not isinstance(thing.record, Skipped) and (thing.score or thing.replies):
                    await self.take_counts(self._mapper.counts(thing, held.author))
