"""What streams missed: timelines from the last post on, and the newest posts once more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from core.logs import get_logger
from services.ingest.sources.held_posts import HeldPosts
from services.ingest.sources.mastodon.delivery import Delivery
from services.ingest.sources.mastodon.options import MastodonOptions, Stream
from services.ingest.sources.mastodon.parse import SOURCE, StatusMapper
from services.ingest.sources.mastodon.positions import later, order, rewound, time_of_id
from services.ingest.sources.mastodon.rest import (
    LOOKUP_POSTS,
    Refused,
    Rest,
    Unanswered,
    status_bytes,
)
from services.ingest.sources.records import text_of


class CatchUp:
    """Fetches by REST what no stream brings any more.

    Args:
        rest: of the server.
        mapper: of its statuses.
        delivery: where they go.
        held: what was delivered lately.
        options: bounds.
        now: to say how much is missing.
        received: counts statuses fetched.
    """

    def __init__(
        self,
        rest: Rest,
        mapper: StatusMapper,
        delivery: Delivery,
        held: HeldPosts,
        options: MastodonOptions,
        now: Callable[[], datetime],
        received: Callable[[int], None],
    ) -> None:
        self._rest = rest
        self._mapper = mapper
        self._delivery = delivery
        self._held = held
        self._options = options
        self._now = now
        self._received = received
        self._log = get_logger(__name__)

    async def fill(self, stream: Stream) -> None:
        """Deliver what a timeline has after the last post, oldest first; a gap if it cannot.

        In a fresh run nothing is missing: the newest status is where the next fill starts.
        """
        last = self._delivery.at.get(stream.name, "")
        try:
            if last:
                await self._fill_from(stream, last)
                return
            self._delivery.pass_by(stream.name, await self._newest(stream))
        except (Refused, Unanswered) as error:
            cause = "fill_refused" if isinstance(error, Refused) else "fill_failed"
            self._log.warning("cannot fetch what was missed", source=SOURCE, error=str(error))
            if last:
                await self._miss(cause, last)

    async def fill_seam(self, stream: Stream) -> None:
        """Fetch what fell between the timeline's end and the stream's beginning, if anything did.

        A server answers before it has subscribed us everywhere. A crash before this was done
        loses nothing: the next fill goes back further than this is late.
        """
        last = self._delivery.at.get(stream.name, "")
        try:
            if last:
                await self._fill_from(stream, last)
        except (Refused, Unanswered) as error:
            self._log.info("the seam was not looked at", source=SOURCE, error=str(error))

    async def _newest(self, stream: Stream) -> str:
        page = await self._rest.timeline(stream, limit="1")
        ids = [text_of(one.get("id")) for one in page if isinstance(one, dict)]
        return max(ids, key=order, default="0")

    async def _fill_from(self, stream: Stream, last: str) -> None:
        """Go on to what is the newest now: the stream is open and brings what comes later.

        Without that end a busy timeline would be followed for ever while the stream is held back.
        """
        end = await self._newest(stream)
        place = rewound(last, self._options.rewind_s)
        taken = 0
        while page := await self._rest.timeline(stream, min_id=place):
            self._received(len(page))
            found = [(text_of(one.get("id")) if isinstance(one, dict) else "", one) for one in page]
            found.sort(key=lambda pair: order(pair[0]))
            for status_id, status in found:
                raw = status_bytes(status)
                mapped = self._mapper.status(status, raw)
                # Never before `last`: what rewinding brings again was passed already.
                passes = later(last, status_id)
                taken += await self._delivery.deliver(mapped, len(raw), stream.name, passes)
            newest = found[-1][0]
            if order(newest) <= order(place) or order(newest) >= order(end):
                return
            place = newest
            if taken >= self._options.fill_max_posts:
                await self._miss("fill_limit", place)
                return

    async def _miss(self, cause: str, last: str) -> None:
        """Say that what comes after the status `last` cannot be had."""
        at = time_of_id(last)
        await self._delivery.miss(cause, 0.0 if at is None else (self._now() - at).total_seconds())

    async def recheck(self) -> None:
        """Look at the newest posts again: edits and deletions are in no timeline."""
        newest = self._held.newest(self._options.recheck_posts)
        try:
            for start in range(0, len(newest), LOOKUP_POSTS):
                await self._look_again(dict(newest[start : start + LOOKUP_POSTS]))
        except (Refused, Unanswered) as error:
            self._log.info("posts cannot be looked at again", source=SOURCE, error=str(error))

    async def _look_again(self, wanted: dict[str, object]) -> None:
        for status in await self._rest.statuses(list(wanted)):
            raw = status_bytes(status)
            if isinstance(status, dict) and wanted.pop(text_of(status.get("id")), None):
                await self._delivery.deliver(self._mapper.status(status, raw), len(raw))
                await self._delivery.deliver_counts(self._mapper.counts(status, raw), len(raw))
        for status_id in wanted:
            # An answer without it may be a fault of the server; a plain 404 is none.
            if await self._rest.is_gone(status_id):
                gone = self._mapper.removal(status_id, status_id.encode())
                await self._delivery.deliver(gone, len(status_id))
