"""The header row of a CSV file: where it is, or that there is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mode
from typing import Final

from msgspec import Struct

from core.errors import ConfigError
from services.ingest.replay.columns import choose_columns, likely_text, no_text_column
from services.ingest.replay.times import UndecidedDate, read_time
from services.ingest.sources.replay.options import NeedsOption, ReplayOptions

_LOOKED_ROWS: Final = 20
"""Some exports put a title and a few lines about themselves above the table."""
_LONG_CHARS: Final = 60
_OTHER_SEPARATORS: Final = "^~:¦§"


class HeaderRow(Struct, frozen=True):
    """The names of the columns, and how many rows stand before the data."""

    names: tuple[str, ...]
    rows: int


def find_header(path: Path, first: Sequence[Sequence[str]], options: ReplayOptions) -> HeaderRow:
    """Return the header of a CSV file.

    Args:
        path: The file, for messages.
        first: Its first rows.
        options: The names of columns, or of the whole header, that the person gave.

    Raises:
        NeedsOption: It has none, or none of its names is known for the text.
        ConfigError: It is empty, or names given are not in it.
    """
    if options.header:
        return HeaderRow(_unique([name.strip() for name in options.header.split(",")]), 0)
    if not first:
        raise ConfigError(f"replay: {path.name} has no row that can be read: expected a header")
    for number, cells in enumerate(first[:_LOOKED_ROWS]):
        if _is_header(cells, is_first=not number, options=options):
            return HeaderRow(_unique(cells), number + 1)
    names = first[0]
    if any(map(_is_data, names)):
        guess = ",".join(_guess_names(first))
        shown = ", ".join(cell[:30] for cell in names)
        raise NeedsOption(
            f"replay: {path.name}: its first row looks like data ({shown[:120]}) and no header; "
            "name its columns",
            (f"header={guess}",),
        )
    if options.columns:
        choose_columns(_unique(names), options.columns)  # says which of them is not there
    sign = _other_separator(first)
    if sign:
        raise NeedsOption(
            f"replay: {path.name}: its rows look separated by {sign!r}", (f"delimiter={sign}",)
        )
    remedies = [f"columns.text={likely_text(first)}"]
    if _may_be_post(first):
        remedies.append(f"header={','.join(_guess_names(first))}")
    raise NeedsOption(no_text_column(names), tuple(remedies))


def _may_be_post(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row may be data: words, and no name above numbers or times."""
    names, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    return any(" " in name.strip() for name in names) and not any(
        all(_is_data(row[place]) for row in below) for place in range(len(names)) if below
    )


def _other_separator(rows: Sequence[Sequence[str]]) -> str:
    """Return the sign that every row of one cell has equally often, "" if there is none."""
    lines = [row[0] for row in rows[:_LOOKED_ROWS] if len(row) == 1]
    for sign in _OTHER_SEPARATORS:
        counts = {line.count(sign) for line in lines}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return sign
    return ""


def _is_header(cells: Sequence[str], *, is_first: bool, options: ReplayOptions) -> bool:
    try:
        chosen = choose_columns(_unique(cells), options.columns)
    except ConfigError:
        return False
    if is_first and options.columns:
        return True
    return not any(map(_is_data, cells)) and (is_first or len(chosen) > 1)


def _is_data(cell: str) -> bool:
    """Tell a value from a name: a number, a time, an address or a long text."""
    word = cell.strip()
    if len(word) > _LONG_CHARS or word.startswith(("http://", "https://")):
        return True
    return word.isdigit() or _is_time(word)


def _is_time(word: str) -> bool:
    if len(word) < 8 or not any(char.isdigit() for char in word):
        return False
    try:
        read_time(word, None)
    except UndecidedDate:
        return True
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without spaces around them, a repeated one with its number."""
    found: list[str] = []
    for place, name in enumerate(names, start=1):
        word = name.strip().removeprefix("\ufeff") or f"column_{place}"
        found.append(f"{word}_{place}" if word in found else word)
    return tuple(found)


def _guess_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """Guess what the columns of a file without a header are, for a person to look over."""
    width = mode(map(len, rows))
    columns = [[row[place] for row in rows if len(row) == width] for place in range(width)]
    left = list(range(width))
    names = [f"column_{place + 1}" for place in left]

    def give(name: str, chosen: int | None) -> None:
        if chosen is not None:
            names[chosen] = name
            left.remove(chosen)

    times = [p for p in left if sum(map(_is_time, columns[p])) * 2 > len(columns[p])]
    numbers = [p for p in left if all(cell.strip().isdigit() for cell in columns[p])]
    give("created_at", next((p for p in times if p not in numbers), next(iter(times), None)))
    give("text", max(left, key=lambda p: sum(map(len, columns[p])), default=None))
    give("id", next((p for p in left if len(set(columns[p])) == len(columns[p])), None))
    give("author", next((p for p in left if not all(c.isdigit() for c in columns[p])), None))
    return names
