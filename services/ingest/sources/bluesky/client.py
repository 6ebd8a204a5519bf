"""The socket of a Jetstream session: address, handshake, compression, and why it ended.

Everything that the websocket, HTTP and zstd libraries raise becomes a `SessionEnded` here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp
import msgspec
import zstandard
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)

from core.logs import describe_error, get_logger
from services.ingest.sources.bluesky.options import BlueskyOptions, base_url
from services.ingest.sources.live import SessionEnded

SUBPROTOCOL: Final = "xrpc.v1.json"
PATHS: Final = {"v1": "/subscribe", "v2": "/xrpc/network.bsky.jetstream.subscribeEvents"}
DICTIONARY_PATH: Final = "/xrpc/network.bsky.jetstream.getZstdDictionary"
MAX_DICTIONARY_BYTES: Final = 1_048_576
MAX_ZSTD_WINDOW: Final = 8_388_608
HELLO_ABOVE_DIDS: Final = 50
"""More accounts than this make an address longer than proxies like."""
MAX_QUEUED_FRAMES: Final = 64
_CLOSE_TIMEOUT_S: Final = 0.3
_MESSAGE_TOO_BIG: Final = 1009
_POLICY_VIOLATION: Final = 1008
_KNOWN_NAMES: Final = frozenset(
    (
        "ConsumerTooSlow", "CursorTooOld", "FutureCursor", "InvalidCursor", "InvalidRequest",
        "OutdatedCursor", "UnknownZstdDictionary",
    )
)  # fmt: skip


class Unpacker:
    """Decompresses frames of one dictionary, never to more than so many bytes.

    Args:
        dictionary: The content of the dictionary.
        max_bytes: The most bytes of a decompressed frame.

    Raises:
        SessionEnded: the dictionary is none.
    """

    def __init__(self, dictionary: bytes, max_bytes: int) -> None:
        found = zstandard.ZstdCompressionDict(dictionary)
        if not found.dict_id():
            raise SessionEnded("refused", "the zstd dictionary is none")
        self.dictionary_id = found.dict_id()
        self._max_bytes = max_bytes
        self._zstd = zstandard.ZstdDecompressor(dict_data=found, max_window_size=MAX_ZSTD_WINDOW)

    def unpack(self, frame: bytes) -> bytes | str:
        """Return the content of a frame, or what is wrong with it as a string."""
        if frame[:1] == b"{":
            return frame
        try:
            # The size in the header is obeyed by the library unasked: look at it first.
            if zstandard.get_frame_parameters(frame).content_size > self._max_bytes:
                size = zstandard.frame_content_size(frame)
                if size > 0:
                    return f"{size} bytes once decompressed, expected at most {self._max_bytes}"
            return self._zstd.decompress(frame, max_output_size=self._max_bytes)
        except (zstandard.ZstdError, MemoryError, ValueError):
            return "not a zstd frame of this dictionary"


def subscribe_url(
    options: BlueskyOptions, host: str, cursor: int, dictionary_id: int | None
) -> str:
    """Return the address of a session.

    Args:
        options: The options of the source.
        host: The server.
        cursor: The number or microseconds; 0 for none.
        dictionary_id: The id of the zstd dictionary; None for no zstd.

    Example:
        >>> subscribe_url(BlueskyOptions(collections=("a.b.c",)), "ws://h:1", 7, None)
        'ws://h:1/subscribe?wantedCollections=a.b.c&maxMessageSizeBytes=1048576&cursor=7'
    """
    is_v2 = options.protocol == "v2"
    query: list[tuple[str, str]] = []
    if is_v2:
        query += [("kinds", kind) for kind in ("commit", "account")]
        query += [("collections", name) for name in options.collections]
        query += [("dids", did) for did in options.dids]
    elif not says_hello(options):
        query += [("wantedCollections", name) for name in options.collections]
        query += [("wantedDids", did) for did in options.dids]
    query.append(("maxMessageSizeBytes", str(options.max_message_bytes)))
    if cursor:
        query.append(("cursor", str(cursor)))
    if not is_v2 and says_hello(options):
        query.append(("requireHello", "true"))
    if dictionary_id is not None:
        query.append(("zstdDictionary", str(dictionary_id)) if is_v2 else ("compress", "true"))
    return f"{base_url(host)}{PATHS[options.protocol]}?{urlencode(query)}"


def says_hello(options: BlueskyOptions) -> bool:
    """Tell whether the filter goes by message instead of by address."""
    if options.protocol == "v2":
        return False
    return options.require_hello or len(options.dids) > HELLO_ABOVE_DIDS


def hello(options: BlueskyOptions) -> str:
    """Return the message that sets the filter of a v1 session."""
    payload = {
        "wantedCollections": options.collections,
        "wantedDids": options.dids,
        "maxMessageSizeBytes": options.max_message_bytes,
    }
    return msgspec.json.encode({"type": "options_update", "payload": payload}).decode()


class Dictionaries:
    """The zstd dictionaries of the servers, fetched once each.

    Args:
        options: The options of the source.
    """

    def __init__(self, options: BlueskyOptions) -> None:
        self._options = options
        self._of_host: dict[str, Unpacker | None] = {}

    async def of(self, host: str) -> Unpacker | None:
        """Return what decompresses frames of a server; None if they come without zstd.

        Raises:
            SessionEnded, aiohttp.ClientError: The server does not answer, or its dictionary cannot
                be used.
        """
        options = self._options
        if options.protocol == "v1":
            if not options.zstd_dictionary:
                return None
            if host not in self._of_host:
                content = await asyncio.to_thread(Path(options.zstd_dictionary).read_bytes)
                self._of_host[host] = Unpacker(content, options.max_message_bytes)
        elif not options.compress:
            return None
        elif host not in self._of_host:
            self._of_host[host] = await self._fetch(host)
        return self._of_host[host]

    def forget(self, host: str) -> None:
        """Fetch it again next time: the server has another one."""
        self._of_host.pop(host, None)

    async def _fetch(self, host: str) -> Unpacker | None:
        address = "http" + base_url(host).removeprefix("ws") + DICTIONARY_PATH
        timeout = aiohttp.ClientTimeout(total=self._options.limits.connect_timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(address) as answer:
            if answer.status in (404, 501):
                get_logger(__name__).info("server has no zstd dictionary", host=host)
                return None
            if answer.status != 200:
                raise _refused(answer.status, answer.headers, b"no zstd dictionary")
            content = b""
            async for piece in answer.content.iter_chunked(65_536):
                content += piece
                if len(content) > MAX_DICTIONARY_BYTES:
                    break
        if len(content) > MAX_DICTIONARY_BYTES:
            raise SessionEnded("refused", f"the dictionary is over {MAX_DICTIONARY_BYTES} bytes")
        return Unpacker(content, self._options.max_message_bytes)


@asynccontextmanager
async def open_socket(
    options: BlueskyOptions, host: str, cursor: int, unpacker: Unpacker | None
) -> AsyncIterator[ClientConnection]:
    """Connect, and close when left.

    Raises:
        SessionEnded: refused, or the connection ended, and why.
    """
    url = subscribe_url(options, host, cursor, unpacker and unpacker.dictionary_id)
    is_v2 = options.protocol == "v2"
    try:
        async with connect(
            url,
            # Servers refuse two schemes at once, and v2 takes zstd only.
            compression="deflate" if options.compress and not unpacker and not is_v2 else None,
            subprotocols=[SUBPROTOCOL] if is_v2 else None,  # type: ignore[list-item]
            open_timeout=options.limits.connect_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            # Pongs are not read while we wait for room; silence is the idle timer's business.
            ping_interval=None,
            max_size=options.max_message_bytes,
            max_queue=MAX_QUEUED_FRAMES,
            user_agent_header="groundswell",
            proxy=None,
        ) as socket:
            if says_hello(options):
                await socket.send(hello(options))
            yield socket
    except ConnectionClosed as error:
        raise closed(error) from error
    except InvalidStatus as error:
        answer = error.response
        raise _refused(answer.status_code, answer.headers, bytes(answer.body or b"")) from error
    except InvalidHandshake as error:
        raise SessionEnded("handshake", describe_error(error)) from error
    except WebSocketException as error:
        raise SessionEnded("protocol", describe_error(error)) from error


def closed(error: ConnectionClosed) -> SessionEnded:
    """Return why an open connection ended."""
    received, sent = error.rcvd, error.sent
    if sent is not None and sent.code == _MESSAGE_TOO_BIG and error.rcvd_then_sent is not True:
        return SessionEnded("too_large", "a message over max_message_bytes")
    if received is None:
        return SessionEnded("network", "closed without a word")
    cause = "refused" if received.code == _POLICY_VIOLATION else "closed"
    return SessionEnded(cause, f"code {received.code}")


class SessionRefused(SessionEnded):
    """The server refused the session before it began.

    Attributes:
        status: The status of HTTP.
        name: What a v2 server calls it, such as `CursorTooOld`; "" if it does not say.
        words: What the server wrote beside it. Shown only where it can speak of our own options.
        is_about_cursor: The server's words speak of the cursor.
    """

    def __init__(self, status: int, name: str, detail: str, retry_after_s: float | None) -> None:
        cause = "busy" if status in (429, 503) else "refused"
        super().__init__(
            cause, f"HTTP {status} {shown_name(name)}".strip(), retry_after_s=retry_after_s
        )
        self.status = status
        self.name = name
        self.words = detail
        self.is_about_cursor = name == "CursorTooOld" or (
            status == 400 and "cursor" in f"{name} {detail}".lower()
        )


def shown_name(name: str) -> str:
    """Return what a server calls its error or notice, if it is one that is known.

    Anything else that it writes may name the account it speaks of, and logs name nobody.
    """
    return name if name in _KNOWN_NAMES else ""


class _Said(msgspec.Struct):
    error: str = ""
    message: str = ""


def _refused(status: int, headers: Mapping[str, str], body: bytes) -> SessionRefused:
    try:
        said = msgspec.json.decode(body, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = _Said(message=body[:200].decode("utf-8", "replace").strip())
    return SessionRefused(status, said.error[:60], said.message[:200], _seconds(headers))


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return min(max(float(headers.get("Retry-After", "")), 0.0), 3_600.0)
    except ValueError:
        return None
