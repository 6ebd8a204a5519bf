"""Sends to a webhook as its senders do: signed, and again until it was accepted."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from msgspec import Struct

from core.settings import Secret
from services.ingest.sources.webhook.source import POSTS_PATH
from services.ingest.sources.webhook.wire import sign


class Answer(Struct, frozen=True):
    """What the webhook answered.

    Attributes:
        status: HTTP status.
        tree: its JSON.
        headers: names in lower case.
    """

    status: int
    tree: Any
    headers: dict[str, str]


class WebhookClient:
    """One sender.

    Args:
        url: of the webhook, without a path.
        key: Shared with it: a `whsec_` one, or one of the scheme of before.
        now_s: seconds since 1970, signed with each request.
    """

    def __init__(self, url: str, key: Secret, now_s: Callable[[], float] = time.time) -> None:
        self._host = urlsplit(url).netloc
        self._key = key
        self._now_s = now_s

    def send(
        self, body: Any, request_id: str = "", *, headers: dict[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:  # fmt: skip
        """Send one request; `body` is encoded unless it is bytes.

        Give the same `request_id` with each attempt; without one it is a request of its own.

        Raises:
            OSError, http.client.HTTPException: no answer came.
        """
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {"Content-Type": "application/json"}
        sent |= sign(self._key, request_id or uuid4().hex, int(self._now_s()), raw)
        connection = http.client.HTTPConnection(self._host, timeout=timeout_s)
        try:
            connection.request("POST", POSTS_PATH, raw, sent | (headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            kept = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, msgspec.json.decode(content or b"null"), kept)
        finally:
            connection.close()

    def send_until_accepted(self, body: Any, request_id: str, deadline_s: float = 60.0) -> Answer:
        """Send again until the request is accepted, as a sender that means it does.

        Raises:
            TimeoutError: it was not accepted in time.
        """
        give_up_s = time.monotonic() + deadline_s
        while time.monotonic() < give_up_s:
            try:
                answer = self.send(body, request_id, timeout_s=5.0)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            if answer.status == 202:
                return answer
            if answer.status not in (408, 429, 503):
                raise TimeoutError(f"refused: HTTP {answer.status} {answer.tree}")
            time.sleep(0.05)
        raise TimeoutError("the webhook did not accept the request in time")
