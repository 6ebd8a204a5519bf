"""Requests that were answered: one that comes again gets the same answer, also after a crash."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from services.ingest.sources.memory_file import note_reached, open_memory

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answered (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, body BLOB NOT NULL,
    accepted INTEGER NOT NULL
);
"""
_PRUNE_EVERY: Final = 500


class Answered(Struct, frozen=True):
    """A request that Kafka has acknowledged.

    Attributes:
        body_hash: of what it carried.
        accepted: posts and events in it.
    """

    body_hash: bytes
    accepted: int


class Waiting(Struct):
    """A request whose records are on their way.

    Attributes:
        key: its idempotency key.
        body_hash: of what it carries.
        accepted: posts and events in it.
        last: number of its last item.
        done: set once Kafka has all of it.
    """

    key: str
    body_hash: bytes
    accepted: int
    last: int
    done: asyncio.Future[None]


class Requests:
    """Remembers the newest `max_answers` answers on disk, and who waits for one.

    `find`, `waiting` and `add` belong to the server's loop, `acknowledged` to the runner's thread.

    Args:
        path: the file.
        max_answers: kept at most (some hundred more between two prunings).
        is_fresh: the run starts without a cursor; the file is emptied with the first answer.
    """

    def __init__(self, path: Path, max_answers: int, *, is_fresh: bool) -> None:
        self._path = path
        self._max_answers = max_answers
        self._lock = threading.Lock()
        self._by_key: dict[str, Waiting] = {}
        self._order: deque[Waiting] = deque()
        self._since_pruned = 0
        self._file: sqlite3.Connection | None = (
            None if is_fresh else open_memory(self._path, _SCHEMA)
        )

    def find(self, key: str) -> Answered | None:
        """Return the answer that a request was given."""
        with self._lock:
            if self._file is None:
                return None
            row = self._file.execute(
                "SELECT body, accepted FROM answered WHERE key = ?", (key,)
            ).fetchone()
        return None if row is None else Answered(*row)

    def waiting(self, key: str) -> Waiting | None:
        """Return a request that is on its way."""
        with self._lock:
            return self._by_key.get(key)

    def add(self, request: Waiting) -> None:
        """Note a request whose items are about to be delivered; their numbers only rise."""
        with self._lock:
            self._by_key[request.key] = request
            self._order.append(request)

    def acknowledged(self, number: int, loop: asyncio.AbstractEventLoop | None) -> None:
        """Write the answers of requests that Kafka has in full, then wake those who wait."""
        with self._lock:
            done: list[Waiting] = []
            while self._order and self._order[0].last <= number:
                done.append(self._order.popleft())
            if self._file is None:
                self._file = open_memory(self._path, _SCHEMA)
                self._file.execute("DELETE FROM answered")
            self._file.execute("BEGIN")
            self._file.executemany(
                "INSERT OR REPLACE INTO answered (key, body, accepted) VALUES (?, ?, ?)",
                [(one.key, one.body_hash, one.accepted) for one in done],
            )
            note_reached(self._file, number)
            self._since_pruned += len(done)
            if self._since_pruned >= _PRUNE_EVERY:
                self._since_pruned = 0
                self._file.execute(
                    "DELETE FROM answered WHERE number <= (SELECT max(number) FROM answered) - ?",
                    (self._max_answers,),
                )
            self._file.execute("COMMIT")
            for one in done:
                self._by_key.pop(one.key, None)
        if loop is not None:
            with suppress(RuntimeError):  # the server has ended, perhaps in this moment
                loop.call_soon_threadsafe(_wake, done)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _wake(requests: list[Waiting]) -> None:
    for request in requests:
        if not request.done.done():
            request.done.set_result(None)
