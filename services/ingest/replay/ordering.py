"""Rows in the order of their times, however large the file: keys sorted by DuckDB, rows on disk.

Only the keys (40 bytes a row) go through the sort, so that its memory does not depend on what the
posts say; the posts lie in a file without a name and are read back one by one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from core.clock import EPOCH
from core.schemas import Post
from services.ingest.replay.counts import RowCounts
from services.ingest.replay.mapping import MADE, MappedRow, with_number
from services.ingest.sources.base import Ignored, Unmappable

_BATCH_ROWS: Final = 20_000
_READ_ROWS: Final = 2_000
_MEMORY: Final = "64MB"
_MAX_TIED_ROWS: Final = 100_000
_PREFIX: Final = "replay-order-"
_TIMED, _TIMELESS, _NO_POST = range(3)
_KEY: Final = np.dtype("i1, i8, u8, i8, i8, i4")


class OrderCheck:
    """Tells whether rows stand in the order of their times, with those without a time last.

    Rows of one time may stand in any order, unless two have one id: then which of them counts must
    not depend on the order.
    """

    def __init__(self) -> None:
        self._last: datetime | None = None
        self._saw_timeless = False
        self._ids: set[str] = set()
        self.holds = True

    def take(self, at: datetime | None, post_id: str) -> None:
        """Look at the time and the id of the next post; "" if it has no id of its own."""
        if at is None:
            self._saw_timeless = True
        elif self._saw_timeless or (self._last is not None and at < self._last):
            self.holds = False
        if at != self._last:
            self._last = at
            self._ids.clear()
        if not post_id:
            return
        if post_id in self._ids:
            self.holds = False
        if len(self._ids) < _MAX_TIED_ROWS:
            self._ids.add(post_id)
        elif at is not None:
            self.holds = False  # too many of one time to tell


class _Spilled(Struct, frozen=True, array_like=True):
    row: int
    post: Post | None = None
    raw: bytes = b""
    detail: str = ""
    counts: RowCounts | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Spilled).decode


class TimeSort:
    """Takes rows in any order and gives them back by time; use once.

    Rows of one time stand by their content, so that the order does not depend on the file's. Posts
    without a time come after all others, and what is no post after them.

    Args:
        folder: Where its files go; None means the system's folder for such files.
    """

    def __init__(self, folder: Path | None) -> None:
        import duckdb  # takes a twentieth of a second: only files that are out of order pay for it

        if folder is not None:
            _remove_leftovers(folder)
        self._folder = tempfile.mkdtemp(prefix=_PREFIX, dir=folder)
        self._held = os.open(self._folder, os.O_RDONLY)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._rows = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed in `close`
        self._place = 0
        self._keys: list[tuple[int, int, int, int, int, int]] = []
        self._duckdb = duckdb.connect(
            f"{self._folder}/keys.duckdb",
            config={"threads": 1, "memory_limit": _MEMORY, "temp_directory": self._folder},
        )
        self._duckdb.execute(
            "CREATE TABLE keys (kind TINYINT, at_us BIGINT, tie UBIGINT, row BIGINT, "
            "place BIGINT, size INTEGER)"
        )

    def add(self, mapped: MappedRow) -> None:
        """Take the next row of the file."""
        record, at_us, tie, kind = mapped.record, 0, 0, _NO_POST
        if isinstance(record, Post):
            spilled = _Spilled(mapped.row, record, counts=mapped.counts)
            content = _encode(record)
            tie = int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
            kind = _TIMELESS if mapped.at is None else _TIMED
            if mapped.at is not None:
                since = mapped.at - EPOCH
                at_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        elif isinstance(record, Unmappable):
            spilled = _Spilled(mapped.row, None, record.raw, record.detail)
        else:
            spilled = _Spilled(mapped.row)
        value = _encode(spilled)
        self._rows.write(value)
        self._keys.append((kind, at_us, tie, mapped.row, self._place, len(value)))
        self._place += len(value)
        if len(self._keys) == _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._keys:
            return
        batch = np.array(self._keys, _KEY)
        columns = {name: np.ascontiguousarray(batch[name]) for name in _KEY.names or ()}
        self._duckdb.register("batch", columns)
        self._duckdb.execute("INSERT INTO keys SELECT * FROM batch")
        self._duckdb.unregister("batch")
        self._keys = []

    def __iter__(self) -> Iterator[MappedRow]:
        """Yield the rows in order; nothing can be added any more."""
        self._flush()
        self._rows.flush()
        file = self._rows.fileno()
        found: Any = self._duckdb.execute(
            "SELECT place, size FROM keys ORDER BY kind, at_us, tie, row"
        )
        while places := found.fetchmany(_READ_ROWS):
            for place, size in places:
                yield _mapped(_decode(os.pread(file, size, place)))

    def close(self) -> None:
        """Remove what it keeps on disk."""
        self._duckdb.close()
        self._rows.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._held)


def _mapped(spilled: _Spilled) -> MappedRow:
    if spilled.post is not None:
        post = spilled.post
        return MappedRow(spilled.row, post, post.claimed_at, counts=spilled.counts)
    if spilled.detail:
        return MappedRow(spilled.row, Unmappable(spilled.raw, spilled.detail))
    return MappedRow(spilled.row, Ignored())


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left: nobody holds it any more."""
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            held = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


class Numbering:
    """Tells apart the posts of one time whose ids, made of their content, are the same."""

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._seen: dict[str, int] = {}

    def __call__(self, mapped: MappedRow) -> MappedRow:
        """Return the row with the number of its id among the rows of its time."""
        post = mapped.record
        if not isinstance(post, Post) or not post.id.startswith(MADE) or mapped.at is None:
            return mapped
        if mapped.at != self._at:
            self._at, self._seen = mapped.at, {}
        number = self._seen.get(post.id, 0) + 1
        self._seen[post.id] = number
        return msgspec.structs.replace(mapped, record=with_number(post, number))
