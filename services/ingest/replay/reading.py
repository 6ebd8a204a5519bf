"""One file from its bytes to rows in the order in which they leave."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from core import reasons
from core.codec import post_decoder, post_event_decoder
from core.errors import ConfigError, DecodeError
from core.logs import get_logger
from core.schemas import Post, PostEvent
from services.ingest.replay import rows as row_files
from services.ingest.replay.fields import FileLayout, read_fields
from services.ingest.replay.layout import find_layout
from services.ingest.replay.mapping import MappedRow, RowMapper
from services.ingest.replay.ordering import Numbering, OrderCheck, TimeSort
from services.ingest.replay.rows import BadRow
from services.ingest.replay.shapes import LeftOut
from services.ingest.sources.base import Ignored, RawRecord, SourceContext, Unmappable
from services.ingest.sources.replay.options import ReplayOptions

_STEP_ROWS: Final = 500
"""Rows between two looks at whether the process is to stop."""


class FileReading:
    """Reads one file, in the order of its times unless the options say otherwise.

    Args:
        path: The file.
        options: How it is read.
        context: The state folder, the author key and the metrics.

    Attributes:
        layout: How the file is read.
        repairs: What was put right in rows so far, by code.

    Raises:
        ConfigError: It cannot be read, or not without an option.
    """

    def __init__(self, path: Path, options: ReplayOptions, context: SourceContext) -> None:
        self.layout: FileLayout = find_layout(path, options)
        self.repairs: Counter[str] = Counter()
        self._path = path
        self._options = options
        self._context = context
        self._mapper = RowMapper(path, self.layout, options, context.author_key)
        self._has_post = False
        self._first_fault = ""
        self._sort: TimeSort | None = None

    def prepare(self) -> Iterator[None]:
        """Look through the file and sort it if it needs that, in steps.

        Raises:
            ConfigError: Not one of its rows can be a post.
        """
        if self.layout.format == "raw":
            return
        order = self._options.order
        if order != "time":
            in_order = yield from self._look_through(until_post=order == "file")
            if in_order:
                return
        if structlog.is_configured():  # a look at a file has standard output to itself
            log = get_logger(__name__)
            log.info("sorting by time: the rows are not in order", path=self._path.name)
        folder = self._context.state_dir
        self._sort = TimeSort(folder if folder.is_dir() else None)
        for mapped in self.mapped():
            self._sort.add(self._noted(mapped))
            if mapped.row % _STEP_ROWS == 0:
                yield
        if not self._has_post:
            raise nothing_readable(self._path, self._first_fault)

    def _look_through(self, *, until_post: bool) -> Iterator[None]:
        """Tell, in steps, whether the rows are in order; at once if the first post is enough."""
        check = OrderCheck()
        for row, fields in self._limited():
            is_none = isinstance(fields, BadRow | LeftOut)
            if is_none or not self._has_post:
                self._noted(self._map(row, fields))
                if self._has_post and until_post:
                    return True
            if not is_none:
                try:
                    check.take(self._mapper.moment(fields), str(fields[0] or ""))
                except ValueError:
                    continue  # no post: it will be told as such
            if not check.holds:
                return False
            if row % _STEP_ROWS == 0:
                yield
        if not self._has_post:
            raise nothing_readable(self._path, self._first_fault)
        return True

    def _noted(self, mapped: MappedRow) -> MappedRow:
        """Note whether there is a post, and why the first row that is none cannot be one."""
        self._has_post = self._has_post or isinstance(mapped.record, Post)
        if isinstance(mapped.record, Unmappable) and not self._first_fault:
            self._first_fault = mapped.record.detail
        return mapped

    def rows(self) -> Iterator[MappedRow]:
        """Yield the rows as they leave; `prepare` has ended."""
        if self.layout.format == "raw":
            lines = islice(row_files.read_lines(self._path), self._options.limit_rows or None)
            for row, line in enumerate(lines, start=1):
                yield _raw_row(row, line)
            return
        numbering = Numbering()
        for mapped in self.mapped() if self._sort is None else self._sort:
            yield numbering(mapped)
        self.close()

    def mapped(self) -> Iterator[MappedRow]:
        """Yield the rows in the order of the file, and count what was put right."""
        counter = self._context.metrics.posts_repaired
        for row, fields in self._limited():
            mapped = self._map(row, fields)
            yield mapped
            if mapped.counts is not None and mapped.counts.rounded:
                self.repairs[reasons.ROUNDED_COUNT] += mapped.counts.rounded
            if self.repairs:
                for code, number in self.repairs.items():
                    counter.labels(repair=code).inc(number)
                self.repairs.clear()

    def _limited(self) -> Iterator[tuple[int, Any]]:
        self.repairs.clear()
        found = read_fields(self._path, self.layout, self.repairs)
        return enumerate(islice(found, self._options.limit_rows or None), start=1)

    def _map(self, row: int, fields: Any) -> MappedRow:
        if isinstance(fields, LeftOut):
            return MappedRow(row, Ignored())
        return self._mapper.post(row, fields)

    def close(self) -> None:
        """Remove what sorting has put on disk."""
        if self._sort is not None:
            self._sort.close()
            self._sort = None


def nothing_readable(path: Path, fault: str) -> ConfigError:
    """Return the error for a file of which no row can be a post, with the first reason."""
    way = ""
    epoch = re.search(r"the time '(\d+)'", fault)
    unit = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us"}.get(len(epoch[1])) if epoch else None
    if unit:
        way = f"; did you mean --set time_format={unit}"
    elif "the time " in fault and "expected format" in fault:
        way = "; name its form: --set time_format='%d.%m.%Y %H:%M' (a pattern of strptime)"
    return ConfigError(
        f"replay: {path.name}: none of its rows can be read as a post"
        f"{f': {fault}' if fault else ': it has none'}{way}"
    )


class _Hint(msgspec.Struct):
    """What of a raw line is looked at, if it can be read at all."""

    author: str = ""
    kind: Any = None


_hint_decoder = msgspec.json.Decoder(_Hint)


def _raw_row(row: int, line: bytes | BadRow) -> MappedRow:
    """Send a line as it is; author and topic are taken from it as far as it can be read."""
    if isinstance(line, BadRow):
        return MappedRow(row, Unmappable(line.raw, f"row {row}: {line.detail}"))
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
    return MappedRow(row, raw, record.claimed_at if record is not None else None)
