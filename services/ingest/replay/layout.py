"""How a file is to be read, found out before its first row is: format, columns, form of times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError
from services.ingest.replay import columns as naming
from services.ingest.replay import headers, rows
from services.ingest.replay.count_columns import settle_counts
from services.ingest.replay.dialects import SAMPLE_CHARS, delimiter_of, find_dialect
from services.ingest.replay.encodings import find_encoding, known_encoding
from services.ingest.replay.fields import TIME_AT, FileLayout, Format, read_fields
from services.ingest.replay.json_values import ASSIGNMENT, decode_line
from services.ingest.replay.mapping import is_long_number
from services.ingest.replay.opening import READ_ERRORS, open_packed
from services.ingest.replay.rows import BadRow
from services.ingest.replay.shapes import LeftOut
from services.ingest.replay.times import TimeReader, UndecidedDate, day_order
from services.ingest.sources.replay.options import NeedsOption, ReplayOptions

SAMPLE_ROWS: Final = 1000
"""Rows that are looked at for the names of columns, and for the form of times before the rest of
their column is asked."""
_LOOKED_COLUMNS: Final = 30

_ROUNDED_AT_LEAST: Final = 4
"""So many ids that end in zeros are no chance: each is one of a hundred or fewer."""


def check_options(options: ReplayOptions) -> None:
    """Refuse options that are wrong whatever the file is; nothing is opened.

    Raises:
        ConfigError: Names the option, its value and what was expected.
    """
    options.check()
    TimeReader(options.time_format, options.time_zone)
    if options.encoding:
        known_encoding(options.encoding)
    if options.delimiter:
        delimiter_of(options.delimiter)


def find_layout(path: Path, options: ReplayOptions) -> FileLayout:
    """Find out how a file is to be read; only its start is read, unless its dates need more.

    Raises:
        ConfigError: It cannot be read, or something that only a person knows is missing
            (`NeedsOption`, with the option).
    """
    packed = open_packed(path)
    packed.stream.close()
    if options.format == "raw":
        return FileLayout(format="raw", packings=packed.packings)
    encoding = known_encoding(options.encoding) if options.encoding else find_encoding(path)
    sample = _sample(path, encoding)
    if not sample.strip():
        raise ConfigError(f"replay: {path.name} is empty: expected posts")
    layout = FileLayout(
        format=_format(sample) if options.format == "auto" else options.format,
        packings=packed.packings,
        encoding=encoding,
        time_format=options.time_format,
    )
    found = (_csv if layout.format == "csv" else _json)(path, layout, sample, options)
    return _with_time_format(path, settle_counts(path, found, options), options)


def _sample(path: Path, encoding: str) -> str:
    try:
        with rows.open_text(path, encoding) as text:
            return text.read(SAMPLE_CHARS).removeprefix("\ufeff")
    except READ_ERRORS:
        # The file breaks off inside its start: what is there is read line by line.
        return "".join(f"{line}\n" for line in _lines_so_far(path, encoding))
    except UnicodeError as error:
        raise ConfigError(f"replay: {path.name} is not {encoding}: {error}") from error


def _lines_so_far(path: Path, encoding: str) -> Iterator[str]:
    for line in rows.read_lines(path):
        if isinstance(line, bytes):
            yield line.decode(encoding, "replace")


def _format(sample: str) -> Format:
    """Tell the format by how the text begins."""
    start = sample.lstrip()
    if ASSIGNMENT.match(start):
        return "json"
    if start.startswith("["):
        return "json" if start[1:].lstrip()[:1] in ("{", "]", "[", "") else "csv"
    if not start.startswith("{"):
        return "csv"
    lines = [line for line in start.split("\n") if line.strip()][:20]
    if len(sample) >= SAMPLE_CHARS and len(lines) > 1:
        lines.pop()  # perhaps cut
    whole = sum(_is_whole(line) for line in lines)
    return "jsonl" if whole and whole * 2 >= len(lines) else "json"


def _is_whole(line: str) -> bool:
    try:
        decode_line(line.encode("utf-8", "replace"), Counter())
    except ValueError:
        return False
    return True


def are_rounded(ids: Iterable[str]) -> bool:
    """Tell whether a spreadsheet has made zeros of all that ids have beyond fifteen digits.

    Example:
        >>> are_rounded(["1644570000000000000"] * 4), are_rounded(["1644570000000000001"] * 4)
        (True, False)
    """
    long = [one for one in ids if is_long_number(one)]
    return len(long) >= _ROUNDED_AT_LEAST and not any(one[15:].strip("0") for one in long)


def _csv(path: Path, layout: FileLayout, sample: str, options: ReplayOptions) -> FileLayout:
    delimiter = delimiter_of(options.delimiter) if options.delimiter else ""
    dialect = find_dialect(sample, delimiter)
    cells = rows.read_cells(path, layout.encoding, dialect)
    first = [row for row in islice(cells, SAMPLE_ROWS) if not isinstance(row, BadRow)]
    header = headers.find_header(path, first, options)
    columns = naming.choose_columns(header.names, options.columns)
    ids = [header.names.index(name) for name in columns.get("id", ())[:1]]
    return msgspec.structs.replace(
        layout,
        dialect=dialect,
        names=header.names,
        header_at=header.rows,
        columns=columns,
        rounded_ids=are_rounded(
            row[at] for row in first[header.rows :] for at in ids if at < len(row)
        ),
    )


def _json(path: Path, layout: FileLayout, _sample: str, options: ReplayOptions) -> FileLayout:
    read = rows.read_json_lines if layout.format == "jsonl" else rows.read_json
    names: dict[str, None] = {}
    nested: dict[str, None] = {}
    fault = ""
    chars: Counter[str] = Counter()
    for found in islice(read(path, layout.encoding, Counter()), SAMPLE_ROWS):
        if isinstance(found, BadRow):
            fault = fault or found.detail
        if isinstance(found, dict):
            for name, value in found.items():
                names.setdefault(name)
                inner = (
                    {f"{name}.{key}": part for key, part in value.items()}
                    if isinstance(value, dict)
                    else {}
                )
                nested.update(dict.fromkeys(inner))
                for path_to, part in {name: value, **inner}.items():
                    chars[path_to] += len(part) if isinstance(part, str) else 0
    if not names:
        raise ConfigError(
            f"replay: {path.name}: none of its first rows is a post: "
            f"{fault or 'expected JSON objects with a text'}"
        )
    columns = naming.choose_json_columns(
        tuple(names), tuple(nested), options.columns, max(chars, key=lambda name: chars[name])
    )
    return msgspec.structs.replace(layout, names=tuple(names), columns=columns)


def _with_time_format(path: Path, layout: FileLayout, options: ReplayOptions) -> FileLayout:
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
