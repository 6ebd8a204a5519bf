"""HTTP answers of the fake Jetstream server, instead of a session."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from websockets.datastructures import Headers
from websockets.http11 import Response


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer instead of a session."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def plain_answer(status: int, text: str) -> Response:
    """Return an answer in plain text."""
    body = text.encode()
    headers = Headers([("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return Response(status, HTTPStatus(status).phrase, headers, body)


def xrpc_answer(status: int, name: str, message: str) -> Response:
    """Return an error as XRPC has it."""
    body = msgspec.json.encode({"error": name, "message": message})
    headers = Headers([("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return Response(status, HTTPStatus(status).phrase, headers, body)
