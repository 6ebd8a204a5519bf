"""Answers that are too large, broken or compressed, and servers that ask to be left alone."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import aiohttp
import pytest

from services.ingest.sources.web import (
    MAX_WAIT_S,
    AnswerRefused,
    asked_wait_s,
    read_bounded,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BODY = b"all that was said, " * 40


class Answer:
    """An answer that comes in pieces; `read` is how many were asked for."""

    def __init__(self, pieces: list[bytes], encoding: str | None) -> None:
        self.headers = {} if encoding is None else {"Content-Encoding": encoding}
        self.content = self
        self.read = 0
        self._pieces = pieces

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        del size
        for piece in self._pieces:
            self.read += 1
            yield piece


async def _read(answer: Answer, max_bytes: int) -> bytes:
    return await read_bounded(cast(aiohttp.ClientResponse, cast(Any, answer)), max_bytes)


def _cut(body: bytes, size: int = 7) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


PACKED = {
    None: BODY,
    "": BODY,
    "identity": BODY,
    "gzip": gzip.compress(BODY),
    " X-GZIP ": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_body_of_just_the_size_allowed_is_read_and_one_byte_more_is_not(
    encoding: str | None,
) -> None:
    pieces = _cut(PACKED[encoding])
    assert await _read(Answer(pieces, encoding), len(BODY)) == BODY
    with pytest.raises(AnswerRefused):
        await _read(Answer(pieces, encoding), len(BODY) - 1)


async def test_what_is_too_large_is_not_read_to_its_end() -> None:
    answer = Answer([b"x" * 10] * 100, None)
    with pytest.raises(AnswerRefused, match="over 25 bytes"):
        await _read(answer, 25)
    assert answer.read == 3
    bomb = Answer(_cut(gzip.compress(bytes(1_000_000)), 300), "gzip")
    with pytest.raises(AnswerRefused, match="once decompressed"):
        await _read(bomb, 2_000)
    assert bomb.read == 1


async def test_compressed_bytes_count_as_received_even_if_they_unfold_to_nothing() -> None:
    empty = gzip.compress(b"")
    with pytest.raises(AnswerRefused):
        await _read(Answer([empty] * 3, "gzip"), 2 * len(empty))


@pytest.mark.parametrize(("encoding", "body"), [("br", BODY), ("gzip", BODY), ("deflate", b"??")])
async def test_a_body_that_is_not_compressed_as_it_says_is_unreadable(
    encoding: str, body: bytes
) -> None:
    with pytest.raises(AnswerRefused):
        await _read(Answer([body], encoding), 10_000)


@pytest.mark.parametrize(
    ("headers", "asked_s"),
    [
        ({}, None),
        ({"Retry-After": " 12 "}, 12.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "86400"}, MAX_WAIT_S),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Sun, 01 Mar 2026 12:01:30 GMT"}, 90.0),
        ({"Retry-After": "Sun, 01 Mar 2026 12:01:30 -0000"}, 90.0),
        ({"Retry-After": "2026-03-01T12:00:05Z"}, 5.0),
        ({"Retry-After": "3", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}, 3.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": " 9 "}, 9.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-03-01T12:00:07Z"}, 7.0),
        ({"X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "9"}, 9.0),
        ({"X-RateLimit-Remaining": "0.0", "X-RateLimit-Reset": "9"}, 9.0),
        ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "9"}, None),
        ({"X-RateLimit-Remaining": "0"}, None),
        ({"X-RateLimit-Reset": "9"}, None),
    ],
)
def test_a_server_is_left_alone_for_as_long_as_it_asks_up_to_an_hour(
    headers: dict[str, str], asked_s: float | None
) -> None:
    assert asked_wait_s(headers, NOW) == asked_s
