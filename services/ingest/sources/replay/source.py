"""Replay: recorded posts from a file, at their own pace, another, or none."""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import msgspec
import structlog

from core.clock import epoch_ms
from core.errors import FatalError
from core.logs import get_logger
from services.ingest.replay.layout import check_options
from services.ingest.replay.mapping import MappedRow
from services.ingest.replay.opening import open_packed
from services.ingest.replay.pending import PendingCounts, RefusedCount
from services.ingest.replay.reading import FileReading
from services.ingest.replay.timing import Leaving, Timing
from services.ingest.sources.base import (
    Cursor,
    PacedSource,
    SourceContext,
    SourceItem,
)
from services.ingest.sources.replay.options import ReplayOptions

_PACING = ("speed", "rate_posts_per_s")
"""Options that may change between a stop and the next start."""
_ORDERING = 3
"""Rises when rows leave in another order than before: a cursor of then means other rows."""
_END_BYTES = 65_536


class ReplaySource(PacedSource[ReplayOptions]):
    """Recorded posts from a file, at the recorded speed, another one, or none.

    Rows that are not in the order of their times are sorted first, in bounded memory; nothing but
    a stretch to be shuffled, and counts whose time has not come, are held besides. Counts leave
    between the posts, before the first that is later.

    Cursor: `row` rows are done, in the order in which they leave, and `skip` items of what comes
    with the (shuffled) stretch that starts there, counts that are due before its posts included;
    with shifted times `now_ms` and `first_ms`, so that a resumed run gives the same times. What
    waits is made again of the rows that are done. Order and content of the file are in the
    fingerprint.
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
        self._has_counts = False
        self._withheld: Counter[str] = Counter()

    def check_input(self) -> None:
        """Refuse a file that cannot be opened; see `Source.check_input`."""
        open_packed(self._path).stream.close()

    def open(self, cursor: Cursor | None) -> None:
        """Find out how the file is to be read, and start after `cursor`."""
        self._reading = FileReading(self._path, self.options, self.context)
        self._has_counts = self._reading.layout.has_counts(self.options)
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
        """Yield what comes after `cursor`."""
        done: dict[str, int] = cursor or {}
        timing = Timing(self.options, self.context, done)
        first, skip = done.get("row", 0), done.get("skip", 0)
        pending = PendingCounts(self.options.counts_after_s)
        start = 0
        for stretch in self._stretches():
            leaving = list(self._leaving(stretch, pending, is_new=start >= first))
            end = start + len(stretch)
            passed = skip if start == first else 0 if start > first else len(leaving)
            for number, one in enumerate(leaving, start=1):
                if number <= passed:
                    timing.passed(one)
                    continue
                at_end = number == len(leaving)
                yield timing.item(one, {"row": end} if at_end else {"row": start, "skip": number})
            start = end
        self._tell_waiting(pending)
        for number, one in enumerate(pending.due(None), start=1):
            if number > skip or start > first:
                yield timing.item(one, {"row": start, "skip": number})
        self._tell_withheld()

    def _leaving(
        self, stretch: Sequence[MappedRow], pending: PendingCounts, *, is_new: bool
    ) -> Iterator[Leaving]:
        """Yield a stretch as it leaves, shuffled if that is asked for, between what falls due."""
        order = list(range(len(stretch)))
        if self.options.shuffle_within_s:
            random.Random(f"{self.options.seed}:{stretch[0].row}").shuffle(order)
        for place in order:
            mapped = stretch[place]
            if not self._has_counts:
                yield mapped
                continue
            if mapped.at is not None:
                yield from pending.due(mapped.at)
            if not pending.is_further(mapped):
                yield mapped
            why, counts = pending.take(mapped), mapped.counts
            if why and is_new:
                self._withheld[why] += 1
                self.context.metrics.source_counts_withheld.labels(self.name, why).inc()
            if counts is not None and counts.fault:
                detail = f"row {mapped.row}: {counts.fault}; its post counts"
                yield RefusedCount(counts.raw, detail, mapped.at)

    def _tell_waiting(self, pending: PendingCounts) -> None:
        """Say why the run goes on after the last post, and how long."""
        lasting_s = pending.lasting_s()
        if self.options.speed and lasting_s and structlog.is_configured():
            get_logger(__name__).info(
                "all posts were sent; counts of the last ones are still to come, at their time",
                source=self.name, counts=len(pending),
                seconds=round(lasting_s / self.options.speed, 1),
            )  # fmt: skip

    def _tell_withheld(self) -> None:
        """Say of how many posts the counts were not sent, and why."""
        if self._withheld and structlog.is_configured():
            get_logger(__name__).warning(
                "counts were not sent", source=self.name, posts_by_reason=dict(self._withheld)
            )

    def _stretches(self) -> Iterator[Sequence[MappedRow]]:
        """Yield rows in the stretches inside which they may be shuffled; single rows if not."""
        width_ms = int(self.options.shuffle_within_s * 1000)
        rows = self._mapped()
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
