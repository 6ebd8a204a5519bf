"""Rows of a file, whatever its format: the fields of a post in a fixed order, or why not."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias, cast

import msgspec

from services.ingest.replay.dialects import CsvDialect
from services.ingest.replay.json_values import JsonFault, JsonScanner, decode_line
from services.ingest.replay.opening import READ_ERRORS, open_packed
from services.ingest.replay.shapes import Found, OddRecord, is_list_of_posts, posts_of
from services.ingest.replay.tweets import apart_of

MAX_LINE_BYTES: Final = 64 << 20


class BadRow(msgspec.Struct, frozen=True):
    """A row that cannot be read at all.

    Attributes:
        raw: Its bytes, as far as they are there.
        detail: Why, without its text.
        ends_file: Nothing after it could be read.
    """

    raw: bytes
    detail: str
    ends_file: bool = False


Fields: TypeAlias = Sequence[Any]
"""One value per name in `FIELDS`; None where the file has none."""


def open_text(path: Path, encoding: str) -> TextIO:
    """Open a file as text; bytes that are not of the encoding spoil only their own row."""
    # In UTF-8 they survive as surrogates, so that their row is refused; others have no such way.
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    stream = cast("Any", open_packed(path).stream)
    return io.TextIOWrapper(stream, encoding, errors=errors, newline="")


def read_cells(path: Path, encoding: str, dialect: CsvDialect) -> Iterator[list[str] | BadRow]:
    """Yield the rows of a CSV file that have something in them, the header first."""
    with open_text(path, encoding) as text:
        for _ in range(dialect.skip_lines):
            text.readline()
        reader = dialect.rows(text)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(b"", f"not CSV: {error}")
            except READ_ERRORS as error:
                yield _broken_off(error)
                return
            except UnicodeError as error:
                yield BadRow(b"", f"not {encoding}: {error.reason}", ends_file=True)  # type: ignore[attr-defined]
                return
            else:
                if any(row):
                    yield row


def read_lines(path: Path) -> Iterator[bytes | BadRow]:
    """Yield the lines of a file as they are, without line ends, empty ones left out."""
    with open_packed(path).stream as stream:
        while True:
            try:
                line = stream.readline(MAX_LINE_BYTES)
            except READ_ERRORS as error:
                yield _broken_off(error)
                return
            if not line:
                return
            content = line.rstrip(b"\r\n")
            if content:
                yield content


def read_json_lines(path: Path, encoding: str, repairs: Counter[str]) -> Iterator[Found | BadRow]:
    """Yield the posts of a file with a JSON value on each line."""
    for line in _utf8_lines(path, encoding):
        if isinstance(line, BadRow):
            yield line
            continue
        try:
            value = decode_line(line, repairs)
        except JsonFault as fault:
            yield BadRow(line, f"not a JSON object: {fault}")
            continue
        for found in posts_of(value):
            yield BadRow(line, found.detail) if isinstance(found, OddRecord) else found


def read_json(path: Path, encoding: str, repairs: Counter[str]) -> Iterator[Found | BadRow]:
    """Yield the posts of a file that is one JSON value, or several of any layout."""
    apart: dict[str, Any] = {}
    for value in _documents(path, encoding, Counter()):
        if isinstance(value, dict):
            apart |= apart_of(value)
        elif isinstance(value, BadRow):
            break
        if not apart and _is_settled(value):
            break
    for value in _documents(path, encoding, repairs):
        if isinstance(value, BadRow):
            yield value
        elif not (isinstance(value, dict) and _is_leftover(value)):
            for found in posts_of(value, apart):
                if isinstance(found, OddRecord):
                    yield BadRow(row_bytes([found.value]), found.detail)
                else:
                    yield found


def _is_settled(value: Any) -> bool:
    """Tell by a post whether its file can name authors apart: only then it is read twice."""
    return isinstance(value, dict) and "author_id" not in value and "includes" not in value


def _is_leftover(value: dict[str, Any]) -> bool:
    """Tell what is left of a page when its posts were taken out of it."""
    return "includes" in value and "data" not in value


def _documents(path: Path, encoding: str, repairs: Counter[str]) -> Iterator[Any]:
    with open_text(path, encoding) as text:
        try:
            yield from JsonScanner(text, repairs).documents(is_list_of_posts)
        except JsonFault as fault:
            yield BadRow(b"", str(fault), ends_file=True)
        except READ_ERRORS as error:
            yield _broken_off(error)
        except UnicodeError as error:
            yield BadRow(b"", f"not {encoding}: {error}", ends_file=True)


def _utf8_lines(path: Path, encoding: str) -> Iterator[bytes | BadRow]:
    if encoding.startswith("utf-8"):
        is_first = True
        for line in read_lines(path):
            if is_first and isinstance(line, bytes):
                line = line.removeprefix(b"\xef\xbb\xbf")
            is_first = False
            if line:
                yield line
        return
    with open_text(path, encoding) as text:
        try:
            for words in text:
                if words.strip():
                    yield words.encode("utf-8", "replace")
        except READ_ERRORS as error:
            yield _broken_off(error)
        except UnicodeError as error:
            yield BadRow(b"", f"not {encoding}: {error}", ends_file=True)


def _broken_off(error: Exception) -> BadRow:
    why = str(error) or type(error).__name__
    return BadRow(b"", f"the file breaks off before this row: {why}", ends_file=True)


def row_bytes(row: Sequence[Any]) -> bytes:
    """Return a row as bytes for a dead letter."""
    return b"\x1f".join(map(_cell_bytes, row))


def _cell_bytes(cell: Any) -> bytes:
    if cell is None:
        return b""
    if isinstance(cell, str):
        return cell.encode("utf-8", "surrogateescape")
    try:
        return msgspec.json.encode(cell)
    except (TypeError, ValueError, RecursionError):
        return repr(type(cell)).encode()
