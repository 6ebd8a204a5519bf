"""How a CSV file separates and quotes: what cuts its rows as wide as its header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from core.errors import ConfigError

SAMPLE_CHARS: Final = 1 << 18
SEPARATORS: Final[dict[str, str]] = {
    ",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", ":": "colon", "^": "caret",
    "\x1f": "one column", " ": "space",
}  # fmt: skip
NOTHING: Final = "\x1f"
"""Separates what has one column only: it is in no text that people write."""
_BY_NAME: Final = {word: sign for sign, word in SEPARATORS.items()} | {"\\t": "\t", "\\x1f": "\x1f"}
_LIKELY: Final = ",;\t|"
_APOSTROPHES: Final = re.compile(r"\s*'[^'\n]*'(?:[,;\t|]|\r?\n)")
_NAMED: Final = re.compile(r"^sep=(.)\r?\n", re.IGNORECASE)
_MAX_FIELD_CHARS: Final = 16 * 1024 * 1024


class CsvDialect(Struct, frozen=True):
    """How the cells of a file are set apart.

    Attributes:
        delimiter: One character between cells.
        quote: The character around cells that hold separators or line ends; "" means that quotes
            are signs like others.
        escape: The character before a quote inside a cell; "" means that quotes are doubled.
        skip_lines: Lines before the table that say how to read it (`sep=;` of a spreadsheet).
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    skip_lines: int = 0

    def rows(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Read rows; a `csv.Error` of one row does not end the iterator."""
        csv.field_size_limit(_MAX_FIELD_CHARS)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            doublequote=not self.escape,
            escapechar=self.escape or None,
        )


def delimiter_of(text: str) -> str:
    """Return the character that the option `delimiter` means: itself, or its name such as `tab`.

    Raises:
        ConfigError: It is neither.
    """
    found = _BY_NAME.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n\0':
        raise ConfigError(
            f"replay: delimiter = {text!r}: expected one character, or comma, semicolon, tab, pipe"
        )
    return found


def find_dialect(sample: str, delimiter: str = "") -> CsvDialect:
    """Return the dialect of a file.

    Args:
        sample: The start of the file's text, up to `SAMPLE_CHARS`.
        delimiter: What the options say; "" means that it is to be found.
    """
    named = _NAMED.match(sample)
    skip = 1 if named else 0
    body = sample[named.end() :] if named else sample
    delimiter = delimiter or (named[1] if named else "")
    # Apostrophes and backslashes are signs of people's texts before they are signs of CSV.
    quote = "'" if _APOSTROPHES.match(body) else '"'
    best = max(
        (
            CsvDialect(sign, around, escape, skip)
            for sign in delimiter or _LIKELY
            for around in ((quote, "") if '"' in body else (quote,))
            for escape in (("\\", "") if '\\"' in body and '""' not in body else ("",))
        ),
        key=lambda dialect: _fit(body, dialect),
    )
    if best.delimiter not in _first_line(body) and not delimiter:
        # One column, whose texts may hold any sign: nothing separates in its header.
        best = CsvDialect(NOTHING, quote, best.escape, skip)
    unquoted = CsvDialect(best.delimiter, "", "", skip)
    return unquoted if best.quote and _has_loose_quotes(body, best, unquoted) else best


def _has_loose_quotes(body: str, quoted: CsvDialect, unquoted: CsvDialect) -> bool:
    """Tell by a quote that opens a cell and closes none that quotes are signs like others.

    Read with quotes such a cell would swallow the rows after it; without, every line is a row.
    """
    rows = _some_rows(unquoted, body)
    if any(len(row) != len(rows[0]) for row in rows) or len(rows) <= len(_some_rows(quoted, body)):
        return False
    return any(
        cell.startswith('"') and (len(cell) < 2 or not cell.endswith('"'))
        for row in rows
        for cell in row
    )


def _whole_lines(text: str) -> str:
    if len(text) < SAMPLE_CHARS:
        return text
    return text[: text.rfind("\n") + 1] or text


def _first_line(text: str) -> str:
    return text.lstrip("\r\n").partition("\n")[0]


def _fit(body: str, dialect: CsvDialect) -> tuple[float, int, bool]:
    """Return how well a dialect cuts the sample into rows as wide as its header."""
    widths = [len(row) for row in _some_rows(dialect, body)]
    if not widths or widths[0] < 2:
        return (0.0, 0, bool(dialect.quote))
    share = sum(width == widths[0] for width in widths) / len(widths)
    return (round(share, 1), widths[0], bool(dialect.quote))


def _some_rows(dialect: CsvDialect, body: str, most: int = 200) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    try:
        for row in dialect.rows(_whole_lines(body).splitlines(keepends=True)):
            if row:
                rows.append(row)
            if len(rows) == most:
                break
    except csv.Error:
        pass
    return rows
