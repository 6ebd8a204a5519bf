from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from core.errors import ConfigError, FatalError
from services.ingest.cursor_store import CursorStore, StoredCursor, Totals


def stored(**changes: object) -> StoredCursor:
    cursor = StoredCursor(
        source="replay",
        cursor={"row": 7},
        totals=Totals(items_read=7, posts_produced=7),
        stored_at=datetime(2026, 3, 1, tzinfo=UTC),
        fingerprint="file:1",
    )
    return msgspec.structs.replace(cursor, **changes)


def save(store: CursorStore, cursor: StoredCursor) -> None:
    store.prepare(cursor)
    store.commit()


def test_stored_cursor_is_loaded_again(tmp_path: Path) -> None:
    store = CursorStore(tmp_path / "deep" / "er", "replay")
    assert store.load("file:1") is None
    save(store, stored())
    assert store.load("file:1") == stored()


def test_nothing_but_the_whole_file_is_ever_there(tmp_path: Path) -> None:
    store = CursorStore(tmp_path, "replay")
    for row in range(20):
        save(store, stored(cursor={"row": row}))
        assert [path.name for path in tmp_path.iterdir()] == ["replay.cursor.json"]
    loaded = store.load("file:1")
    assert loaded is not None
    assert loaded.cursor == {"row": 19}


@pytest.mark.parametrize(("recalled", "row"), [({"row": 9}, 9), ({"row": 7}, 7)])
def test_a_save_cut_short_is_finished_if_the_source_recalls_it_and_dropped_if_not(
    tmp_path: Path, recalled: dict[str, int], row: int
) -> None:
    store = CursorStore(tmp_path, "replay")
    save(store, stored())
    store.prepare(stored(cursor={"row": 9}))
    again = CursorStore(tmp_path, "replay")
    again.settle(lambda cursor: cursor == recalled)
    loaded = again.load("file:1")
    assert loaded is not None
    assert loaded.cursor == {"row": row}
    assert [path.name for path in tmp_path.iterdir()] == ["replay.cursor.json"]


def test_forget_drops_a_save_cut_short(tmp_path: Path) -> None:
    store = CursorStore(tmp_path, "replay")
    store.prepare(stored())
    store.forget()
    assert list(tmp_path.iterdir()) == []


def test_cursor_of_other_options_is_refused_with_the_way_out(tmp_path: Path) -> None:
    store = CursorStore(tmp_path, "replay")
    save(store, stored())
    with pytest.raises(ConfigError, match="--fresh"):
        store.load("file:2")


def test_damaged_cursor_file_stops_the_process(tmp_path: Path) -> None:
    store = CursorStore(tmp_path, "replay")
    store.cursor_path.write_bytes(b'{"source": "repl')
    with pytest.raises(FatalError, match="damaged"):
        store.load("file:1")


def test_forget_removes_cursor_and_totals(tmp_path: Path) -> None:
    store = CursorStore(tmp_path, "replay")
    save(store, stored())
    store.save_done(Totals(items_read=3))
    assert msgspec.json.decode(store.done_path.read_bytes())["items_read"] == 3
    store.forget()
    assert list(tmp_path.iterdir()) == []
