"""The files of a cursor: when they are on the disk, and what a crash leaves of them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from services.ingest.cursor_store import CursorStore, StoredCursor, Totals


def _stored(row: int) -> StoredCursor:
    return StoredCursor(
        source="replay", cursor={"row": row}, totals=Totals(items_read=row),
        stored_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> CursorStore:
    return CursorStore(tmp_path, "replay")


def test_a_prepared_cursor_stands_beside_the_old_one_until_it_is_committed(
    store: CursorStore, tmp_path: Path
) -> None:
    store.prepare(_stored(1))
    assert _names(tmp_path) == ["replay.cursor.next.json"]
    assert store.load() is None
    store.commit()
    assert _names(tmp_path) == ["replay.cursor.json"]
    store.prepare(_stored(2))
    loaded = store.load()
    assert loaded is not None
    assert loaded.cursor == {"row": 1}


def test_content_is_on_the_disk_before_its_name_is_and_the_name_before_it_is_relied_on(
    store: CursorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace, close = os.fsync, Path.replace, os.close

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        content = path.read_bytes() if path.is_file() else b""
        done.append("sync names" if path == tmp_path else f"sync {len(content) > 50}")
        fsync(descriptor)

    def replaced(path: Path, target: Path) -> Path:
        done.append(f"name {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(os, "close", lambda d: (done.append("close"), close(d))[1])
    store.prepare(_stored(1))
    assert done == ["sync True", "name replay.cursor.next.json"]
    done.clear()
    store.commit()
    assert done == ["name replay.cursor.json", "sync names", "close"]
    done.clear()
    store.save_done(Totals())
    assert done == ["sync True", "name replay.done.json", "sync names", "close"]


def test_a_write_that_fails_leaves_no_piece_and_the_cursor_as_it_was(
    store: CursorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare(_stored(1))
    store.commit()

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        store.prepare(_stored(2))
    assert _names(tmp_path) == ["replay.cursor.json"]


def test_totals_of_an_end_are_told_with_the_source_and_cleared_when_it_runs_again(
    store: CursorStore, tmp_path: Path
) -> None:
    store.clear_done()
    store.save_done(Totals(items_read=3, posts_produced=2, gaps=1))
    told = msgspec.json.decode(store.done_path.read_bytes())
    assert (told["source"], told["items_read"], told["posts_produced"], told["gaps"]) == (
        "replay", 3, 2, 1,
    )  # fmt: skip
    assert store.done_path.read_bytes().endswith(b"}\n")
    store.clear_done()
    assert _names(tmp_path) == []


def test_settling_without_a_save_that_was_cut_short_asks_nobody(store: CursorStore) -> None:
    def nobody(cursor: object) -> bool:
        raise AssertionError(cursor)

    store.settle(nobody)


def test_forgetting_what_is_not_there_is_no_fault(store: CursorStore) -> None:
    store.forget()
