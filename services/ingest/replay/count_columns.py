"""Which of the columns that look like counts by their names hold some."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from services.ingest.replay.counts import NoCount, read_count
from services.ingest.replay.fields import FileLayout, read_fields
from services.ingest.replay.rows import BadRow
from services.ingest.replay.shapes import LeftOut
from services.ingest.sources.replay.options import COUNT_FIELDS, COUNTS_TIME, FIELDS, ReplayOptions

_LOOKED_ROWS: Final = 100
_NUMBER: Final = re.compile(r"[+-]?\.?\d")


def settle_counts(path: Path, layout: FileLayout, options: ReplayOptions) -> FileLayout:
    """Return the layout without columns that only look like counts by their names.

    A column that is named in the options stays. One that has nothing in the first rows stays, too:
    a file may know a count of its later posts only.
    """
    columns = dict(layout.columns)
    for field in COUNT_FIELDS:
        if options.counts == "none":
            columns.pop(field, None)
        elif field not in options.columns and field in columns:
            kept = tuple(n for n in columns[field] if _holds_counts(path, layout, field, n))
            del columns[field]
            if kept:
                columns[field] = kept
    settled = msgspec.structs.replace(layout, columns=columns)
    # A file's only time is that of its posts, whatever it is called.
    is_only_time = "time" not in columns and COUNTS_TIME not in options.columns
    if not settled.has_counts(options) or is_only_time:
        columns.pop(COUNTS_TIME, None)
    return settled


def _holds_counts(path: Path, layout: FileLayout, field: str, name: str) -> bool:
    """Tell whether most of what a column says at the start of the file are numbers."""
    alone = msgspec.structs.replace(layout, columns={**layout.columns, field: (name,)})
    at = FIELDS.index(field)
    seen = read = 0
    for fields in islice(read_fields(path, alone, Counter()), _LOOKED_ROWS):
        if isinstance(fields, BadRow | LeftOut) or fields[at] in (None, ""):
            continue
        seen += 1
        try:
            # A list of replies has none; a cell that says nothing is as good as an empty one.
            read += read_count(fields[at])[0] is not None or isinstance(fields[at], str)
        except NoCount:
            # A number that is no count is told row by row; words are another thing's.
            read += bool(_NUMBER.match(str(fields[at]).strip()))
    return not seen or read * 2 > seen
