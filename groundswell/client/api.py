"""`Client`: what a console knows, as plain values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from groundswell.client.connection import Connection
from groundswell.client.errors import ClientError
from groundswell.client.frames import frame_of
from groundswell.client.live import follow

_PAUSE_S = 1.0


class Client:
    """Asks a console; what comes back is as `/api/v1/openapi.json` describes it.

    Lists follow the cursors of their pages to the end. What only reads is asked again when nothing
    answers, or the console asks for patience. One client may be shared by threads.

    Args:
        base_url: Where the console is, such as `https://pulse.example`.
        key: The key, as `groundswell console keys add` showed it.
        timeout_s: How long to wait for a connection, and for each part of an answer.
        attempts: How often a question is asked at most.
        transport: What carries the questions; the network unless given.

    Raises:
        ClientError: Of every method: there is no answer, and why.

    Example:
        >>> Client("pulse.example", "gw_key")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        groundswell.client.errors.ClientError: Wrong address: ...
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_s: float = 30.0,
        attempts: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(
            base_url, key, timeout_s=timeout_s, attempts=attempts, transport=transport
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def health(self) -> dict[str, Any]:
        """Return that all is well, until when windows are closed, and the role of the key."""
        return self._connection.get("/health")

    def queries(self) -> list[dict[str, Any]]:
        """Return the queries that are watched, by name."""
        return list(self._pages("/queries", "queries", {}))

    def check(self, expression: str, text: str | None = None) -> dict[str, Any]:
        """Return whether an expression can be watched, and whether it matches a text."""
        return self._connection.post("/queries/check", {"expression": expression, "text": text})

    def windows(
        self,
        query: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the windows of a query, the oldest first: counters, and sentiment with interval.

        Args:
            query: The name of the query; `all` is every post.
            since: The first start; with its time zone.
            until: Windows start before this; with its time zone.
            step: Their length, such as `5m`, `1h`, `1d`; else a pane's.
        """
        asked = {"from": _time("since", since), "to": _time("until", until), "step": step}
        return self._pages(_path(query, "windows"), "windows", asked | {"limit": 5_000})

    def frame(
        self,
        query: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: str | None = None,
        kind: str = "polars",
    ) -> Any:
        """Return windows, asked for as those of `windows`, as a frame of polars or pandas."""
        return frame_of(self.windows(query, since=since, until=until, step=step), kind)

    def posts(self, query: str, start: datetime, step: str | None = None) -> dict[str, Any]:
        """Return some posts of the window that starts then; `withheld` if the role may see none."""
        return self._connection.get(
            _path(query, "posts"), {"start": _time("start", start), "step": step}
        )

    def alerts(
        self, *, query: str | None = None, kind: str | None = None, firing: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yield the alerts, the newest first; with `firing` only those that go on."""
        asked = {"query": query, "kind": kind, "firing": firing or None}
        return self._pages("/alerts", "alerts", asked)

    def alert(self, alert_id: str) -> dict[str, Any]:
        """Return one alert with its evidence."""
        return self._connection.get(f"/alerts/{quote(alert_id, safe='')}")

    def quality(self) -> dict[str, Any]:
        """Return what forecasts were worth, by source and by query."""
        return self._connection.get("/quality")

    def live(
        self, query: str, *, after: int | None = None, pause_s: float = _PAUSE_S
    ) -> Iterator[dict[str, Any]]:
        """Yield each window of a query when it closes, without an end.

        A connection that ends is made again, and goes on after the window that came last.

        Args:
            query: The name of the query; `all` is every post.
            after: Go on after the window that starts then, in seconds since 1970.
            pause_s: How long to wait before a connection is made again.
        """
        last = None if after is None else str(after)
        return follow(self._connection, _path(query, "live"), last, lambda: time.sleep(pause_s))

    def _pages(self, path: str, name: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = self._connection.get(path, asked | {"cursor": cursor})
            yield from page[name]
            if (following := page["next_cursor"]) is None:
                return
            if following == cursor:
                raise ClientError("No console", "a page leads to itself")
            cursor = following


def _path(query: str, what: str) -> str:
    return f"/queries/{quote(query, safe='')}/{what}"


def _time(name: str, at: datetime | None) -> str | None:
    if at is not None and at.tzinfo is None:
        raise ClientError(
            "Wrong time", f"{name}: expected a time with its time zone",
            errors=[(name, "no time zone")], what_to_do="give it one, such as datetime.UTC",
        )  # fmt: skip
    return None if at is None else at.isoformat()
