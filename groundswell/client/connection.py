"""One question to a console and its answer; asked again only where that changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import stamina

from groundswell.client.errors import ClientError, error_of

PREFIX: Final = "/api/v1"
_AGAIN: Final = frozenset({None, 429, 502, 503, 504})
"""Statuses after which a question is asked again; None: nothing answered."""
_LONGEST_WAIT_S: Final = 60.0
_LIVE_SILENCE_S: Final = 60.0
"""A live series is never silent for longer than 15 s, unless the connection is dead."""


class Connection:
    """Asks one console.

    Args:
        base_url: Where the console is, without `/api/v1`.
        key: The key, as `groundswell console keys add` showed it.
        timeout_s: How long to wait for a connection, and for each part of an answer.
        attempts: How often a question is asked at most.
        transport: What carries the questions; the network unless given.

    Raises:
        ClientError: The address is none, or the key cannot be one.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_s: float,
        attempts: int,
        transport: httpx.BaseTransport | None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(
                "Wrong address", "base_url: expected an address such as https://pulse.example",
                errors=[("base_url", "no address")], what_to_do="give the console's address",
            )  # fmt: skip
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ClientError(
                "Wrong key", "key: expected what `groundswell console keys add` showed",
                errors=[("key", "no key")], what_to_do="give the key as it was shown",
            )  # fmt: skip
        self._attempts, self._timeout_s = attempts, timeout_s
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"), timeout=timeout_s, transport=transport,
            headers={"Authorization": f"Bearer {key}"},
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return an answer; what does not answer, or asks for patience, is asked again.

        Raises:
            ClientError: There is none.
        """
        given = {name: one for name, one in (parameters or {}).items() if one is not None}
        for attempt in self.tries():
            with attempt:
                return self._ask("GET", path, params=given)
        raise AssertionError  # the last failure is raised

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to what is sent, once.

        Raises:
            ClientError: There is none.
        """
        return self._ask("POST", path, json=body)

    def tries(self) -> Iterator[Any]:
        """Yield the attempts at a question, with a pause between them that grows."""
        return iter(stamina.retry_context(on=_is_worth_another, attempts=self._attempts))

    def open_events(self, path: str, last: str | None) -> httpx.Response:
        """Return an answer whose body is still to come: server-sent events after `last`.

        Whoever asks closes it.

        Raises:
            ClientError: There is none.
        """
        headers = {"Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        timeout = httpx.Timeout(self._timeout_s, read=_LIVE_SILENCE_S)
        asked = self._client.build_request("GET", PREFIX + path, headers=headers, timeout=timeout)
        try:
            got = self._client.send(asked, stream=True)
            if got.status_code == 200:
                return got
            with closing(got):
                raise error_of(got.status_code, got.headers, got.read())
        except httpx.RequestError as error:
            raise _no_answer(error) from error

    def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        try:
            got = self._client.request(method, PREFIX + path, **how)
        except httpx.RequestError as error:
            raise _no_answer(error) from error
        if got.status_code != 200:
            raise error_of(got.status_code, got.headers, got.content)
        try:
            found = json.loads(got.content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ClientError("No console", "what answers there is none", what_to_do=(
                "check the address: it is that of the console, without /api/v1"))  # fmt: skip
        return found


def _no_answer(error: httpx.RequestError) -> ClientError:
    return ClientError("No answer", f"{type(error).__name__}: {error}")


def _is_worth_another(error: Exception) -> bool | float:
    """Return whether to ask again, or after how many seconds if the console has said."""
    if not isinstance(error, ClientError) or error.status not in _AGAIN:
        return False
    if error.status is None and error.title != "No answer":
        return False
    if error.retry_after_s is None:
        return True
    return error.retry_after_s if error.retry_after_s <= _LONGEST_WAIT_S else False
