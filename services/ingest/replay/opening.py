"""The bytes of a file, whatever packs them; what is no text is refused by what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, NamedTuple, cast

import zstandard

from core.errors import ConfigError

_MAX_PACKINGS: Final = 4
_CHUNK_BYTES: Final = 1 << 18
_MARK_BYTES: Final = 512
"""Of the start of a file, which says what it is."""
_MAX_ZSTD_WINDOW: Final = 1 << 31  # Reddit's dumps are packed with --long=31

READ_ERRORS: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading raises when packed data are damaged or cut; `OSError` includes gzip's own."""

_FOREIGN: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel or Word file (.xls, .doc)",
     "open it and save it as CSV UTF-8"),
    (b"PAR1", "Parquet file", "convert it: duckdb -c \"COPY 'FILE' TO 'posts.csv'\""),
    (b"ARROW1", "Arrow file", "convert it to CSV or JSON lines"),
    (b"SQLite format 3\0", "SQLite database", "export its table: sqlite3 -csv -header FILE"),
    (b"%PDF", "PDF file", "export the posts as CSV or JSON lines"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive", "unpack it and give the file inside"),
    (b"Rar!\x1a\x07", "RAR archive", "unpack it and give the file inside"),
    (b"\x89PNG", "PNG picture", "export the posts as CSV or JSON lines"),
    (b"\xff\xd8\xff", "JPEG picture", "export the posts as CSV or JSON lines"),
    (b"version https://git-lfs", "Git LFS pointer", "fetch the file itself: git lfs pull"),
)  # fmt: skip
_MARKUP: Final[tuple[tuple[bytes, str], ...]] = (
    (b"<!doctype html", "web page"),
    (b"<html", "web page"),
    (b"<?xml", "XML file"),
    (b"<rss", "XML file"),
)
_EVENTS: Final = re.compile(rb"(?::[^\n]*\r?\n\s*)*(?:event|data|retry): ?\S")
_CHOSEN_MEMBERS: Final = ("data/tweets.js", "data/tweet.js", "tweets.js", "outbox.json")
"""Of the archives that platforms hand out: the file with the posts."""
_NOT_POSTS: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db")


class PackedFile(NamedTuple):
    """A file opened for reading.

    Attributes:
        stream: The unpacked bytes.
        packings: How it was packed, outermost first, such as `gzip`.
    """

    stream: BinaryIO
    packings: tuple[str, ...]


class _Unpacked(io.RawIOBase):
    """What can still be unpacked before data that are cut or damaged, and only then the error.

    Args:
        pieces: The unpacked bytes, none of them empty but the last.
        opened: What is closed with it.
    """

    def __init__(self, pieces: Iterator[bytes], *opened: IO[bytes]) -> None:
        self._pieces = pieces
        self._opened = opened
        self._ready = memoryview(b"")
        self._error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._error is not None:
            raise self._error
        found = 0
        try:
            while found < min(_MARK_BYTES, len(buffer)):
                self._ready = self._ready or memoryview(next(self._pieces, b""))
                if not self._ready:
                    break
                size = min(len(buffer) - found, len(self._ready))
                buffer[found : found + size] = self._ready[:size]
                self._ready = self._ready[size:]
                found += size
        except READ_ERRORS as error:
            if not found:
                raise
            self._error = error
        return found

    def close(self) -> None:
        for one in self._opened:
            one.close()
        super().close()


def _unpacked_by(unpacker: Any, packed: IO[bytes]) -> BinaryIO:
    """Return what a file of the standard library unpacks, or a generator of pieces yields."""
    is_file = hasattr(unpacker, "read1")
    pieces = iter(lambda: unpacker.read1(_CHUNK_BYTES), b"") if is_file else unpacker
    return io.BufferedReader(_Unpacked(pieces, unpacker, packed), _CHUNK_BYTES)


def _zstd_pieces(packed: BinaryIO) -> Iterator[bytes]:
    """Unpack frames of zstd one after the other; a last one that is cut is an error."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
    frame = unpacker.decompressobj()
    is_inside = False
    while chunk := (frame.unused_data if frame.eof else b"") or packed.read(_CHUNK_BYTES // 4):
        if frame.eof:
            frame = unpacker.decompressobj()
        try:
            piece = frame.decompress(chunk)
        except zstandard.ZstdError as error:
            raise EOFError(f"zstd data are damaged: {error}") from error
        is_inside = not frame.eof
        if piece:
            yield piece
    if is_inside:
        raise EOFError("zstd data end in the middle of a frame")


_PACKINGS: Final[tuple[tuple[bytes, str, Callable[[BinaryIO], Any]], ...]] = (
    (b"\x1f\x8b", "gzip", lambda raw: gzip.GzipFile(fileobj=raw, mode="rb")),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\0", "xz", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd_pieces),
)


def open_packed(path: Path) -> PackedFile:
    """Open a file and unpack it by its content, not its name.

    Raises:
        ConfigError: It cannot be opened, or it is of a kind that has no lines of posts.
    """
    if path.is_dir():
        raise ConfigError(f"replay: {path} is a folder: expected a file of posts")
    try:
        stream: BinaryIO = path.open("rb", buffering=_CHUNK_BYTES)
    except OSError as error:
        raise ConfigError(f"replay file {path} cannot be read: {error}") from error
    try:
        return _unpacked(path, stream)
    except READ_ERRORS as error:
        stream.close()
        raise ConfigError(f"replay file {path} cannot be read: {error}") from error
    except BaseException:
        stream.close()
        raise


def _unpacked(path: Path, stream: BinaryIO) -> PackedFile:
    packings: list[str] = []
    while len(packings) < _MAX_PACKINGS:
        start = _peek(stream)
        _refuse_foreign(path, start)
        if start.startswith(b"PK\x03\x04"):
            stream = _unpacked_by(_member(path, stream, is_outermost=not packings), stream)
            packings.append("zip")
            continue
        packing = next((p for p in _PACKINGS if start.startswith(p[0])), None)
        if packing is None:
            break
        packings.append(packing[1])
        stream = _unpacked_by(packing[2](stream), stream)
    return PackedFile(stream, tuple(packings))


def _peek(stream: BinaryIO) -> bytes:
    return cast("io.BufferedReader", stream).peek(_MARK_BYTES)[:_MARK_BYTES]


def _refuse_foreign(path: Path, start: bytes) -> None:
    for magic, kind, way in _FOREIGN:
        if start.startswith(magic):
            raise _foreign(path, kind, way)
    head = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, kind in _MARKUP:
        if head.startswith(magic):
            raise _foreign(path, kind, "feeds are read by the source rss; else export CSV or JSON")
    if _EVENTS.match(head):
        raise _foreign(
            path,
            "recording of server-sent events",
            "keep the JSON of it: sed -n 's/^data: *//p' FILE > posts.jsonl",
        )
    if b"\xa2eroots" in start[:16]:
        raise _foreign(
            path,
            "CAR file (a Bluesky repository)",
            "read it as JSON: `goat repo unpack FILE`, or fetch app.bsky.feed.getAuthorFeed",
        )
    if start[257:262] == b"ustar":
        raise _foreign(path, "tar archive", "unpack it (tar xf) and give the file with the posts")


def _foreign(path: Path, kind: str, way: str) -> ConfigError:
    article = "an" if kind[0] in "AEIX" else "a"
    return ConfigError(f"replay: {path.name} is {article} {kind}: {way}")


def _member(path: Path, stream: BinaryIO, *, is_outermost: bool) -> IO[bytes]:
    """Open the one file of a zip archive that has the posts."""
    if not is_outermost:
        raise _foreign(path, "zip archive inside another file", "unpack the outer one first")
    archive = zipfile.ZipFile(stream)
    names = [
        info.filename
        for info in archive.infolist()
        if not info.is_dir() and not any(part in info.filename for part in _NOT_POSTS)
    ]
    if "xl/workbook.xml" in names:
        raise _foreign(path, "Excel workbook (.xlsx)", "open it and save it as CSV UTF-8")
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise _foreign(path, "office document", "open it and save its table as CSV UTF-8")
    chosen = [n for n in names if n.endswith(_CHOSEN_MEMBERS)] if len(names) > 1 else names
    if len(chosen) != 1:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        way = "unpack it and give one of them" if names else "expected one with a file of posts"
        raise _foreign(path, f"zip archive of {len(names)} files ({listed})", way)
    if archive.getinfo(chosen[0]).flag_bits & 1:
        raise _foreign(path, "zip archive with a password", "unpack it and give the file inside")
    return archive.open(chosen[0])
