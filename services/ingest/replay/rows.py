"""Rows of a file, whatever its format: the fields of a post in a fixed order, or why not."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias, TypeVar, cast

import msgspec

from services.ingest.replay.dialects import CsvDialect
from services.ingest.replay.json_values import JsonFault, JsonScanner, decode_line
from services.ingest.replay.opening import READ_ERRORS, open_packed
from services.ingest.replay.pages import Found, OddRecord, apart_of, is_list_of_posts, posts_of

MAX_LINE_BYTES: Final = 64 << 20
_Read = TypeVar("_Read")


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


def _until_broken(read: Iterator[_Read], encoding: str = "") -> Iterator[_Read | BadRow]:
    """Yield what is read and, where reading has to end before the file does, why."""
    try:
        yield from read
    except READ_ERRORS as error:
        why = str(error) or type(error).__name__
        yield BadRow(b"", f"the file breaks off before this row: {why}", ends_file=True)
    except UnicodeError as error:
        why = getattr(error, "reason", error)
        yield BadRow(b"", f"not {encoding}: {why}", ends_file=True)


def read_cells(path: Path, encoding: str, dialect: CsvDialect) -> Iterator[list[str] | BadRow]:
    """Yield the rows of a CSV file that have something in them, the header first."""
    return _until_broken(_cells(path, encoding, dialect), encoding)


def _cells(path: Path, encoding: str, dialect: CsvDialect) -> Iterator[list[str] | BadRow]:
    with open_text(path, encoding) as text:
        for _ in range(dialect.skip_lines):
            text.readline()
        reader = dialect.rows(text)
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield BadRow(b"", f"not CSV: {error}")
                continue
            if row is None:
                return
            if any(row):
                yield row


def read_lines(path: Path) -> Iterator[bytes | BadRow]:
    """Yield the lines of a file as they are, without line ends, empty ones left out."""
    return _until_broken(_lines(path))


def _lines(path: Path) -> Iterator[bytes]:
    with open_packed(path).stream as stream:
        while line := stream.readline(MAX_LINE_BYTES):
            if content := line.rstrip(b"\r\n"):
                yield content


def read_json_lines(path: Path, encoding: str, repairs: Counter[str]) -> Iterator[Found | BadRow]:
    """Yield the posts of a file with a JSON value on each line."""
    for line in _until_broken(_utf8_lines(path, encoding), encoding):
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


def _utf8_lines(path: Path, encoding: str) -> Iterator[bytes]:
    if not encoding.startswith("utf-8"):
        with open_text(path, encoding) as text:
            yield from (words.encode("utf-8", "replace") for words in text if words.strip())
        return
    for number, line in enumerate(_lines(path)):
        content = line if number else line.removeprefix(codecs.BOM_UTF8)
        if content:
            yield content


def read_json(path: Path, encoding: str, repairs: Counter[str]) -> Iterator[Found | BadRow]:
    """Yield the posts of a file that is one JSON value, or several of any layout."""
    apart: dict[str, Any] = {}
    for value in _until_broken(_documents(path, encoding, Counter()), encoding):
        if isinstance(value, dict):
            apart |= apart_of(value)
        elif isinstance(value, BadRow):
            break
        if not apart and _is_settled(value):
            break
    for value in _until_broken(_documents(path, encoding, repairs), encoding):
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


def row_bytes(row: Sequence[Any]) -> bytes:
    """Return a row as bytes for a dead record."""
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
