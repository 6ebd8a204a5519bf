"""Where a source goes on after a restart: one small file per source, replaced atomically."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from core.errors import ConfigError, FatalError

_NOT_ITEMS: Final = ("items_read", "gaps")


class Totals(msgspec.Struct, kw_only=True):
    """What a source delivered and where it went, over all restarts; each item is in one line.

    `items_read` = posts + duplicates + events + malformed + unmappable + too_large + dropped +
    ignored.

    Attributes:
        items_read: The items up to the cursor.
        posts_produced: The posts on `posts`, each id once.
        duplicates_produced: The posts on `posts` whose id the source had delivered before.
        events_produced: The records on `post-events`.
        malformed_produced: The records sent as they are whose bytes do not decode.
        unmappable: The items in `dead-posts`, reason `unmappable`.
        too_large: The items in `dead-posts`, reason `too_large`.
        dropped: The items lost because a source that cannot wait met a full buffer.
        ignored: The items that are none of ours, such as follows; they only move the cursor.
        gaps: The times that the source missed items for good; not items.
    """

    items_read: int = 0
    posts_produced: int = 0
    duplicates_produced: int = 0
    events_produced: int = 0
    malformed_produced: int = 0
    unmappable: int = 0
    too_large: int = 0
    dropped: int = 0
    ignored: int = 0
    gaps: int = 0

    def plus(self, settled: Mapping[str, int]) -> Totals:
        """Return these with what was settled since, field by field."""
        counts = {name: getattr(self, name) for name in self.__struct_fields__}
        for tally, number in settled.items():
            counts[tally] += number
        counts["items_read"] = sum(n for name, n in counts.items() if name not in _NOT_ITEMS)
        return Totals(**counts)


class StoredCursor(msgspec.Struct, kw_only=True):
    """The file's content.

    Attributes:
        source: The registered name of the source.
        cursor: The source's cursor; everything up to it has been acknowledged by Kafka.
        totals: What was acknowledged so far.
        stored_at: The time of this save, in UTC.
        fingerprint: The fingerprint of the options; a cursor of other options means something else.
        done: True if the source came to its end.
    """

    source: str
    cursor: Any
    totals: Totals
    stored_at: datetime
    fingerprint: str = ""
    done: bool = False


class CursorStore:
    """Keeps the cursor of one source in a directory; one process per source and directory.

    A save has two steps, `prepare` and `commit`, between which the source writes its own memory:
    memory and cursor are then of the same moment whenever a crash comes (`settle`). Were they not,
    what only the memory has would come again, be left out as known, and be in no total.

    Args:
        directory: The directory; made if it is not there.
        source: The registered name of the source, part of the file names.
    """

    def __init__(self, directory: Path, source: str) -> None:
        self._directory = directory
        self._source = source
        self.cursor_path = directory / f"{source}.cursor.json"
        self.done_path = directory / f"{source}.done.json"
        self.next_path = directory / f"{source}.cursor.next.json"

    def settle(self, recalls: Callable[[Any], bool]) -> None:
        """Finish a save that a crash cut short if the source recalls its cursor, else drop it.

        Raises:
            FatalError: The file is not one that this build wrote.
        """
        if self.next_path.exists():
            if recalls(_read(self.next_path).cursor):
                self.commit()
            else:
                self.next_path.unlink()

    def load(self, fingerprint: str = "") -> StoredCursor | None:
        """Return what is stored, None before the first run.

        Raises:
            ConfigError: The cursor was made with other options.
            FatalError: The file is not one that this build wrote.
        """
        if not self.cursor_path.exists():
            return None
        stored = _read(self.cursor_path)
        if stored.fingerprint != fingerprint:
            raise ConfigError(
                f"the cursor in {self.cursor_path} belongs to a run with other options "
                f"({stored.fingerprint!r}, now {fingerprint!r}); start over with --fresh, or give "
                "another ingest.cursor_dir"
            )
        return stored

    def prepare(self, stored: StoredCursor) -> None:
        """Write what `commit` will put in the place of the cursor."""
        _write_whole(self.next_path, msgspec.json.encode(stored))

    def commit(self) -> None:
        """Replace the file so that a crash leaves the old one or the new one, never a piece."""
        self.next_path.replace(self.cursor_path)
        _sync_names(self._directory)

    def save_done(self, totals: Totals) -> None:
        """Write `<source>.done.json`: the totals of a source that came to its end."""
        tree = {"source": self._source, **msgspec.to_builtins(totals)}
        _write_whole(self.done_path, msgspec.json.format(msgspec.json.encode(tree)) + b"\n")
        _sync_names(self._directory)

    def forget(self) -> None:
        """Remove its files: the next run starts at the beginning."""
        for path in (self.next_path, self.cursor_path, self.done_path):
            path.unlink(missing_ok=True)

    def clear_done(self) -> None:
        """Remove `<source>.done.json`, as a run is under way again."""
        self.done_path.unlink(missing_ok=True)


def _read(path: Path) -> StoredCursor:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredCursor)
    except msgspec.MsgspecError as error:
        raise FatalError(f"cursor file {path} is damaged: {error}") from error


def _write_whole(path: Path, content: bytes) -> None:
    """Put a file there in one moment; its name survives a power cut after `_sync_names`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _sync_names(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
