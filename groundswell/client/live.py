"""Server-sent events as they arrive, over as many connections as it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import httpx

from groundswell.client.connection import Connection
from groundswell.client.errors import ClientError

_MOST_BYTES: Final = 1_000_000
"""Of an event; a window has some 10,000."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event as it was sent.

    Attributes:
        name: What it is; `message` where the console gives no name.
        event_id: What to go on after; "" if it has none.
        data: What it carries.
    """

    name: str
    event_id: str
    data: str


def events_of(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    r"""Yield the events in a body; one that is not finished is none.

    Raises:
        ClientError: An event is longer than any of a console.

    Example:
        >>> [one.data for one in events_of([b"id: 7\nda", b"ta: a\ndata: b\n\n", b"data: c\n"])]
        ['a\nb']
    """
    rest, fields, lines = b"", {"event": "message", "id": ""}, list[str]()
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) + sum(map(len, lines)) > _MOST_BYTES:
            raise ClientError("No console", "an event is too long", what_to_do="check the address")
        for line in whole:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            if not text:
                if lines:
                    yield ServerEvent(fields["event"], fields["id"], "\n".join(lines))
                fields, lines = {"event": "message", "id": ""}, []
                continue
            name, _, value = text.partition(":")
            if name == "data":
                lines.append(value.removeprefix(" "))
            elif name in fields:
                fields[name] = value.removeprefix(" ")


def follow(
    connection: Connection, path: str, last: str | None, pause: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """Yield the windows of a live series; a connection that ends is made again after the last one.

    Args:
        connection: Asks the console.
        path: The series.
        last: The id of the event to go on after.
        pause: Waits before a connection is made again.

    Raises:
        ClientError: The console refuses, or does not answer any more.
    """
    while True:
        with closing(_opened(connection, path, last)) as got:
            try:
                for one in events_of(got.iter_bytes()):
                    if one.name == "window":
                        last = one.event_id or last
                        yield _window(one.data)
            except httpx.TransportError:
                pass  # it broke off; what it had not sent yet comes over the next one
        pause()


def _window(data: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClientError("No console", "an event is no window", what_to_do="check the address")
    return found


def _opened(connection: Connection, path: str, last: str | None) -> httpx.Response:
    """Return the answer to a live series, asked for again while nothing answers."""
    for attempt in connection.tries():
        with attempt:
            return connection.open_events(path, last)
    raise AssertionError  # the last failure is raised
