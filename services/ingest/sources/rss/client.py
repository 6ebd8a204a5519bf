"""One polite request for one feed: conditional, bounded, and to public addresses only."""

from __future__ import annotations

from datetime import datetime

import aiohttp
from msgspec import Struct
from yarl import URL

from services.ingest.sources.rss.options import RssOptions
from services.ingest.sources.web import (
    USER_AGENT,
    AnswerRefused,
    NotPublic,
    asked_wait_s,
    check_target,
    read_bounded,
)

_NOT_PUBLIC = "NotPublic: it leads to an address that is not public, or to no http or https"
_REDIRECTS = (301, 302, 303, 307, 308)


class Fetched(Struct, frozen=True):
    """What a request came to.

    Attributes:
        status: The HTTP status of the last answer; 0 if there was none.
        body: The body of a 200.
        etag, modified: The validators for the next request.
        content_type: The type of the body.
        wait_s: For how long the server asks to be left alone.
        fault: Why there is no body, if something went wrong.
    """

    status: int
    body: bytes = b""
    etag: str = ""
    modified: str = ""
    content_type: str = ""
    wait_s: float | None = None
    fault: str = ""


async def fetch(
    http: aiohttp.ClientSession,
    url: str,
    etag: str,
    modified: str,
    options: RssOptions,
    now: datetime,
) -> Fetched:
    """Ask for a feed, following redirects; never raises for what the other side does."""
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.1",
        "Accept-Encoding": "gzip",
    }
    if etag:
        headers["If-None-Match"] = etag
    if modified:
        headers["If-Modified-Since"] = modified
    try:
        target = URL(url)
        for _ in range(options.max_redirects + 1):
            check_target(target, allow_private=options.allow_private_addresses)
            async with http.get(target, headers=headers, allow_redirects=False) as answer:
                place = answer.headers.get("Location")
                if answer.status in _REDIRECTS and place:
                    target = target.join(URL(place))
                    continue
                return await _read(answer, options.max_feed_bytes, now)
        return Fetched(0, fault=f"over {options.max_redirects} redirects")
    except NotPublic:
        return Fetched(0, fault=_NOT_PUBLIC)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # A refusal of the resolver comes wrapped by the connector.
        is_refused = isinstance(error.__cause__, NotPublic)
        # Without its message: it quotes where a redirect led.
        return Fetched(0, fault=_NOT_PUBLIC if is_refused else type(error).__name__)


async def _read(answer: aiohttp.ClientResponse, max_bytes: int, now: datetime) -> Fetched:
    wait_s = asked_wait_s(answer.headers, now)
    if answer.status != 200:
        return Fetched(answer.status, wait_s=wait_s, fault=f"HTTP {answer.status}")
    try:
        body = await read_bounded(answer, max_bytes)
    except AnswerRefused as error:
        return Fetched(0, wait_s=wait_s, fault=error.detail)
    return Fetched(
        200,
        body,
        answer.headers.get("ETag", "")[:512],
        answer.headers.get("Last-Modified", "")[:128],
        answer.headers.get("Content-Type", "")[:256],
        wait_s,
    )
