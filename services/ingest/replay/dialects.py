"""How a CSV file separates and quotes: DuckDB's sniffer, checked against the file's own rows."""

from __future__ import annotations

import csv
import re
import tempfile
from collections import Counter
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
_LIKELY: Final = (",", ";", "\t", "|")
_SAID: Final = re.compile(r"^sep=(.)\r?\n", re.IGNORECASE)
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
    said = _SAID.match(sample)
    skip = 1 if said else 0
    body = sample[said.end() :] if said else sample
    if said and not delimiter:
        delimiter = said.group(1)
    found = _sniffed(body, delimiter)
    quotes = (found.quote,) if '"' not in body else (found.quote, "")
    signs = {delimiter} if delimiter else {found.delimiter, *_LIKELY}
    best = max(
        (CsvDialect(sign, quote, found.escape, skip) for sign in signs for quote in quotes),
        key=lambda dialect: _fit(body, dialect, found),
    )
    if best.delimiter not in _first_line(body) and not delimiter:
        # One column, whose texts may hold any sign: nothing separates in its header.
        best = CsvDialect(NOTHING, found.quote, found.escape, skip)
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


def _sniffed(body: str, delimiter: str) -> CsvDialect:
    import duckdb  # takes a twentieth of a second: only who reads a CSV file pays for it

    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="") as file:
        file.write(_whole_lines(body).encode("utf-8", "replace").decode())
        file.flush()
        given = ", delim = ?" if delimiter else ""
        try:
            with duckdb.connect(config={"threads": 1}) as connection:
                row = connection.execute(
                    f"SELECT Delimiter, Quote, Escape FROM sniff_csv(?{given})",  # noqa: S608
                    [file.name, delimiter] if delimiter else [file.name],
                ).fetchone()
        except duckdb.Error:
            row = None
    if row is None:
        return CsvDialect(delimiter or ",")
    sign, quote, escape = ("" if cell in (None, "(empty)", "\x00") else str(cell) for cell in row)
    # Apostrophes and backslashes are signs of people's texts before they are signs of CSV.
    quote = "'" if quote == "'" and body.lstrip().startswith("'") else '"'
    is_escaped = escape == "\\" and '\\"' in body and '""' not in body
    return CsvDialect(delimiter or sign or ",", quote, "\\" if is_escaped else "")


def _whole_lines(text: str) -> str:
    if len(text) < SAMPLE_CHARS:
        return text
    return text[: text.rfind("\n") + 1] or text


def _first_line(text: str) -> str:
    return text.lstrip("\r\n").partition("\n")[0]


def _fit(body: str, dialect: CsvDialect, found: CsvDialect) -> tuple[float, int, bool, bool]:
    """Return how well a dialect cuts the sample into rows as wide as its header."""
    widths = [len(row) for row in _some_rows(dialect, body)]
    is_found = dialect.delimiter == found.delimiter
    if not widths or widths[0] < 2:
        return (0.0, 0, bool(dialect.quote), is_found)
    share = sum(width == widths[0] for width in widths) / len(widths)
    return (round(share, 1), widths[0], bool(dialect.quote), is_found)


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


def usual_width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many cells most rows have, 0 of none."""
    common = Counter(len(row) for row in rows).most_common(1)
    return common[0][0] if common else 0
