"""HTTP answers of a bounded size, whatever the server sends: compressed or not, fast or slow."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from services.ingest.sources.records import time_of

USER_AGENT: Final = "groundswell/0.1 (+public-conversation monitor)"
MAX_WAIT_S: Final = 3600.0
"""No server's wish to be left alone is kept for longer."""


class AnswerTooLarge(Exception):
    """The body is larger than allowed, before or after it was decompressed."""


class AnswerUnreadable(Exception):
    """The body is not compressed as its header says."""


async def read_bounded(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body of an answer of a session that does not decompress by itself.

    Decompresses piece by piece and never holds more than `max_bytes` and a piece: a small body
    that unfolds to gigabytes ends here.

    Raises:
        AnswerTooLarge: before more than `max_bytes` are held.
        AnswerUnreadable: unknown or broken compression.
    """
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    unfold = _unfolder(encoding)
    body = bytearray()
    received = 0
    async for chunk in answer.content.iter_chunked(65_536):
        received += len(chunk)
        if received > max_bytes:
            raise AnswerTooLarge(f"over {max_bytes} bytes")
        if unfold is None:
            body += chunk
            continue
        try:
            body += unfold.decompress(chunk, max_bytes + 1 - len(body))
        except zlib.error as error:
            raise AnswerUnreadable(f"broken {encoding}") from error
        if len(body) > max_bytes or unfold.unconsumed_tail:
            raise AnswerTooLarge(f"over {max_bytes} bytes once decompressed")
    return bytes(body)


def _unfolder(encoding: str) -> zlib._Decompress | None:
    if encoding in ("identity", ""):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    raise AnswerUnreadable("compressed in a way that was not asked for")


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
