"""Bodies of requests, read to a limit in bytes and in time and no further."""

from __future__ import annotations

import asyncio

from aiohttp import web


class RequestRefused(Exception):
    """A request that is not to be trusted, or not read to its end.

    Attributes:
        status: The HTTP status that says why.
        code: A word for it, also a metric label.
        expected: What was expected; says nothing of what came.
        field: Where; "" for the whole request.
    """

    def __init__(self, status: int, code: str, expected: str, field: str = "") -> None:
        super().__init__(expected)
        self.status = status
        self.code = code
        self.expected = expected
        self.field = field


async def read_body(request: web.Request, max_bytes: int, timeout_s: float) -> bytes:
    """Return the body as it was sent.

    Raises:
        RequestRefused: It is compressed, longer than `max_bytes`, or did not come in time.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestRefused(415, "unsupported", "expected a body that is not compressed")
    too_large = RequestRefused(413, "too_large", f"expected at most {max_bytes} bytes")
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.content.iter_any():
                size += len(piece)
                if size > max_bytes:
                    raise too_large
                pieces.append(piece)
    except TimeoutError:
        raise RequestRefused(408, "timeout", "the body did not come in time") from None
    return b"".join(pieces)


async def pass_over(request: web.Request, max_bytes: int, timeout_s: float) -> None:
    """Read on for a while and keep nothing, so that an honest sender hears why it was refused.

    A connection that is closed while its sender is still writing loses the answer. Whoever sends
    more than `max_bytes` loses it.
    """
    left = max_bytes
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.content.iter_any():
                left -= len(piece)
                if left < 0:
                    return
    except TimeoutError:
        return
