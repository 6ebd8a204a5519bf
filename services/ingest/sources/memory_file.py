"""The file in which a source remembers what Kafka has acknowledged: SQLite, beside its cursor."""

import sqlite3
from pathlib import Path


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
    file.executescript(schema)
    return file
