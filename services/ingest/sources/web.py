"""What sources ask the web for: answers of a bounded size, from public addresses only if need be.

An answer is bounded whatever the server sends: compressed or not, fast or slow. Where a feed or a
redirect names an address, the address that was checked is the one that is connected to: a name is
resolved once for each connection, and the connector is given the checked addresses.
"""

from __future__ import annotations

import ipaddress
import socket
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult
from yarl import URL

from services.ingest.sources.live import SessionEnded
from services.ingest.sources.records import time_of

USER_AGENT: Final = "groundswell/0.1 (+public-conversation monitor)"
MAX_WAIT_S: Final = 3600.0
"""No server's wish to be left alone is kept for longer."""


class AnswerRefused(SessionEnded):
    """The body is larger than allowed, or not compressed as its header says."""

    def __init__(self, detail: str) -> None:
        super().__init__("too_large", detail)
        self.detail = detail


async def read_bounded(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body of an answer of a session that does not decompress by itself.

    Decompresses piece by piece and never holds more than `max_bytes` and a piece: a small body
    that unfolds to gigabytes ends here.

    Raises:
        AnswerRefused: The compression is unknown or broken, or the body too large: before more
            than `max_bytes` are held.
    """
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    unfold = _unfolder(encoding)
    body = bytearray()
    received = 0
    async for chunk in answer.content.iter_chunked(65_536):
        received += len(chunk)
        if received > max_bytes:
            raise AnswerRefused(f"over {max_bytes} bytes")
        if unfold is None:
            body += chunk
            continue
        try:
            body += unfold.decompress(chunk, max_bytes + 1 - len(body))
        except zlib.error as error:
            raise AnswerRefused(f"broken {encoding}") from error
        if len(body) > max_bytes or unfold.unconsumed_tail:
            raise AnswerRefused(f"over {max_bytes} bytes once decompressed")
    return bytes(body)


def _unfolder(encoding: str) -> zlib._Decompress | None:
    if encoding in ("identity", ""):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    raise AnswerRefused("compressed in a way that was not asked for")


def ended_by(status: int, retry_after_s: float | None) -> SessionEnded:
    """Return what an answer of this status, other than a good one, means for a session."""
    cause = {403: "refused", 404: "not_found", 429: "rate_limited"}.get(status, "http_error")
    return SessionEnded(cause, f"HTTP {status}", retry_after_s=retry_after_s)


def asked_wait_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how long a server asks to be left alone, None if it does not say.

    Reads `Retry-After` (seconds or a date), else `X-RateLimit-Reset` (a time, or seconds) once
    nothing remains; bounded by an hour.
    """
    asked = headers.get("Retry-After", "").strip()
    if asked:
        return _bounded(_seconds_until(asked, now))
    remaining = _number(headers.get("X-RateLimit-Remaining", ""))
    if remaining is not None and remaining <= 0:
        return _bounded(_seconds_until(headers.get("X-RateLimit-Reset", "").strip(), now))
    return None


def _seconds_until(text: str, now: datetime) -> float | None:
    number = _number(text)
    if number is not None:
        return number
    at = time_of(text)
    if at is None:
        try:
            at = parsedate_to_datetime(text)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return (at - now).total_seconds()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None  # not a number is none


def _bounded(wait_s: float | None) -> float | None:
    return None if wait_s is None else min(max(wait_s, 0.0), MAX_WAIT_S)


_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class NotPublic(OSError):
    """The address is of this machine or of a private network."""


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet.

    Example:
        >>> is_public("1.1.1.1"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
        (True, False, False)
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not (
        found.is_multicast or found.is_reserved or found.is_unspecified or found.is_loopback
    )


class PublicResolver(ThreadedResolver):
    """Resolves names to public addresses; a name that has others too is refused as a whole."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            NotPublic: One of them is not public.
        """
        found = await super().resolve(host, port, family)
        for one in found:
            if not is_public(one["host"]):
                raise NotPublic(f"{host} is at {one['host']}, which is not public")
        return found


def check_target(url: URL, *, allow_private: bool) -> None:
    """Refuse an address before it is asked for; again for every redirect.

    Raises:
        NotPublic: the host is written as an address that is not public, or the scheme is none of
            the web's.
    """
    if url.scheme not in ("http", "https") or not url.host:
        raise NotPublic(f"{url.scheme or 'no'} scheme: expected http or https")
    if allow_private:
        return
    try:
        ipaddress.ip_address(url.host.partition("%")[0])
    except ValueError:
        return  # a name: the resolver looks at what it leads to
    if not is_public(url.host):
        raise NotPublic(f"{url.host} is not public")


def public_session(*, allow_private: bool, timeout_s: float) -> aiohttp.ClientSession:
    """Return a session that keeps no cookies, uses no proxy and does not decompress by itself."""
    connector = aiohttp.TCPConnector(
        limit=8,
        use_dns_cache=False,
        resolver=None if allow_private else PublicResolver(),
        # A connection that was checked for one name must not serve another check.
        force_close=True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        auto_decompress=False,
        trust_env=False,
    )
