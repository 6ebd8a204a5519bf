"""What is in a file, counted before anything starts: the same reading as the run itself."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from core.schemas import Post
from core.settings import Secret
from services.ingest.replay.fields import TIME_AT, FileLayout, read_fields
from services.ingest.replay.layout import find_layout
from services.ingest.replay.mapping import MADE, MANGLED_ID, NO_ID, NOBODY, MappedRow, RowMapper
from services.ingest.replay.options import ReplayOptions
from services.ingest.replay.rows import BadRow
from services.ingest.replay.shapes import LeftOut
from services.ingest.replay.time_columns import columns_of_times
from services.ingest.replay.times import TimeReader
from services.ingest.sources.base import Unmappable

_MAX_IDS: Final = 400_000
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,]*")
_EARLY: Final = datetime(1971, 1, 1, tzinfo=UTC)
_MAX_KINDS: Final = 100
_ZONES_LOOKED_AT: Final = 200
_CLOCK_EVERY_ROWS: Final = 2_000


class Survey(Struct):
    """The figures of one file.

    Attributes:
        layout: How the file is read.
        rows: Rows that were looked at.
        posts: Rows that can be a post.
        is_whole: False if the look ended before the file did.
        left_out: Records that are no posts, by what they are.
        faults: Rows that cannot be a post, by why, without the values.
        fault_examples: The first of each, with its place and value.
        first: The first post as it will be counted.
        earliest, latest: The span of the times, in UTC.
        ascents, descents: How often a row is later, and earlier, than the one before it.
        timeless: Posts without a time, in a file that has a column of times.
        early: Posts of before 1971.
        zoneless: Whether times name no zone, as far as the first of them say.
        repeated: Posts whose id an earlier row has; at a file of many rows about so many.
        mangled, made: Ids that a spreadsheet spoilt; ids that the file does not have.
        languages: Posts by language; "" is what the file does not say.
        unknown_languages: What the file calls a language and is none, with how often.
        nameless: Posts without an author.
        empty: Posts without a text.
        repairs: What was put right, by code.
        likely_times: Columns without a use that hold times, where none is known by its name.
    """

    layout: FileLayout
    rows: int = 0
    posts: int = 0
    is_whole: bool = True
    left_out: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    fault_examples: dict[str, str] = {}
    first: Post | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    ascents: int = 0
    descents: int = 0
    timeless: int = 0
    early: int = 0
    zoneless: bool = False
    repeated: int = 0
    mangled: int = 0
    made: int = 0
    languages: Counter[str] = field(default_factory=Counter[str])
    unknown_languages: Counter[str] = field(default_factory=Counter[str])
    nameless: int = 0
    empty: int = 0
    repairs: Counter[str] = field(default_factory=Counter[str])
    likely_times: tuple[str, ...] = ()

    @property
    def uncounted(self) -> int:
        """How many rows will not be counted."""
        return self.faults.total() + self.repeated


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
        budget_s: End the look after so long; None looks at all of it.
        monotonic: Seconds that never go back.

    Raises:
        ConfigError: It cannot be read, or not without an option.
    """
    layout = find_layout(path, options)
    survey = Survey(layout)
    if layout.format == "raw":
        return survey
    mapper = RowMapper(
        options,
        layout.time_format,
        path.name.split(".")[0],
        Secret(),
        rounded_ids=layout.rounded_ids,
    )
    reader = TimeReader(layout.time_format, options.time_zone)
    counting = _Counting(survey)
    if "time" not in layout.columns:
        survey.likely_times = columns_of_times(path, layout, reader)
    give_up_s = None if budget_s is None else monotonic() + budget_s
    found = read_fields(path, layout, survey.repairs)
    for row, fields in enumerate(islice(found, options.limit_rows or None), start=1):
        survey.rows = row
        if isinstance(fields, LeftOut):
            survey.left_out[fields.why] += 1
            continue
        counting.take(mapper.post(row, fields))
        if row <= _ZONES_LOOKED_AT and not isinstance(fields, BadRow):
            survey.zoneless |= _lacks_zone(reader, fields[TIME_AT])
        if give_up_s is not None and not row % _CLOCK_EVERY_ROWS and monotonic() > give_up_s:
            survey.is_whole = False
            break
    survey.repeated = counting.ids.repeated
    return survey


def _lacks_zone(reader: TimeReader, value: Any) -> bool:
    try:
        return value not in (None, "") and reader.lacks_zone(str(value))
    except (ValueError, OverflowError, OSError):
        return False


class _Counting:
    """Adds rows to a survey, in the order of the file."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._last: datetime | None = None
        self.ids = _RepeatedIds()

    def take(self, mapped: MappedRow) -> None:
        survey, post = self._survey, mapped.record
        if isinstance(post, Unmappable):
            detail = post.detail.partition(": ")[2]
            kind = _QUOTED.sub("…", detail)
            if len(survey.faults) >= _MAX_KINDS and kind not in survey.faults:
                kind = "for further reasons"
            survey.faults[kind] += 1
            survey.fault_examples.setdefault(kind, post.detail)
        if not isinstance(post, Post):
            return
        survey.posts += 1
        survey.first = survey.first or post
        survey.languages[post.lang.split("-")[0]] += 1
        if mapped.unknown_language and len(survey.unknown_languages) < 1000:
            survey.unknown_languages[mapped.unknown_language] += 1
        survey.nameless += post.author.startswith(NOBODY)
        survey.empty += not post.text.strip()
        survey.mangled += mapped.id_from == MANGLED_ID
        survey.made += mapped.id_from == NO_ID
        if not post.id.startswith(MADE):
            self.ids.take(post.id)
        self._take_time(mapped.at)

    def _take_time(self, at: datetime | None) -> None:
        survey = self._survey
        if at is None:
            survey.timeless += 1
            return
        survey.early += at < _EARLY
        if self._last is not None:
            survey.ascents += at > self._last
            survey.descents += at < self._last
        self._last = at
        survey.earliest = at if survey.earliest is None else min(at, survey.earliest)
        survey.latest = at if survey.latest is None else max(at, survey.latest)


class _RepeatedIds:
    """Counts ids that come again: all of them, or a sample by their hash when there are many."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._share = 1
        self._repeated = 0

    def take(self, post_id: str) -> None:
        number = hash(post_id)
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
