"""The few calls of Mastodon's REST interface that fill what a stream missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import aiohttp
import msgspec

from core.logs import describe_error
from services.ingest.sources.base import Unmappable
from services.ingest.sources.bounded_http import (
    AnswerTooLarge,
    AnswerUnreadable,
    asked_wait_s,
    read_bounded,
)
from services.ingest.sources.mastodon.options import Stream
from services.ingest.sources.records import decode_json

PAGE_POSTS: Final = 40
LOOKUP_POSTS: Final = 20
MAX_ANSWER_BYTES: Final = 8_388_608
_ATTEMPTS: Final = 5
_REFUSALS: Final = frozenset((401, 403, 404, 410, 422))


class Refused(Exception):
    """The server does not give this, and will not if asked again."""


class Unanswered(Exception):
    """The server gave no usable answer, several times."""


class Rest:
    """Asks one server, within its rate limits.

    Args:
        http: session that neither decompresses nor follows redirects to other hosts.
        server: its address.
        headers: of every request, the token among them.
        now: for times in headers.
        timeout_s: of one request.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        server: str,
        headers: dict[str, str],
        now: Callable[[], datetime],
        timeout_s: float,
    ) -> None:
        self._http = http
        self._server = server.rstrip("/")
        self._headers = headers
        self._now = now
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def timeline(self, stream: Stream, **where: str) -> list[Any]:
        """Return a page of a timeline, newest first.

        Raises:
            Refused, Unanswered: as `_get`.
        """
        query = {**stream.rest_query, "limit": str(PAGE_POSTS), **where}
        return _list(await self._get(stream.rest_path, query))

    async def statuses(self, ids: Sequence[str]) -> list[Any]:
        """Return those of up to twenty statuses that are still there.

        Raises:
            Refused: also by servers that do not know this call yet.
            Unanswered: as `_get`.
        """
        return _list(await self._get("/api/v1/statuses", [("id[]", one) for one in ids]))

    async def is_gone(self, status_id: str) -> bool:
        """Tell whether a status was deleted, as far as the server says so plainly.

        Raises:
            Unanswered: as `_get`.
        """
        try:
            await self._get(f"/api/v1/statuses/{status_id}", {}, refusals=frozenset((404, 410)))
        except Refused:
            return True
        return False

    async def streaming_url(self) -> str:
        """Return where the server streams; its own address if it does not say."""
        try:
            tree = await self._get("/api/v2/instance", {})
            found = tree["configuration"]["urls"]["streaming"]
        except (Refused, Unanswered, KeyError, TypeError):
            return self._server
        return found if isinstance(found, str) and found else self._server

    async def _get(self, path: str, query: Any, refusals: frozenset[int] = _REFUSALS) -> Any:
        """Return the JSON of an answer, trying again as the server asks.

        Raises:
            Refused: one of `refusals` came.
            Unanswered: nothing usable came, or the server asks for a longer rest than we give.
        """
        fault = ""
        for attempt in range(_ATTEMPTS):
            try:
                async with self._http.get(
                    self._server + path, params=query, headers=self._headers,
                    timeout=self._timeout, allow_redirects=False,
                ) as answer:  # fmt: skip
                    if answer.status in refusals:
                        raise Refused(f"{path}: HTTP {answer.status}")
                    rest_s = asked_wait_s(answer.headers, self._now())
                    if answer.status == 200:
                        body = await read_bounded(answer, MAX_ANSWER_BYTES)
                        tree = decode_json(body)
                        if not isinstance(tree, Unmappable):
                            if rest_s:  # nothing remains: the next call is the one that waits
                                await asyncio.sleep(rest_s)
                            return tree
                        fault = tree.detail
                    else:
                        fault = f"HTTP {answer.status}"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                fault, rest_s = describe_error(error), None
            except (AnswerTooLarge, AnswerUnreadable) as error:
                fault, rest_s = str(error), None
            if attempt + 1 < _ATTEMPTS:
                await asyncio.sleep(0.5 * 2**attempt if rest_s is None else rest_s)
        raise Unanswered(f"{path}: {fault}")


def _list(tree: Any) -> list[Any]:
    if not isinstance(tree, list):
        raise Unanswered("expected a list of statuses")
    return tree


def status_bytes(status: Any) -> bytes:
    """Return the JSON of one status of a page."""
    return msgspec.json.encode(status)
