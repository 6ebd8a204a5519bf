"""The file in which a source remembers what Kafka has acknowledged: SQLite, beside its cursor."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

_REACHED: Final = """
CREATE TABLE IF NOT EXISTS reached (
    only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL
);
"""


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
