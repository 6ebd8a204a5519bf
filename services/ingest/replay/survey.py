"""What is in a file, counted before anything starts: the same reading as the run itself."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from core.reasons import ROUNDED_COUNT
from core.schemas import Post
from core.settings import Secret
from services.ingest.replay.counts import RowCounts
from services.ingest.replay.fields import TIME_AT, FileLayout, read_fields
from services.ingest.replay.layout import columns_of_times, find_layout
from services.ingest.replay.mapping import MADE, NOBODY, MappedRow, RowMapper
from services.ingest.replay.pending import NO_TIME
from services.ingest.replay.rows import BadRow
from services.ingest.replay.shapes import LeftOut
from services.ingest.replay.times import TimeReader
from services.ingest.sources.base import Unmappable
from services.ingest.sources.replay.options import COUNT_FIELDS, ReplayOptions

_MAX_IDS: Final = 400_000
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,]*")
_EARLY: Final = datetime(1971, 1, 1, tzinfo=UTC)
_MAX_KINDS: Final = 100
_ZONES_LOOKED_AT: Final = 200
_CLOCK_EVERY_ROWS: Final = 2_000


class _Repeated:
    """Counts what comes again: all of it, or a sample by its hash when there is much."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._share = 1
        self._repeated = 0

    def take(self, *key: object) -> None:
        number = hash(key)
        if number % self._share:
            return
        if number in self._seen:
            self._repeated += 1
            return
        self._seen.add(number)
        if len(self._seen) > _MAX_IDS:
            self._share *= 2
            self._seen = {kept for kept in self._seen if not kept % self._share}
            self._repeated //= 2

    @property
    def repeated(self) -> int:
        return self._repeated * self._share


def _counter() -> Any:
    return field(default_factory=Counter[str])


class Survey(Struct):
    """The figures of one file.

    Attributes:
        layout: How the file is read.
        rows: The rows that were looked at.
        posts: The rows that can be a post.
        is_whole: False if the look ended before the file did.
        left_out: The records that are no posts, by what they are.
        faults: The rows that cannot be a post, by why, without the values.
        fault_examples: The first of each, with its place and value.
        first: The first post as it will be counted.
        earliest, latest: The span of the times, in UTC.
        ascents, descents: How often a row is later, and earlier, than the one before it.
        timeless: The posts without a time, in a file that has a column of times.
        early: The posts of before 1971.
        zoneless: Whether times name no zone, as far as the first of them say.
        mangled: The ids that a spreadsheet spoilt.
        languages: The posts by language; "" is what the file does not say.
        unknown_languages: What the file calls a language and is none, with how often.
        nameless: The posts without an author.
        repairs: What was put right, by code.
        likely_times: The columns without a use that hold times, where none is known by its name.
        last: The time of the last post that has one.
        ids: The ids of the posts that have one of their own.
        counted: The posts with counts that will be sent, by field; "" is any of them.
        counts_timed: Those of them whose counts have a time of their own.
        counts_withheld: The posts with counts that will not be sent, by why.
        count_faults: The counts that are none, by why, without the values.
        count_examples: The first of each, with its place and value.
        versions: The posts that come with counts of several times.
    """

    layout: FileLayout
    rows: int = 0
    posts: int = 0
    is_whole: bool = True
    left_out: Counter[str] = _counter()
    faults: Counter[str] = _counter()
    fault_examples: dict[str, str] = {}
    first: Post | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    ascents: int = 0
    descents: int = 0
    timeless: int = 0
    early: int = 0
    zoneless: bool = False
    mangled: int = 0
    languages: Counter[str] = _counter()
    unknown_languages: Counter[str] = _counter()
    nameless: int = 0
    repairs: Counter[str] = _counter()
    likely_times: tuple[str, ...] = ()
    last: datetime | None = None
    ids: _Repeated = field(default_factory=_Repeated)
    counted: Counter[str] = _counter()
    counts_timed: int = 0
    counts_withheld: Counter[str] = _counter()
    count_faults: Counter[str] = _counter()
    count_examples: dict[str, str] = {}
    versions: _Repeated = field(default_factory=_Repeated)

    @property
    def repeated(self) -> int:
        """How many posts have the id of an earlier row; about so many in a file of many rows."""
        return max(0, self.ids.repeated - self.further)

    @property
    def further(self) -> int:
        """How many rows have counts of another time of an earlier row's post, about."""
        return self.versions.repeated

    @property
    def uncounted(self) -> int:
        """How many rows will not be counted."""
        return self.faults.total() + self.repeated

    def take(self, mapped: MappedRow) -> None:
        """Count the next row, in the order of the file."""
        post = mapped.record
        if isinstance(post, Unmappable):
            kind = _QUOTED.sub("…", post.detail.partition(": ")[2])
            if len(self.faults) >= _MAX_KINDS and kind not in self.faults:
                kind = "for further reasons"
            self.faults[kind] += 1
            self.fault_examples.setdefault(kind, post.detail)
        if not isinstance(post, Post):
            return
        self.posts += 1
        self.first = self.first or post
        self.languages[post.lang.split("-")[0]] += 1
        if mapped.unknown_language and len(self.unknown_languages) < 1000:
            self.unknown_languages[mapped.unknown_language] += 1
        self.nameless += post.author.startswith(NOBODY)
        self.mangled += mapped.has_mangled_id
        if not post.id.startswith(MADE):
            self.ids.take(post.id)
        self._take_time(mapped.at)
        if mapped.counts is not None:
            self._take_counts(mapped, post, mapped.counts)

    def _take_counts(self, mapped: MappedRow, post: Post, counts: RowCounts) -> None:
        if counts.at is not None:
            self.versions.take(post.id, post.author, mapped.at)
        if counts.fault:
            kind = _QUOTED.sub("…", counts.fault)
            self.count_faults[kind] += 1
            self.count_examples.setdefault(kind, f"row {mapped.row}: {counts.fault}")
        if counts.rounded:
            self.repairs[ROUNDED_COUNT] += counts.rounded
        if not counts.are_known:
            return
        has_time = counts.at is not None or self.last is not None
        withheld = counts.withheld or ("" if has_time else NO_TIME)
        if withheld:
            self.counts_withheld[withheld] += 1
            return
        self.counts_timed += counts.at is not None
        self.counted.update(
            [
                "",
                *(
                    n
                    for n, total in zip(COUNT_FIELDS, counts.totals, strict=True)
                    if total is not None
                ),
            ]
        )

    def _take_time(self, at: datetime | None) -> None:
        if at is None:
            self.timeless += 1
            return
        self.early += at < _EARLY
        if self.last is not None:
            self.ascents += at > self.last
            self.descents += at < self.last
        self.last = at
        self.earliest = at if self.earliest is None else min(at, self.earliest)
        self.latest = at if self.latest is None else max(at, self.latest)


def survey_file(
    path: Path,
    options: ReplayOptions,
    budget_s: float | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Survey:
    """Read a file as a run would, and count.

    Args:
        path: The file.
        options: How it is read.
        budget_s: The seconds after which the look ends; None looks at all of it.
        monotonic: Tells seconds that never go back.

    Raises:
        ConfigError: It cannot be read, or not without an option.
    """
    layout = find_layout(path, options)
    survey = Survey(layout)
    if layout.format == "raw":
        return survey
    mapper = RowMapper(path, layout, options, Secret())
    reader = TimeReader(layout.time_format, options.time_zone)
    if "time" not in layout.columns:
        survey.likely_times = columns_of_times(path, layout, reader)
    give_up_s = math.inf if budget_s is None else monotonic() + budget_s
    found = read_fields(path, layout, survey.repairs)
    for row, fields in enumerate(islice(found, options.limit_rows or None), start=1):
        survey.rows = row
        if isinstance(fields, LeftOut):
            survey.left_out[fields.why] += 1
            continue
        survey.take(mapper.post(row, fields))
        if row <= _ZONES_LOOKED_AT and not isinstance(fields, BadRow):
            survey.zoneless |= _lacks_zone(reader, fields[TIME_AT])
        if not row % _CLOCK_EVERY_ROWS and monotonic() > give_up_s:
            survey.is_whole = False
            break
    return survey


def _lacks_zone(reader: TimeReader, value: Any) -> bool:
    try:
        return value not in (None, "") and reader.lacks_zone(str(value))
    except (ValueError, OverflowError, OSError):
        return False
