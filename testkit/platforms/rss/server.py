"""A site with feeds, for tests: conditional answers, redirects, refusals, bombs and slowness."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from aiohttp import web

from testkit.platforms.site import ThreadedSite, abort

Answer = Callable[[web.Request], web.StreamResponse | None]


class FakeFeedSite:
    """Serves feeds at `/feed/NAME`; `answers` stand in front of them.

    Attributes:
        entries: feed -> (id, title, text, when), oldest first.
        window: entries shown of a feed, the newest.
        answers: path -> a function that answers instead, or None to let the feed answer.
        asked: (path, status) of every answer.
        aborts: connections still to be cut in the middle of an answer.
        aborted: connections that were.
        drips: feeds whose answers come byte by byte and never end.
    """

    def __init__(self) -> None:
        self.entries: dict[str, list[tuple[str, str, str, datetime]]] = {}
        self.window = 1_000
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, int]] = []
        self.aborts = 0
        self.aborted = 0
        self.drips: set[str] = set()
        self.site = ThreadedSite(self._application)

    def __enter__(self) -> FakeFeedSite:
        """Serve."""
        self.site.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.site.stop()

    def feed(self, name: str = "a") -> str:
        """Return the address of a feed."""
        return f"{self.site.url}/feed/{name}"

    def publish(
        self, entry_id: str, title: str, text: str = "", *, feed: str = "a",
        at: datetime | None = None,
    ) -> None:  # fmt: skip
        """Add an entry, or change the one with this id."""

        def add() -> None:
            kept = [one for one in self.entries.get(feed, []) if one[0] != entry_id]
            self.entries[feed] = [*kept, (entry_id, title, text, at or datetime.now(UTC))]

        self.site.do(add)

    def publish_many(self, entries: list[tuple[str, str]], feed: str = "a") -> None:
        """Add (id, title) entries."""
        now = datetime.now(UTC)
        new = [(entry_id, title, "", now) for entry_id, title in entries]
        self.site.do(lambda: self.entries.setdefault(feed, []).extend(new))

    def statuses(self, path: str = "/feed/a") -> list[int]:
        """Return the statuses of the answers for a path."""
        return [status for where, status in self.asked if where == path]

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        return app

    async def _get(self, request: web.Request) -> web.StreamResponse:
        make = self.answers.get(request.path)
        answer = make(request) if make is not None else None
        if answer is None:
            answer = await self._feed(request)
        self.asked.append((request.path, answer.status))
        return answer

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        body = rss_document(self.entries.get(name, [])[-self.window :])
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        if name in self.drips or self.aborts:
            return await self._broken(request, body, name)
        headers = {"ETag": etag, "Content-Type": "application/rss+xml", "Content-Encoding": "gzip"}
        return web.Response(body=gzip.compress(body, 1), headers=headers)

    async def _broken(self, request: web.Request, body: bytes, name: str) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await answer.prepare(request)
        if self.aborts:
            self.aborts -= 1
            self.aborted += 1
            await answer.write(body[: len(body) // 2])
            await asyncio.sleep(0.01)
            abort(request)
            return answer
        for place in range(len(body)):
            if name not in self.drips:
                break
            await answer.write(body[place : place + 1])
            await asyncio.sleep(0.05)
        return answer


def rss_document(entries: list[tuple[str, str, str, datetime]]) -> bytes:
    """Return an RSS 2.0 document, newest entry first."""
    items = "".join(
        f"<item><guid isPermaLink='false'>{escape(entry_id)}</guid><title>{escape(title)}</title>"
        f"<description>{escape(text)}</description><author>ana</author>"
        f"<pubDate>{format_datetime(at)}</pubDate></item>"
        for entry_id, title, text, at in reversed(entries)
    )
    return (
        "<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><title>News</title>"
        f"<link>https://news.test/</link><language>en-gb</language>{items}</channel></rss>"
    ).encode()
