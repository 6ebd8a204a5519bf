"""Which columns of a file hold times, and what their numbers mean."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from services.ingest.replay.fields import TIME_AT, FileLayout, read_fields
from services.ingest.replay.options import NeedsOption, ReplayOptions
from services.ingest.replay.rows import BadRow
from services.ingest.replay.shapes import LeftOut
from services.ingest.replay.times import TimeReader, UndecidedDate, day_order

SAMPLE_ROWS: Final = 1000
"""Rows that are looked at for the form of times before the rest of a column is asked."""
_LOOKED_COLUMNS: Final = 30


def with_time_format(path: Path, layout: FileLayout, options: ReplayOptions) -> FileLayout:
    """Settle what `auto` means for the dates of this file."""
    reader = TimeReader(options.time_format, options.time_zone)
    layout = _with_time_by_values(path, layout, reader, options)
    if options.time_format != "auto" or "time" not in layout.columns:
        return layout
    layout = _without_idle_columns(path, layout, reader, options)
    orders: Counter[str] = Counter()
    shown = ""
    for row, fields in enumerate(read_fields(path, layout, Counter()), start=1):
        if isinstance(fields, BadRow | LeftOut):
            continue
        value = fields[TIME_AT]
        order = day_order(value) if isinstance(value, str) else ""
        orders[order] += 1
        if order == "either" and not shown:
            shown = f"{value!r} (row {row})"
        decided = orders["day"] or orders["month"] or not orders["either"]
        if decided and row >= SAMPLE_ROWS:
            break
    if not (orders["day"] or orders["month"] or orders["either"]):
        return layout
    if bool(orders["day"]) == bool(orders["month"]):
        both = "rows say both" if orders["day"] else "no row says which"
        raise NeedsOption(
            f"replay: {path.name}: the time {shown or 'column'} can be read day first or month "
            f"first, and {both}",
            ("time_format=day_first", "time_format=month_first"),
        )
    settled = "day_first" if orders["day"] else "month_first"
    return msgspec.structs.replace(layout, time_format=settled)


def _without_idle_columns(
    path: Path, layout: FileLayout, reader: TimeReader, options: ReplayOptions
) -> FileLayout:
    """Leave out columns that only look like times by their names, where another has times."""
    tried = layout.columns["time"]
    if len(tried) < 2 or "time" in options.columns:
        return layout
    shares = {name: _share_read(path, layout, name, reader) for name in tried}
    kept = tuple(name for name in tried if shares[name] > 0.5) or tried
    return msgspec.structs.replace(layout, columns={**layout.columns, "time": kept})


def _with_time_by_values(
    path: Path, layout: FileLayout, reader: TimeReader, options: ReplayOptions
) -> FileLayout:
    """Take a column for the times that alone holds dates, where no name is known for them."""
    if "time" in layout.columns or "time" in options.constants:
        return layout
    dated = columns_of_times(path, layout, reader)
    if len(dated) != 1:
        return layout
    return msgspec.structs.replace(layout, columns={**layout.columns, "time": dated})


def columns_of_times(path: Path, layout: FileLayout, reader: TimeReader) -> tuple[str, ...]:
    """Return the columns without a use that hold dates by their values, most of them.

    Numbers are left out: ids and counts can look like seconds.
    """
    used = {name for names in layout.columns.values() for name in names}
    idle = [name for name in layout.names if name not in used][:_LOOKED_COLUMNS]
    return tuple(
        name for name in idle if _share_read(path, layout, name, reader, dates_only=True) > 0.9
    )


def _share_read(
    path: Path, layout: FileLayout, name: str, reader: TimeReader, *, dates_only: bool = False
) -> float:
    alone = msgspec.structs.replace(layout, columns={**layout.columns, "time": (name,)})
    read = seen = 0
    for fields in islice(read_fields(path, alone, Counter()), 100):
        if isinstance(fields, BadRow | LeftOut) or fields[TIME_AT] in (None, ""):
            continue
        seen += 1
        if dates_only and str(fields[TIME_AT]).replace(".", "").isdigit():
            continue
        try:
            reader(str(fields[TIME_AT]))
            read += 1
        except UndecidedDate:
            read += 1
        except (ValueError, OverflowError, OSError):
            pass
    return read / seen if seen else 0.0
