"""What a source's own file says of how far it came, also when there is none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from services.ingest.sources.memory import has_reached, note_reached, open_memory

SCHEMA = "CREATE TABLE IF NOT EXISTS kept (id TEXT PRIMARY KEY);"


def test_a_file_has_reached_what_was_noted_last_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "memory.sqlite"
    assert not has_reached(path, 7)
    assert not path.exists(), "asking makes no file"
    with closing(open_memory(path, SCHEMA)) as file:
        assert not has_reached(path, 7)
        note_reached(file, 6)
        note_reached(file, 7)
    assert [has_reached(path, number) for number in (6, 7, 8)] == [False, True, False]


def test_what_a_transaction_notes_is_there_only_when_it_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    with closing(open_memory(path, SCHEMA)) as file:
        file.execute("BEGIN")
        note_reached(file, 7)
        assert not has_reached(path, 7)
        file.execute("COMMIT")
        assert has_reached(path, 7)


def test_a_file_is_opened_again_with_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    with closing(open_memory(path, SCHEMA)) as file:
        file.execute("INSERT INTO kept VALUES ('a')")
    with closing(open_memory(path, SCHEMA)) as file:
        assert file.execute("SELECT id FROM kept").fetchall() == [("a",)]
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("PRAGMA synchronous").fetchone() == (0,)
        with pytest.raises(sqlite3.IntegrityError):
            file.execute("INSERT INTO reached VALUES (2, 1)")
