"""What is asked of a Mastodon server: its streams, and the few calls that fill what they missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from core.errors import ConfigError
from core.logs import describe_error
from services.ingest.sources.base import Unmappable
from services.ingest.sources.live import SessionEnded
from services.ingest.sources.mastodon.options import Stream
from services.ingest.sources.mastodon.wire import MAX_EVENT_BYTES, EventDecoder, ServerEvent
from services.ingest.sources.records import decode_json, text_of
from services.ingest.sources.web import (
    AnswerRefused,
    asked_wait_s,
    ended_by,
    read_bounded,
)

PAGE_POSTS: Final = 40
LOOKUP_POSTS: Final = 20
MAX_ANSWER_BYTES: Final = 8_388_608
_ATTEMPTS: Final = 5
_REFUSALS: Final = frozenset((401, 403, 404, 410, 422))


Events: TypeAlias = AsyncGenerator[tuple[str, ServerEvent | Unmappable], None]


class CallRefused(Exception):
    """The server does not give this, and will not if asked again."""


class Unanswered(Exception):
    """The server gave no usable answer, several times."""


class MastodonClient:
    """Asks one server, within its rate limits.

    Args:
        http: A session that neither decompresses nor follows redirects to other hosts.
        server: The address of the server.
        headers: The headers of every request, the token among them.
        now: Returns the time, for the times in headers.
        timeout_s: The longest time for one request, and for connecting to a stream.
        heard: Called for whatever shows that a stream is alive.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        server: str,
        headers: dict[str, str],
        now: Callable[[], datetime],
        timeout_s: float,
        heard: Callable[[], None],
    ) -> None:
        self._http = http
        self._server = server.rstrip("/")
        self._headers = headers
        self._now = now
        self._timeout_s = timeout_s
        self._heard = heard

    # -- streams ------------------------------------------------------------------------------

    async def read_sse(self, base: str, stream: Stream, on_open: Callable[[], None]) -> Events:
        """Yield (name of the stream, event) of one stream until the connection ends.

        Raises:
            SessionEnded, ConfigError: The server does not stream; aiohttp's errors as they come.
        """
        url = _stream_url(base, {"wss": "https", "ws": "http"}, stream.sse_path)
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self._timeout_s, sock_connect=self._timeout_s
        )
        asked = {**self._headers, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
        async with self._http.get(
            url, params=stream.query, headers=asked, timeout=timeout, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                raise self._refusal(answer.status, answer.headers)
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind != "text/event-stream" or "Content-Encoding" in answer.headers:
                raise SessionEnded("protocol", "expected a plain text/event-stream")
            on_open()
            decoder = EventDecoder()
            async for chunk in answer.content.iter_any():
                shown = decoder.comments
                found = decoder.feed(chunk)
                # Bytes alone show nothing: a server may drip them into an event that never ends.
                if found or decoder.comments > shown:
                    self._heard()
                for event in found:
                    yield stream.name, event

    async def read_websocket(
        self, base: str, streams: Sequence[Stream], on_open: Callable[[], None]
    ) -> Events:
        """Yield (name of the stream, event) of all streams until the connection ends.

        Raises:
            SessionEnded, ConfigError: The server does not stream; aiohttp's errors as they come.
        """
        url = _stream_url(base, {"https": "wss", "http": "ws"}, "/api/v1/streaming")
        try:
            socket = await self._http.ws_connect(
                url, headers=self._headers, autoping=False, max_msg_size=MAX_EVENT_BYTES,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),  # pyright: ignore[reportCallIssue] - attrs
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as error:
            raise self._refusal(error.status, error.headers or {}) from error
        async with socket:
            for stream in streams:
                await socket.send_json(
                    {"type": "subscribe", "stream": stream.websocket, **stream.query}
                )
            on_open()
            while True:
                message = await socket.receive()
                self._heard()
                if message.type is aiohttp.WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    yield unwrap(message.data, streams)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    yield "", Unmappable(message.data, "a binary message")
                elif message.type is aiohttp.WSMsgType.ERROR:
                    raise SessionEnded("closed", describe_error(message.data))
                elif message.type is not aiohttp.WSMsgType.PONG:
                    raise SessionEnded("closed", f"code {socket.close_code}")

    def _refusal(self, status: int, headers: Mapping[str, str]) -> Exception:
        """Return what an answer other than a stream means for the session."""
        if status == 401:
            has_token = "Authorization" in self._headers
            given = "refused the token in" if has_token else "asks for a token:"
            return ConfigError(f"mastodon: the server {given} `ingest.source_secret` (HTTP 401)")
        return ended_by(status, asked_wait_s(headers, self._now()))

    # -- calls --------------------------------------------------------------------------------

    async def timeline(self, stream: Stream, **where: str) -> list[Any]:
        """Return a page of a timeline, newest first.

        Raises:
            CallRefused, Unanswered: As `_get`.
        """
        query = {**stream.rest_query, "limit": str(PAGE_POSTS), **where}
        return _list(await self._get(stream.rest_path, query))

    async def statuses(self, ids: Sequence[str]) -> list[Any]:
        """Return those of up to twenty statuses that are still there.

        Raises:
            CallRefused: Also by servers that do not know this call yet.
            Unanswered: As `_get`.
        """
        return _list(await self._get("/api/v1/statuses", [("id[]", one) for one in ids]))

    async def is_gone(self, status_id: str) -> bool:
        """Tell whether a status was deleted, as far as the server says so plainly.

        Raises:
            Unanswered: As `_get`.
        """
        try:
            await self._get(f"/api/v1/statuses/{status_id}", {}, refusals=frozenset((404, 410)))
        except CallRefused:
            return True
        return False

    async def streaming_url(self) -> str:
        """Return where the server streams; its own address if it does not say."""
        try:
            tree = await self._get("/api/v2/instance", {})
            found = tree["configuration"]["urls"]["streaming"]
        except (CallRefused, Unanswered, KeyError, TypeError):
            return self._server
        return found if isinstance(found, str) and found else self._server

    async def _get(self, path: str, query: Any, refusals: frozenset[int] = _REFUSALS) -> Any:
        """Return the JSON of an answer, trying again as the server asks.

        Raises:
            CallRefused: One of `refusals` came.
            Unanswered: Nothing usable came, or the server asks for a longer rest than we give.
        """
        fault = ""
        for attempt in range(_ATTEMPTS):
            rest_s: float | None = None
            try:
                async with self._http.get(
                    self._server + path, params=query, headers=self._headers,
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s), allow_redirects=False,
                ) as answer:  # fmt: skip
                    if answer.status in refusals:
                        raise CallRefused(f"{path}: HTTP {answer.status}")
                    rest_s = asked_wait_s(answer.headers, self._now())
                    fault = f"HTTP {answer.status}"
                    if answer.status == 200:
                        tree = decode_json(await read_bounded(answer, MAX_ANSWER_BYTES))
                        if not isinstance(tree, Unmappable):
                            if rest_s:  # nothing remains: the next call is the one that waits
                                await asyncio.sleep(rest_s)
                            return tree
                        fault = tree.detail
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                fault, rest_s = describe_error(error), None
            except AnswerRefused as error:
                fault, rest_s = error.detail, None
            if attempt + 1 < _ATTEMPTS:
                await asyncio.sleep(0.5 * 2**attempt if rest_s is None else rest_s)
        raise Unanswered(f"{path}: {fault}")


def _stream_url(base: str, scheme_of: Mapping[str, str], path: str) -> str:
    parts = urlsplit(base)
    scheme = scheme_of.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))


def unwrap(text: str, streams: Sequence[Stream]) -> tuple[str, ServerEvent | Unmappable]:
    """Return (name of the stream, event) of a web-socket message. Pure; never raises."""
    raw = text.encode("utf-8", "replace")
    tree = decode_json(raw)
    if isinstance(tree, Unmappable):
        return "", tree
    if not isinstance(tree, dict):
        return "", Unmappable(raw, "expected an object with stream, event and payload")
    if "error" in tree and "event" not in tree:
        return "", Unmappable(raw, "the server reports an error")
    name, payload = tree.get("event"), tree.get("payload")
    if not isinstance(name, str):
        return "", Unmappable(raw, "no event")
    body = payload if isinstance(payload, str) else text_of(payload)
    where = tree.get("stream")
    words = [text_of(word) for word in where] if isinstance(where, list) else []
    found = next((stream.name for stream in streams if _is_of(stream, words)), "")
    if not found and len(streams) == 1:
        found = streams[0].name
    return found, ServerEvent(name, body.encode("utf-8", "replace"))


def _is_of(stream: Stream, words: list[str]) -> bool:
    tag = stream.query.get("tag")
    wanted = [stream.websocket] if tag is None else [stream.websocket, tag]
    return [word.casefold() for word in words] == [word.casefold() for word in wanted]


def _list(tree: Any) -> list[Any]:
    if not isinstance(tree, list):
        raise Unanswered("expected a list of statuses")
    return tree


def status_bytes(status: Any) -> bytes:
    """Return the JSON of one status of a page."""
    return msgspec.json.encode(status)
