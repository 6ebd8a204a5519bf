"""Where a stream goes on: ids as places in a timeline, and what was missed between two of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from core.clock import EPOCH, epoch_ms
from services.ingest.sources.mastodon.client import (
    LOOKUP_POSTS,
    CallRefused,
    MastodonClient,
    Unanswered,
    status_bytes,
)
from services.ingest.sources.mastodon.options import MastodonOptions, Stream
from services.ingest.sources.mastodon.parse import SOURCE, StatusMapper
from services.ingest.sources.records import text_of
from services.ingest.sources.remembering import RememberingSource

_SNOWFLAKE_DIGITS: Final = range(15, 21)
"""Mastodon's ids are 48 bits of milliseconds and 16 of a sequence; other servers have others."""


def order(status_id: str) -> tuple[int, str]:
    """Return the key by which ids of one server rise with time."""
    return (len(status_id), status_id)


def later(one: str, other: str) -> str:
    """Return the later of two ids; "" is before all."""
    return one if order(one) >= order(other) else other


def time_of_id(status_id: str) -> datetime | None:
    """Return when a status was written, by its id; None if the id does not say.

    Example:
        >>> time_of_id("104009345973121628").isoformat(timespec="seconds")
        '2020-04-16T17:04:30+00:00'
    """
    if (
        len(status_id) not in _SNOWFLAKE_DIGITS
        or not status_id.isascii()
        or not status_id.isdigit()
    ):
        return None
    at = EPOCH + timedelta(milliseconds=int(status_id) >> 16)
    return at.astimezone(UTC) if 2010 < at.year < 2200 else None


def rewound(status_id: str, by_s: float) -> str:
    """Return the id of so many seconds earlier; the same id if it has no time in it."""
    at = time_of_id(status_id)
    if at is None or by_s <= 0:
        return status_id
    return str((epoch_ms(at) - int(by_s * 1000)) << 16)


class CatchUp:
    """Fetches by REST what no stream brings any more: timelines, and the newest posts once more.

    Args:
        client: The client of the server.
        mapper: Maps its statuses.
        source: The source that delivers them and knows where each stream stands.
    """

    def __init__(
        self,
        client: MastodonClient,
        mapper: StatusMapper,
        source: RememberingSource[MastodonOptions],
    ) -> None:
        self._client = client
        self._mapper = mapper
        self._source = source

    async def fill(self, stream: Stream) -> None:
        """Deliver what a timeline has after the last post, oldest first; a gap if it cannot.

        In a fresh run nothing is missing: the newest status is where the next fill starts.
        """
        last = self._source.at.get(stream.name, "")
        try:
            if last:
                await self._fill_from(stream, last)
                return
            newest = await self._newest(stream)
            self._source.at = self._source.at_after(stream.name, newest)
        except (CallRefused, Unanswered) as error:
            cause = "fill_refused" if isinstance(error, CallRefused) else "fill_failed"
            self._source.log.warning(
                "cannot fetch what was missed", source=SOURCE, error=str(error)
            )
            if last:
                await self._miss(cause, last)

    async def fill_seam(self, stream: Stream) -> None:
        """Fetch what fell between the timeline's end and the stream's beginning, if anything did.

        A server answers before it has subscribed us everywhere. A crash before this was done
        loses nothing: the next fill goes back further than this is late.
        """
        last = self._source.at.get(stream.name, "")
        try:
            if last:
                await self._fill_from(stream, last)
        except (CallRefused, Unanswered) as error:
            self._source.log.info("the seam was not looked at", source=SOURCE, error=str(error))

    async def _newest(self, stream: Stream) -> str:
        page = await self._client.timeline(stream, limit="1")
        ids = [text_of(one.get("id")) for one in page if isinstance(one, dict)]
        return max(ids, key=order, default="0")

    async def _fill_from(self, stream: Stream, last: str) -> None:
        """Go on to what is the newest now: the stream is open and brings what comes later.

        Without that end a busy timeline would be followed for ever while the stream is held back.
        """
        end = await self._newest(stream)
        place = rewound(last, self._source.options.rewind_s)
        taken = 0
        while page := await self._client.timeline(stream, min_id=place):
            self._source.received(len(page))
            found = [(text_of(one.get("id")) if isinstance(one, dict) else "", one) for one in page]
            found.sort(key=lambda pair: order(pair[0]))
            for status_id, status in found:
                raw = status_bytes(status)
                mapped = self._mapper.status(status, raw)
                # Never before `last`: what rewinding brings again was passed already.
                passes = later(last, status_id)
                taken += await self._source.take(mapped, len(raw), stream.name, passes)
            newest = found[-1][0]
            if order(newest) <= order(place) or order(newest) >= order(end):
                return
            place = newest
            if taken >= self._source.options.fill_max_posts:
                await self._miss("fill_limit", place)
                return

    async def _miss(self, cause: str, last: str) -> None:
        """Say that what comes after the status `last` cannot be had."""
        at = time_of_id(last)
        now = self._source.context.clock.now()
        await self._source.miss(cause, 0.0 if at is None else (now - at).total_seconds())

    async def recheck(self) -> None:
        """Look at the newest posts again: edits and deletions are in no timeline."""
        newest = self._source.held.newest(self._source.options.recheck_posts)
        try:
            for start in range(0, len(newest), LOOKUP_POSTS):
                await self._look_again(dict(newest[start : start + LOOKUP_POSTS]))
        except (CallRefused, Unanswered) as error:
            self._source.log.info(
                "posts cannot be looked at again", source=SOURCE, error=str(error)
            )

    async def _look_again(self, wanted: dict[str, object]) -> None:
        for status in await self._client.statuses(list(wanted)):
            raw = status_bytes(status)
            if isinstance(status, dict) and wanted.pop(text_of(status.get("id")), None):
                await self._source.take(self._mapper.status(status, raw), len(raw))
                await self._source.take_counts(self._mapper.counts(status, raw), len(raw))
        for status_id in wanted:
            # An answer without it may be a fault of the server; a plain 404 is none.
            if await self._client.is_gone(status_id):
                gone = self._mapper.removal(status_id, status_id.encode())
                await self._source.take(gone, len(status_id))
