"""What the rows of a file say, field by field, once it is known how the file is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from services.ingest.replay import columns as naming
from services.ingest.replay import rows
from services.ingest.replay.dialects import CsvDialect
from services.ingest.replay.rows import BadRow, Fields
from services.ingest.replay.shapes import LeftOut
from services.ingest.replay.times import read_time
from services.ingest.sources.replay.options import COUNT_FIELDS, FIELDS, ReplayOptions

TIME_AT: Final = FIELDS.index("time")
_TEXT_AT: Final = FIELDS.index("text")

Format = Literal["csv", "jsonl", "json", "raw"]


class FileLayout(Struct, frozen=True, kw_only=True):
    """How a file is read.

    Attributes:
        format: What its rows are.
        packings: What packs it, outermost first.
        encoding: Python's name of its encoding.
        dialect: How a CSV file separates its cells.
        names: Its columns, or the keys of its objects, in its order.
        header_at: Rows before the first row of data, of a CSV file.
        columns: Field -> the columns it is taken from, the first with a value counting.
        time_format: A name or pattern that `TimeReader` knows.
        rounded_ids: Whether a spreadsheet has rounded its long ids.
    """

    format: Format
    packings: tuple[str, ...] = ()
    encoding: str = "utf-8"
    dialect: CsvDialect = CsvDialect()
    names: tuple[str, ...] = ()
    header_at: int = 0
    columns: dict[str, tuple[str, ...]] = {}
    time_format: str = "auto"
    rounded_ids: bool = False

    def has_counts(self, options: ReplayOptions) -> bool:
        """Tell whether rows can say how far their posts went."""
        return options.counts != "none" and any(
            field in self.columns or field in options.constants for field in COUNT_FIELDS
        )


def read_fields(
    path: Path, layout: FileLayout, repairs: Counter[str]
) -> Iterator[Fields | BadRow | LeftOut]:
    """Yield what the rows of a file say, in its order.

    Args:
        path: The file.
        layout: How it is read; not of the format `raw`.
        repairs: Counts what was put right in a row, by code.
    """
    if layout.format == "csv":
        pick, width = _cell_picker(layout), len(layout.names)
        for cells in islice(
            rows.read_cells(path, layout.encoding, layout.dialect), layout.header_at, None
        ):
            if isinstance(cells, BadRow):
                yield cells
            elif len(cells) == width or (len(cells) > width and not any(cells[width:])):
                swallowed = _swallowed_lines(cells, layout)
                if swallowed:
                    detail = f"a quote that is not closed: {swallowed:,} lines in one cell are rows"
                    yield BadRow(rows.row_bytes(cells), detail)
                else:
                    yield pick(cells)
            else:
                detail = f"{len(cells)} columns, expected {width}"
                yield BadRow(rows.row_bytes(cells), detail)
        return
    read = rows.read_json_lines if layout.format == "jsonl" else rows.read_json
    paths = naming.getters(layout.columns, frozenset(layout.names))
    for found in read(path, layout.encoding, repairs):
        if isinstance(found, dict):
            if not any(name in found for name in layout.columns["text"] if "." not in name) and (
                all(_first(found, [keys]) is None for keys in paths[_TEXT_AT])
            ):
                yield BadRow(rows.row_bytes([found]), "no text: none of its keys holds one")
            else:
                yield [_first(found, tried) for tried in paths]
        elif isinstance(found, BadRow | LeftOut):
            yield found


def _swallowed_lines(cells: Sequence[str], layout: FileLayout) -> int:
    """Return how many rows, each with a time where times are, lie in one cell of a row."""
    names = layout.columns.get("time", ())
    longest = max(cells, key=len)
    if "\n" not in longest or not names:
        return 0
    place = layout.names.index(names[0])
    found = 0
    for inner in layout.dialect.rows(longest.splitlines()[1:]):
        if len(inner) == len(layout.names):
            try:
                read_time(inner[place], day_first=True)
                found += 1
            except (ValueError, OverflowError, OSError):
                continue
    return found


def _first(tree: dict[str, Any], tried: Sequence[Sequence[str]]) -> Any:
    """Return the first value that is there, an empty one only if there is no other."""
    empty = None
    for keys in tried:
        value = tree.get(keys[0]) if len(keys) == 1 else naming.follow(tree, keys)
        if value is not None and value != "":
            return value
        empty = value if empty is None else empty
    return empty


def _cell_picker(layout: FileLayout) -> Callable[[Sequence[str]], Fields]:
    places = [
        tuple(layout.names.index(name) for name in layout.columns.get(field, ()))
        for field in FIELDS
    ]
    split = naming.split_time(layout.names)
    is_split = split is not None and layout.columns.get("time", ())[:1] == split[:1]
    hour_at = layout.names.index(split[1]) if is_split and split else None

    first = [tried[0] if tried else None for tried in places]
    others = [(field, tried) for field, tried in enumerate(places) if len(tried) > 1]

    def pick(cells: Sequence[str]) -> Fields:
        fields = [None if place is None else cells[place] for place in first]
        for field, tried in others:
            if not fields[field]:
                fields[field] = next((cells[place] for place in tried if cells[place]), "")
        if hour_at is not None and fields[TIME_AT]:
            fields[TIME_AT] = f"{fields[TIME_AT]} {cells[hour_at]}".strip()
        return fields

    return pick
