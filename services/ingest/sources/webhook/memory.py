"""Requests that were accepted: one that comes again is answered as before, also after a crash.

Nothing is forgotten while its signature is still good, or a request that somebody recorded would
count a second time.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from services.ingest.sources.memory import note_reached, open_memory
from services.ingest.sources.webhook.wire import old_key_name

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS known (
    name BLOB PRIMARY KEY, body BLOB NOT NULL, accepted INTEGER NOT NULL, at_s INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_by_time ON known (at_s);
CREATE TABLE IF NOT EXISTS forgotten (
    only INTEGER PRIMARY KEY CHECK (only = 1), at_s INTEGER NOT NULL
);
"""
_REMEMBER: Final = """
INSERT INTO known (name, body, accepted, at_s) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET at_s = max(at_s, excluded.at_s)
"""


class Answered(Struct, frozen=True):
    """A request that Kafka has acknowledged.

    Attributes:
        body_hash: The hash of what it carried.
        accepted: How many posts and events are in it.
        at_s: The latest time that it was signed with.
    """

    body_hash: bytes
    accepted: int
    at_s: int


class Waiting(Struct):
    """A request whose records are on their way.

    Attributes:
        names: What it is known by when it comes again.
        body_hash: The hash of what it carries.
        accepted: How many posts and events are in it.
        at_s: The latest time that it was signed with.
        last: The number of its last item.
        done: Set once Kafka has all of it.
    """

    names: list[bytes]
    body_hash: bytes
    accepted: int
    at_s: int
    last: int
    done: asyncio.Future[None]


class Requests:
    """Remembers requests on disk while their signatures are good, and who waits for an answer.

    `acknowledged` belongs to the runner's thread, everything else to the server's loop.

    Args:
        path: The file.
        max_names: Names kept at most (a request has one; two in the scheme of before). With that
            many still good no new request is taken, rather than an old one forgotten.
        tolerance_s: How long a signature is good.
        now_s: Seconds since 1970.
        is_fresh: The run starts without a cursor: of the run before only what could still be
            replayed is remembered.
    """

    def __init__(
        self, path: Path, max_names: int, tolerance_s: float, now_s: float, *, is_fresh: bool
    ) -> None:
        self._max_names = max_names
        self._tolerance_s = tolerance_s
        self.serving: asyncio.AbstractEventLoop | None = None
        """The loop on which those who wait are woken."""
        self._lock = threading.Lock()
        self._waiting: dict[bytes, Waiting] = {}
        self._order: deque[Waiting] = deque()
        self._file: sqlite3.Connection | None = open_memory(path, _SCHEMA)
        _take_over(self._file, now_s)
        row = self._file.execute("SELECT at_s FROM forgotten").fetchone()
        self._forgotten_s = -1 if row is None else int(row[0])
        if is_fresh:
            self._forget(self._file, now_s, -1)
        self._count = self._counted(self._file)

    def find(self, names: Sequence[bytes]) -> Answered | Waiting | None:
        """Return the request known by the first of these names that is known at all."""
        with self._lock:
            for name in names:
                if name in self._waiting:
                    return self._waiting[name]
                if self._file is None:
                    return None
                row = self._file.execute(
                    "SELECT body, accepted, at_s FROM known WHERE name = ?", (name,)
                ).fetchone()
                if row is not None:
                    return Answered(*row)
        return None

    def was_forgotten(self, at_s: int) -> bool:
        """Tell whether a request signed then may have been known once.

        Only where the clock ran ahead and was put back: what was forgotten is over otherwise.
        """
        return at_s <= self._forgotten_s

    def has_room(self, now_s: float) -> bool:
        """Tell whether another request can be remembered; forgets what is over if need be."""
        with self._lock:
            if self._count + len(self._waiting) < self._max_names:
                return True
            if self._file is None:
                return False
            # A tenth beyond what is needed: to forget name by name would cost more.
            surplus = self._count + len(self._waiting) - self._max_names
            self._forget(self._file, now_s, surplus + 1 + self._max_names // 10)
            self._count = self._counted(self._file)
            return self._count + len(self._waiting) < self._max_names

    def add(self, request: Waiting) -> None:
        """Note a request whose items are about to be delivered; their numbers only rise."""
        with self._lock:
            self._waiting.update(dict.fromkeys(request.names, request))
            self._order.append(request)

    def came_again(self, known: Answered | Waiting, signed_name: bytes, at_s: int) -> None:
        """Remember a known request by what it was signed with this time, too."""
        with self._lock:
            if isinstance(known, Waiting) and known.names[0] in self._waiting:
                known.at_s = max(known.at_s, at_s)
                if signed_name not in known.names:
                    known.names.append(signed_name)
                    self._waiting[signed_name] = known
            elif self._file is not None:
                row = (signed_name, known.body_hash, known.accepted, at_s)
                self._file.execute(_REMEMBER, row)
                self._count = self._counted(self._file)

    def acknowledged(self, number: int) -> None:
        """Write the answers of requests that Kafka has in full, then wake those who wait."""
        with self._lock:
            file = self._file
            if file is None:
                return
            done: list[Waiting] = []
            while self._order and self._order[0].last <= number:
                done.append(self._order.popleft())
            rows = [
                (name, one.body_hash, one.accepted, one.at_s) for one in done for name in one.names
            ]
            file.execute("BEGIN")
            file.executemany(_REMEMBER, rows)
            note_reached(file, number)
            file.execute("COMMIT")
            self._count += len(rows)
            for one in done:
                for name in one.names:
                    self._waiting.pop(name, None)
        if (loop := self.serving) is not None:
            with suppress(RuntimeError):  # the server has ended, perhaps in this moment
                loop.call_soon_threadsafe(_wake, done)

    def _forget(self, file: sqlite3.Connection, now_s: float, at_most: int) -> None:
        """Forget names whose signatures are over, the oldest first, and note how far that went."""
        over = file.execute(
            "SELECT name, at_s FROM known WHERE at_s < ? ORDER BY at_s LIMIT ?",
            (now_s - self._tolerance_s, at_most),
        ).fetchall()
        if not over:
            return
        file.execute("BEGIN")
        file.executemany("DELETE FROM known WHERE name = ?", [(name,) for name, _ in over])
        file.execute(
            "INSERT INTO forgotten VALUES (1, ?) "
            "ON CONFLICT (only) DO UPDATE SET at_s = max(at_s, excluded.at_s)",
            (over[-1][1],),
        )
        file.execute("COMMIT")
        self._forgotten_s = max(self._forgotten_s, over[-1][1])

    def _counted(self, file: sqlite3.Connection) -> int:
        return int(file.execute("SELECT count(*) FROM known").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _take_over(file: sqlite3.Connection, now_s: float) -> None:
    """Take over what the release before remembered, by the keys of its scheme."""
    is_there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'answered'"
    if file.execute(is_there).fetchone() is None:
        return
    # Keys were any text, and may stand in pages that are free now.
    file.execute("PRAGMA secure_delete=ON")
    rows = file.execute("SELECT key, body, accepted FROM answered").fetchall()
    file.execute("BEGIN")
    file.executemany(
        _REMEMBER, [(old_key_name(key), body, count, int(now_s)) for key, body, count in rows]
    )
    file.execute("DROP TABLE answered")
    file.execute("COMMIT")
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _wake(requests: list[Waiting]) -> None:
    for request in requests:
        if not request.done.done():
            request.done.set_result(None)
