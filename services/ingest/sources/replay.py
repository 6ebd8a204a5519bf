"""Replay: recorded posts from a file, at their own pace, another, or none."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from core.clock import epoch_ms, from_epoch_ms
from core.codec import post_decoder, post_event_decoder
from core.errors import DecodeError
from core.schemas import Post, PostEvent
from services.ingest.replay import rows as row_files
from services.ingest.replay.mapping import RowMapper
from services.ingest.replay.options import ReplayOptions
from services.ingest.replay.rows import BadRow, Fields
from services.ingest.sources.base import (
    Cursor,
    PacedSource,
    RawRecord,
    SourceContext,
    SourceItem,
    Unmappable,
)

_PACING = ("speed", "rate_posts_per_s")
"""Options that may change between a stop and the next start."""


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A row as it will leave, and when it happened (None: the file does not say)."""

    row: int
    record: Post | RawRecord | Unmappable
    at: datetime | None


class ReplaySource(PacedSource[ReplayOptions]):
    """Recorded posts from a file, at the recorded speed, another one, or none.

    Reads row by row; nothing but a stretch to be shuffled is held in memory.

    Cursor: `row` rows are done, and `skip` items of the (shuffled) stretch that starts there;
    with shifted times `now_ms` and `first_ms`, so that a resumed run gives the same times.
    """

    name: ClassVar[str] = "replay"
    is_live: ClassVar[bool] = False
    Options = ReplayOptions

    def __init__(self, options: ReplayOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        options.check()
        self.paced = bool(options.speed or options.rate_posts_per_s)
        self._path = Path(options.path)
        self._mapper = RowMapper(options, self._path.name.split(".")[0], context.author_key)

    def check_input(self) -> None:
        """Refuse a file that cannot be opened; see `Source.check_input`."""
        row_files.open_bytes(self._path).close()

    def open(self, cursor: Cursor | None) -> None:
        """Check that the file can be read, and start after `cursor`."""
        self.check_input()
        super().open(cursor)

    def fingerprint(self) -> str:
        """Name and size of the file and a hash of all options but the pace."""
        tree = msgspec.to_builtins(self.options)
        kept = {key: value for key, value in tree.items() if key not in (*_PACING, "path")}
        digest = hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()[:12]
        size = self._path.stat().st_size if self._path.exists() else 0
        return f"{self._path.name}:{size}:{digest}"

    def items(self, cursor: Cursor | None) -> Iterator[SourceItem]:
        """Yield the rows after `cursor`."""
        done: dict[str, int] = cursor or {}
        timing = _Timing(self.options, self.context, done)
        skip = done.get("skip", 0)
        start = done.get("row", 0)
        for stretch in self._stretches(start):
            order = list(range(len(stretch)))
            if self.options.shuffle_within_s:
                random.Random(f"{self.options.seed}:{stretch[0].row}").shuffle(order)
            for number, place in enumerate(order, start=1):
                if number <= skip:
                    continue
                at_end = number == len(stretch)
                cursor = {"row": start + len(stretch)} if at_end else {"row": start, "skip": number}
                yield timing.item(stretch[place], cursor)
            skip = 0
            start += len(stretch)

    def _stretches(self, start: int) -> Iterator[Sequence[_Mapped]]:
        """Yield rows in the runs inside which they may be shuffled; single rows if not."""
        width_ms = int(self.options.shuffle_within_s * 1000)
        limit = self.options.limit_rows or None
        rows = islice(self._mapped(), start, limit)
        if not width_ms:
            for row in rows:
                yield (row,)
            return
        held: list[_Mapped] = []
        number: int | None = None
        for row in rows:
            here = number if row.at is None else epoch_ms(row.at) // width_ms
            if held and here != number:
                yield held
                held = []
            number = here
            held.append(row)
        if held:
            yield held

    def _mapped(self) -> Iterator[_Mapped]:
        file_format = self.options.format
        if file_format == "auto":
            file_format = row_files.detect_format(self._path)
        if file_format == "raw":
            for row, line in enumerate(row_files.read_lines(self._path), start=1):
                yield _raw_row(row, line)
            return
        read = row_files.read_csv if file_format == "csv" else row_files.read_jsonl
        for row, fields in enumerate(read(self._path, self.options.columns), start=1):
            yield self._map_row(row, fields)

    def _map_row(self, row: int, fields: Fields | BadRow) -> _Mapped:
        if isinstance(fields, BadRow):
            return _Mapped(row, Unmappable(fields.raw, f"row {row}: {fields.detail}"), None)
        record = self._mapper.post(row, fields)
        return _Mapped(row, record, record.claimed_at if isinstance(record, Post) else None)


class _Timing:
    """Gives posts their times and their turn."""

    def __init__(
        self, options: ReplayOptions, context: SourceContext, cursor: dict[str, Any]
    ) -> None:
        self._options = options
        self._clock = context.clock
        self._started = context.clock.now()
        self._sent = 0
        self._last_at: datetime | None = None
        self._first_at: datetime | None = None
        self._now_ms: int | None = cursor.get("now_ms")
        if "first_ms" in cursor:
            self._first_at = from_epoch_ms(cursor["first_ms"])
        self._rows_before = cursor.get("row", 0) + cursor.get("skip", 0)

    def item(self, mapped: _Mapped, cursor: dict[str, int]) -> SourceItem:
        """Return what leaves for a row."""
        at = mapped.at
        if at is not None and self._first_at is None:
            self._first_at = at
        due_s = self._due_s(at)
        record = mapped.record
        if isinstance(record, Post):
            record = self._timed(record, due_s)
        if self._options.times == "shifted":
            if self._now_ms is None:
                self._now_ms = epoch_ms(self._started)
            first = self._first_at or self._started
            cursor = cursor | {"now_ms": self._now_ms, "first_ms": epoch_ms(first)}
        self._sent += 1
        return SourceItem(record, cursor, due_s=due_s)

    def _due_s(self, at: datetime | None) -> float:
        """Seconds after the start of this run; at or below 0 means at once."""
        if self._options.rate_posts_per_s:
            return self._sent / self._options.rate_posts_per_s
        if not self._options.speed or at is None or self._first_at is None:
            return 0.0
        due_s = (at - self._first_at).total_seconds() / self._options.speed
        if self._now_ms is not None:
            # Resumed with shifted times: what fell due while nobody ran leaves at once.
            due_s -= (epoch_ms(self._started) - self._now_ms) / 1000
        return due_s

    def _timed(self, post: Post, due_s: float) -> Post:
        """Set the ingest time, and with shifted times the claimed time.

        With recorded times ingest lives at the recorded time, too: nothing is clamped, and a
        replay at any speed gives the same windows.
        """
        if self._options.times == "recorded":
            if post.claimed_at is None:
                at = self._last_at or self._clock.now()
                return msgspec.structs.replace(post, ingested_at=at)
            self._last_at = post.claimed_at
            return post
        now_ms = epoch_ms(self._started) if self._now_ms is None else self._now_ms
        if self._options.rate_posts_per_s:
            offset_s = (self._rows_before + self._sent) / self._options.rate_posts_per_s
        else:
            offset_s = due_s + (epoch_ms(self._started) - now_ms) / 1000
        claimed = from_epoch_ms(now_ms) + timedelta(seconds=offset_s)
        # A paced post is made just before it is due; its ingest time is when it leaves.
        ingested = max(claimed, self._clock.now())
        return msgspec.structs.replace(post, claimed_at=claimed, ingested_at=ingested)


class _Hint(msgspec.Struct):
    """What of a raw line is looked at, if it can be read at all."""

    author: str = ""
    kind: Any = None


_hint_decoder = msgspec.json.Decoder(_Hint)


def _raw_row(row: int, line: bytes) -> _Mapped:
    """Send a line as it is; author and topic are taken from it as far as it can be read."""
    try:
        hint = _hint_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        hint = _Hint()
    topic = "post-events" if hint.kind is not None else "posts"
    decoder = post_event_decoder if topic == "post-events" else post_decoder
    record: Post | PostEvent | None
    try:
        record = decoder.decode(line)
    except DecodeError:
        record = None
    raw = RawRecord(line, hint.author or "unknown", topic, well_formed=record is not None)
    return _Mapped(row, raw, record.claimed_at if record is not None else None)
