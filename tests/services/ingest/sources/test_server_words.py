"""What a server writes when it refuses or closes may name people: logs have its code only."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp.http_exceptions import BadStatusLine
from websockets.exceptions import ConnectionClosedError, InvalidHeader, InvalidMessage
from websockets.frames import Close

from core.logs import describe_error
from services.ingest.sources.bluesky.client import _refused as refused
from services.ingest.sources.bluesky.client import closed, shown_name
from services.ingest.sources.live import SessionEnded

WORDS = "did:plc:ana said hello"


def test_a_close_reason_of_bluesky_is_not_repeated() -> None:
    for code, cause in ((1008, "refused"), (1000, "closed")):
        ended = closed(ConnectionClosedError(Close(code, WORDS), None))
        assert (ended.cause, str(ended)) == (cause, f"{cause}: code {code}")


@pytest.mark.parametrize(
    "body",
    [WORDS.encode(), f'{{"error": "{WORDS}", "message": "{WORDS}"}}'.encode(), b"\xff" + b"ana"],
)
def test_a_refusal_of_bluesky_is_told_by_its_status(body: bytes) -> None:
    for status in (400, 429, 500):
        ended = refused(status, {}, body)
        assert str(ended).endswith(f"HTTP {status}")
        assert "ana" not in str(ended)


def test_names_that_are_known_are_shown() -> None:
    known = refused(400, {}, b'{"error": "CursorTooOld", "message": "ana"}')
    assert str(known) == "refused: HTTP 400 CursorTooOld"
    assert known.is_about_cursor
    assert shown_name("ana") == ""


@pytest.mark.parametrize(
    "error",
    [
        InvalidHeader("Upgrade", WORDS),
        InvalidMessage(WORDS),
        BadStatusLine(WORDS),
        aiohttp.ClientPayloadError(WORDS),
        aiohttp.InvalidURL(f"http://{WORDS}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_library_quotes_of_an_answer_is_not_repeated(error: Exception) -> None:
    assert describe_error(error) == type(error).__name__
    assert "ana" not in str(SessionEnded("network", describe_error(error)))
