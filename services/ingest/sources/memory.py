"""What a source remembers beside its cursor: posts delivered lately, on disk, bounded, crash-safe.

Platforms that name only the post in a deletion, or that send posts again after a reconnect, need
a memory longer than a process lives. It never runs ahead of Kafka: what is written is what Kafka
has acknowledged, so a crash forgets exactly what will be read again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Hashable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

_REACHED: Final = """
CREATE TABLE IF NOT EXISTS reached (
    only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL
);
"""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS held (
    id TEXT PRIMARY KEY, author TEXT NOT NULL, version TEXT NOT NULL, seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held_by_seq ON held (seq);
"""
_REMEMBER: Final = """
INSERT INTO held VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
author = excluded.author, version = excluded.version, seq = excluded.seq
"""
_PRUNE_EVERY: Final = 1_000
DELETED: Final = "deleted"
"""The version of a post that was deleted: it does not come back by a second delivery."""


class SourceMemory(Protocol):
    """What a source remembers of what Kafka has; its base says how far that is."""

    def acknowledged(self, number: int) -> None:
        """Write what the items up to `number` said, in one transaction with `note_reached`."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_memory(path: Path, schema: str) -> sqlite3.Connection:
    """Open or make the file; `schema` is run on it and must do nothing the second time.

    It may be used from another thread than the one that opened it, one at a time. A crash of the
    process loses nothing of what was written; a crash of the machine may lose the last moment, and
    what was delivered in it comes twice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    file.execute("PRAGMA journal_mode=WAL")
    file.execute("PRAGMA synchronous=OFF")
    file.executescript(schema + _REACHED)
    return file


def note_reached(file: sqlite3.Connection, number: int) -> None:
    """Note, in the transaction that writes what they said, that items up to `number` are in."""
    file.execute("INSERT OR REPLACE INTO reached VALUES (1, ?)", (number,))


def has_reached(path: Path, number: int) -> bool:
    """Tell whether the last thing written there was item `number`; may be asked of no file."""
    if not path.is_file():
        return False
    with closing(open_memory(path, "")) as file:
        return file.execute("SELECT number FROM reached").fetchone() == (number,)


class Recent:
    """A bounded memory of keys; the oldest is forgotten first.

    Args:
        max_keys: How many are remembered (about 100 bytes each for a hash).

    Example:
        >>> recent = Recent(2)
        >>> [recent.is_new(key) for key in "aabca"]
        [True, False, True, True, True]
    """

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self._keys: dict[Hashable, None] = {}

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._keys)

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether `key` is remembered, without remembering it."""
        return key in self._keys

    def is_new(self, key: Hashable) -> bool:
        """Remember `key`; False if it was remembered already."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._max_keys:
            del self._keys[next(iter(self._keys))]
        return True


class Held(Struct, frozen=True):
    """A post that was delivered.

    Attributes:
        author: As on the post.
        version: Which edit of it was delivered last, in the platform's words; `DELETED` after its
            deletion.
    """

    author: str
    version: str = ""


class HeldPosts:
    """Remembers the newest `max_posts` posts; the oldest are forgotten first.

    `find` and `remember` belong to the reader, `acknowledged` to the runner's thread.

    Args:
        path: The file; made if it is not there.
        max_posts: Posts remembered at most (a thousand more between two prunings).
        is_fresh: The run starts without a cursor: what the file holds is of another run. It is
            emptied with the first acknowledgement and not before, so that looking at a source
            takes nothing from a run beside it.
    """

    def __init__(self, path: Path, max_posts: int, *, is_fresh: bool) -> None:
        self._path = path
        self._max_posts = max_posts
        self._lock = threading.Lock()
        self._pending: dict[str, Held] = {}
        self._order: deque[tuple[int, str, Held]] = deque()
        self._since_pruned = 0
        self._file: sqlite3.Connection | None = (
            None if is_fresh else open_memory(self._path, _SCHEMA)
        )

    def find(self, post_id: str) -> Held | None:
        """Return what is known of a post, None if it was not delivered lately."""
        with self._lock:
            held = self._pending.get(post_id)
            if held is not None:
                return held
            if self._file is None:
                return None
            try:
                row = self._file.execute(
                    "SELECT author, version FROM held WHERE id = ?", (post_id,)
                ).fetchone()
            except UnicodeEncodeError:  # a lone surrogate: no record can carry such an id
                return None
        return None if row is None else Held(*row)

    def author_of(self, post_id: str) -> str | None:
        """Return who wrote a post that was delivered and not deleted."""
        held = self.find(post_id)
        return None if held is None or held.version == DELETED else held.author

    def remember(self, seq: int, post_id: str, author: str, version: str = "") -> None:
        """Note what the item number `seq` delivers; numbers only rise."""
        held = Held(author, version)
        with self._lock:
            self._pending[post_id] = held
            self._order.append((seq, post_id, held))
            if len(self._order) > self._max_posts + _PRUNE_EVERY:
                _, oldest, forgotten = self._order.popleft()
                if self._pending.get(oldest) is forgotten:
                    del self._pending[oldest]

    def take_back(self, seq: int) -> None:
        """Forget what was noted of item `seq`, the last one: it was not handed on after all."""
        with self._lock:
            if not self._order or self._order[-1][0] != seq:
                return
            _, post_id, held = self._order.pop()
            if self._pending.get(post_id) is held:
                del self._pending[post_id]
                for _, other_id, earlier in reversed(self._order):
                    if other_id == post_id:
                        self._pending[post_id] = earlier
                        break

    def newest(self, count: int) -> Sequence[tuple[str, Held]]:
        """Return the posts delivered last and not deleted, newest first."""
        with self._lock:
            waiting = {post_id: held for _, post_id, held in self._order}
            found = [(i, h) for i, h in reversed(waiting.items()) if h.version != DELETED][:count]
            rows: list[tuple[str, str, str]] = []
            if self._file is not None:
                rows = self._file.execute(
                    "SELECT id, author, version FROM held WHERE version != ? "
                    "ORDER BY seq DESC LIMIT ?",
                    (DELETED, count + len(waiting)),
                ).fetchall()
        found += [(row[0], Held(row[1], row[2])) for row in rows if row[0] not in waiting]
        return found[:count]

    def ids_from(self, prefix: str) -> Sequence[str]:
        """Return the ids that begin with `prefix` of posts that were delivered and not deleted."""
        with self._lock:
            versions = {
                i: held.version for i, held in self._pending.items() if i.startswith(prefix)
            }
            rows: list[tuple[str, str]] = []
            if self._file is not None:
                rows = self._file.execute(
                    "SELECT id, version FROM held WHERE id >= ? AND id < ?",
                    (prefix, prefix + "\U0010ffff"),
                ).fetchall()
        found = dict(rows) | versions
        return [post_id for post_id, version in found.items() if version != DELETED]

    def acknowledged(self, number: int) -> None:
        """Write what the items up to `number` delivered: Kafka has them."""
        with self._lock:
            rows: list[tuple[str, str, str, int]] = []
            while self._order and self._order[0][0] <= number:
                seq, post_id, held = self._order.popleft()
                rows.append((post_id, held.author, held.version, seq))
                if self._pending.get(post_id) is held:
                    del self._pending[post_id]
            if self._file is None:
                self._file = open_memory(self._path, _SCHEMA)
                self._file.execute("DELETE FROM held")
            file = self._file
            file.execute("BEGIN")
            file.executemany(_REMEMBER, rows)
            note_reached(file, number)
            self._since_pruned += len(rows)
            if self._since_pruned >= _PRUNE_EVERY:
                self._prune(file)
            file.execute("COMMIT")

    def _prune(self, file: sqlite3.Connection) -> None:
        self._since_pruned = 0
        file.execute(
            "DELETE FROM held WHERE id IN (SELECT id FROM held ORDER BY seq DESC "
            "LIMIT -1 OFFSET ?)",
            (self._max_posts,),
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
