"""The two ways in which a Mastodon server streams, as one sequence of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from core.errors import ConfigError
from core.logs import describe_error
from services.ingest.sources.base import Unmappable
from services.ingest.sources.bounded_http import asked_wait_s
from services.ingest.sources.live import SessionEnded
from services.ingest.sources.mastodon.options import Stream
from services.ingest.sources.mastodon.sse import MAX_EVENT_BYTES, EventDecoder, ServerEvent
from services.ingest.sources.records import decode_json, text_of


def refusal(status: int, headers: Any, now: datetime, has_token: bool) -> Exception:
    """Return what an answer other than a stream means for the session."""
    if status == 401:
        given = "refused the token in" if has_token else "asks for a token:"
        return ConfigError(f"mastodon: the server {given} `ingest.source_secret` (HTTP 401)")
    cause = {403: "refused", 404: "not_found", 429: "rate_limited"}.get(status, "http_error")
    return SessionEnded(cause, f"HTTP {status}", retry_after_s=asked_wait_s(headers, now))


async def read_sse(
    http: aiohttp.ClientSession,
    base: str,
    stream: Stream,
    headers: dict[str, str],
    connect_timeout_s: float,
    now: Callable[[], datetime],
    on_open: Callable[[], None],
    heard: Callable[[], None],
) -> AsyncGenerator[ServerEvent, None]:
    """Yield the events of one stream until the connection ends.

    Raises:
        SessionEnded, ConfigError: the server does not stream; aiohttp's errors as they come.
    """
    parts = urlsplit(base)
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + stream.sse_path, "", ""))
    timeout = aiohttp.ClientTimeout(
        total=None, connect=connect_timeout_s, sock_connect=connect_timeout_s
    )
    asked = {**headers, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
    async with http.get(
        url, params=stream.query, headers=asked, timeout=timeout, allow_redirects=False
    ) as answer:
        if answer.status != 200:
            raise refusal(answer.status, answer.headers, now(), "Authorization" in headers)
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
                heard()
            for event in found:
                yield event


async def read_websocket(
    http: aiohttp.ClientSession,
    base: str,
    streams: Sequence[Stream],
    headers: dict[str, str],
    connect_timeout_s: float,
    now: Callable[[], datetime],
    on_open: Callable[[], None],
    heard: Callable[[], None],
) -> AsyncGenerator[tuple[str, ServerEvent | Unmappable], None]:
    """Yield (name of the stream, event) of all streams until the connection ends.

    Raises:
        SessionEnded, ConfigError: the server does not stream; aiohttp's errors as they come.
    """
    parts = urlsplit(base)
    scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
    url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/api/v1/streaming", "", ""))
    try:
        socket = await http.ws_connect(
            url, headers=headers, autoping=False, max_msg_size=MAX_EVENT_BYTES, compress=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),  # pyright: ignore[reportCallIssue] - attrs
        )  # fmt: skip
    except aiohttp.WSServerHandshakeError as error:
        raise refusal(error.status, error.headers or {}, now(), "Authorization" in headers) from (
            error
        )
    async with socket:
        for stream in streams:
            await socket.send_json(
                {"type": "subscribe", "stream": stream.websocket, **stream.query}
            )
        on_open()
        while True:
            message = await socket.receive()
            heard()
            if message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                yield unwrap(message.data, streams)
            elif message.type is aiohttp.WSMsgType.BINARY:
                yield "", Unmappable(message.data, "a binary message")
            elif message.type is not aiohttp.WSMsgType.PONG:
                raise SessionEnded("closed", _why_closed(socket, message))


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


def _why_closed(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return describe_error(message.data)
    return f"code {socket.close_code}"
