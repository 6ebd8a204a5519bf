"""Replay: recorded posts from a file, at their own pace, another, or none."""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from core.clock import epoch_ms, from_epoch_ms
from core.errors import FatalError
from core.schemas import Post
from services.ingest.replay.layout import check_options
from services.ingest.replay.mapping import MappedRow
from services.ingest.replay.opening import open_packed
from services.ingest.replay.reading import FileReading
from services.ingest.sources.base import (
    Cursor,
    PacedSource,
    SourceContext,
    SourceItem,
    Unmappable,
)
from services.ingest.sources.replay.options import ReplayOptions

_PACING = ("speed", "rate_posts_per_s")
"""Options that may change between a stop and the next start."""
_ORDERING = 2
"""Rises when rows leave in another order than before: a cursor of then means other rows."""
_QUOTED = re.compile(r""" (['"]).*\1""", re.DOTALL)
"""A value of a row in the reason why it is no post."""
_END_BYTES = 65_536


class ReplaySource(PacedSource[ReplayOptions]):
    """Recorded posts from a file, at the recorded speed, another one, or none.

    Rows that are not in the order of their times are sorted first, in bounded memory; nothing but
    a stretch to be shuffled is held besides.

    Cursor: `row` rows are done, in the order in which they leave, and `skip` items of the
    (shuffled) stretch that starts there; with shifted times `now_ms` and `first_ms`, so that a
    resumed run gives the same times. Order and content of the file are in the fingerprint.
    """

    name: ClassVar[str] = "replay"
    is_live: ClassVar[bool] = False
    Options = ReplayOptions

    def __init__(self, options: ReplayOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        check_options(options)
        self.paced = bool(options.speed or options.rate_posts_per_s)
        self._path = Path(options.path)
        self._reading: FileReading | None = None
        self._preparing: Iterator[None] | None = None
        self._fingerprint = ""

    def check_input(self) -> None:
        """Refuse a file that cannot be opened; see `Source.check_input`."""
        open_packed(self._path).stream.close()

    def open(self, cursor: Cursor | None) -> None:
        """Find out how the file is to be read, and start after `cursor`."""
        self._reading = FileReading(self._path, self.options, self.context)
        self._preparing = self._reading.prepare()
        super().open(cursor)

    def poll(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        """Return what is due; while the file is looked through or sorted, nothing."""
        now = self.context.clock.monotonic
        give_up_s = now() + timeout_s
        while self._preparing is not None:
            if next(self._preparing, self) is self:
                self._preparing = None
            elif now() >= give_up_s:
                return []
        return super().poll(max_items, timeout_s)

    def close(self) -> None:
        """Let go of the file, and remove what sorting has put on disk."""
        if self._reading is not None:
            self._reading.close()

    def fingerprint(self) -> str:
        """Name, size, both ends of the file, and a hash of all options but the pace."""
        if not self._fingerprint:
            tree = msgspec.to_builtins(self.options)
            kept = {key: value for key, value in tree.items() if key not in (*_PACING, "path")}
            kept["ordering"] = _ORDERING
            content = msgspec.json.encode(kept, order="sorted") + _ends(self._path)
            size = self._path.stat().st_size if self._path.exists() else 0
            digest = hashlib.sha256(content).hexdigest()[:12]
            self._fingerprint = f"{self._path.name}:{size}:{digest}"
        return self._fingerprint

    def items(self, cursor: Cursor | None) -> Iterator[SourceItem]:
        """Yield the rows after `cursor`."""
        done: dict[str, int] = cursor or {}
        timing = _Timing(self.options, self.context, done)
        skip = done.get("skip", 0)
        start = done.get("row", 0)
        for stretch in self._stretches(start, timing):
            order = list(range(len(stretch)))
            if self.options.shuffle_within_s:
                random.Random(f"{self.options.seed}:{stretch[0].row}").shuffle(order)
            for number, place in enumerate(order, start=1):
                if number <= skip:
                    timing.passed(stretch[place])
                    continue
                at_end = number == len(stretch)
                cursor = {"row": start + len(stretch)} if at_end else {"row": start, "skip": number}
                yield timing.item(stretch[place], cursor)
            skip = 0
            start += len(stretch)

    def _stretches(self, start: int, timing: _Timing) -> Iterator[Sequence[MappedRow]]:
        """Yield rows in the stretches inside which they may be shuffled; single rows if not."""
        width_ms = int(self.options.shuffle_within_s * 1000)
        rows = self._mapped()
        for mapped in islice(rows, start):
            timing.passed(mapped)
        if not width_ms:
            yield from ((mapped,) for mapped in rows)
            return
        number = 0

        def stretch_of(mapped: MappedRow) -> int:
            nonlocal number  # what names no time is where the row before it is
            number = number if mapped.at is None else epoch_ms(mapped.at) // width_ms
            return number

        yield from (list(stretch) for _, stretch in groupby(rows, stretch_of))

    def _mapped(self) -> Iterator[MappedRow]:
        if self._reading is None:
            raise FatalError("the replay source was polled before it was opened")
        return self._reading.rows()


def _ends(path: Path) -> bytes:
    """Return what stands at both ends of a file: another of the same size has other ends."""
    try:
        with path.open("rb") as file:
            start = file.read(_END_BYTES)
            file.seek(-min(_END_BYTES, path.stat().st_size), os.SEEK_END)
            return start + file.read()
    except OSError:
        return b""


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

    def item(self, mapped: MappedRow, cursor: dict[str, int]) -> SourceItem:
        """Return what leaves for a row."""
        at = mapped.at
        if at is not None and self._first_at is None:
            self._first_at = at
        due_s = self._due_s(at)
        record = mapped.record
        if isinstance(record, Post):
            record = self._timed(record, due_s)
        elif isinstance(record, Unmappable):
            # Who looks at the file is shown the value; what is kept of it names nobody.
            record = Unmappable(record.raw, _QUOTED.sub("", record.detail))
        if self._options.times == "shifted":
            if self._now_ms is None:
                self._now_ms = epoch_ms(self._started)
            first = self._first_at or self._started
            cursor = cursor | {"now_ms": self._now_ms, "first_ms": epoch_ms(first)}
        self._sent += 1
        return SourceItem(record, cursor, due_s=due_s)

    def passed(self, mapped: MappedRow) -> None:
        """Note a row that left before a restart."""
        if isinstance(mapped.record, Post) and mapped.at is not None:
            self._last_at = mapped.at

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
