"""Rows of a file, whatever its format: the fields of a post in a fixed order, or why not."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import msgspec

from core.codec import without_values
from core.errors import ConfigError
from services.ingest.replay.options import FIELDS

Format = Literal["csv", "jsonl", "raw"]

KNOWN_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "id": ("post_id", "id", "tweet_id", "status_id", "comment_id", "uri"),
    "author": ("author", "author_id", "username", "screen_name", "user", "account"),
    "text": ("text", "body", "content", "full_text", "message", "original_text"),
    "time": ("created_at", "claimed_at", "published_at", "timestamp", "time", "date"),
    "lang": ("lang", "language"),
    "reply_to": ("reply_to", "in_reply_to", "parent_id"),
    "repost_of": ("repost_of",),
    "url": ("url", "link"),
}
"""Columns that are taken for a field when the options name none, the likeliest first."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_FIELD_CHARS: Final = 16 * 1024 * 1024


class BadRow(msgspec.Struct, frozen=True):
    """A row that cannot be read at all."""

    raw: bytes
    detail: str


Fields: TypeAlias = Sequence[Any]
"""One value per name in `FIELDS`; None where the file has none."""


def open_bytes(path: Path) -> BinaryIO:
    """Open a file, unpacking gzip by its content, not its name.

    Raises:
        ConfigError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == _GZIP_MAGIC
        return gzip.open(path, "rb") if is_packed else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise ConfigError(f"replay file {path} cannot be read: {error}") from error


def detect_format(path: Path) -> Format:
    """Return `jsonl` if the first character is a brace, else `csv`; `raw` is never guessed."""
    with open_bytes(path) as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    return "jsonl" if start.startswith(b"{") else "csv"


def choose_columns(present: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return field -> column: what the options say, else the likeliest that is there.

    Raises:
        ConfigError: a named column is missing, or there is none for the text.
    """
    chosen: dict[str, str] = {}
    for field, column in wanted.items():
        if column not in present:
            raise ConfigError(
                f"replay: columns.{field} = {column!r} is not in the file; it has "
                + ", ".join(present)
            )
        chosen[field] = column
    for field, candidates in KNOWN_COLUMNS.items():
        if field not in chosen:
            found = next((name for name in candidates if name in present), None)
            if found is not None:
                chosen[field] = found
    if "text" not in chosen:
        raise ConfigError(
            f"replay: no column for the text among {', '.join(present)}; expected columns.text"
        )
    return chosen


def read_csv(path: Path, wanted: Mapping[str, str]) -> Iterator[Fields | BadRow]:
    """Yield the rows of a CSV file (header row, comma, double quotes, newlines inside fields).

    Raises:
        ConfigError: no header, or columns that do not fit.
    """
    csv.field_size_limit(_MAX_FIELD_CHARS)
    with open_bytes(path) as file:
        # Bytes that are not UTF-8 survive as surrogates, so that only their own row is refused.
        text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text)
        header = next(reader, None)
        if not header:
            raise ConfigError(f"replay file {path} is empty: expected a header row")
        columns = choose_columns(header, wanted)
        places = [header.index(columns[f]) if f in columns else None for f in FIELDS]
        width = len(header)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(b"", f"not CSV: {error}")
                continue
            if not row:
                continue  # an empty line
            if len(row) != width:
                yield BadRow(row_bytes(row), f"{len(row)} columns, expected {width}")
                continue
            yield [None if place is None else row[place] for place in places]


def row_bytes(row: Sequence[Any]) -> bytes:
    """Return a row as bytes for a dead letter."""
    cells = ("" if cell is None else str(cell) for cell in row)
    return "\x1f".join(cells).encode("utf-8", "surrogateescape")


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their line ends, empty ones left out."""
    with open_bytes(path) as file:
        for line in file:
            content = line.rstrip(b"\r\n")
            if content:
                yield content


def read_jsonl(path: Path, wanted: Mapping[str, str]) -> Iterator[Fields | BadRow]:
    """Yield the objects of a JSON-lines file; keys are chosen from its first good line."""
    paths: list[list[str] | None] | None = None
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for line in read_lines(path):
        try:
            tree = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(line, f"not a JSON object: {without_values(str(error))}")
            continue
        if paths is None:
            plain = {field: key for field, key in wanted.items() if "." not in key}
            columns = choose_columns(list(tree), plain) | dict(wanted)
            paths = [columns[f].split(".") if f in columns else None for f in FIELDS]
        yield [None if keys is None else _follow(tree, keys) for keys in paths]


def _follow(tree: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree
