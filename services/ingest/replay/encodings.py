"""Which characters a file's bytes are, as far as they say it; else the option `encoding` does."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Final

from core.errors import ConfigError
from core.suggest import did_you_mean
from services.ingest.replay.opening import READ_ERRORS, open_packed
from services.ingest.sources.replay.options import NeedsOption

_CHUNK_BYTES: Final = 1 << 20
_MAX_LOOKED_BYTES: Final = 64 << 20
"""A file that is ASCII for so long is taken for UTF-8; rows that are not are refused one by one."""
_MARKS: Final[tuple[tuple[bytes, str], ...]] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN: Final = frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýœŒ“”„‘’–—…€«»°§£¡¿©®™·•´ºª½\xa0"
)
"""What texts in Western Europe's languages have beyond ASCII. Without Š, Ž, Ÿ, ž, š, þ and ÿ, which
is what other encodings' letters become there."""
_BAD_RUN: Final = re.compile("[\udc80-\udcff]+")
_TO_BE_NAMED: Final = ("cp1251", "cp1250", "shift_jis", "gb18030", "euc_kr", "cp1256", "cp1253")
_BINARY_BYTES: Final = 1 << 16
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_WORD: Final = re.compile(r"[^\W\d_]+")


def find_encoding(path: Path) -> str:
    """Return the name of a file's encoding: UTF-8, UTF-16, UTF-32 or cp1252.

    Windows' cp1252 is recognised only where nothing is valid UTF-8 and everything beyond ASCII
    is what Western words have, so that no other alphabet is misread.

    Raises:
        ConfigError: It is another one, which only a person can say.
    """
    packed = open_packed(path)
    try:
        with packed.stream as stream:
            chunk = stream.read(_CHUNK_BYTES)
            for mark, name in _MARKS:
                if chunk.startswith(mark):
                    return name
            wide = _wide_without_mark(chunk[:4096])
            if wide:
                return wide
            looked = len(chunk)
            while chunk.isascii():
                chunk = stream.read(_CHUNK_BYTES)
                looked += len(chunk)
                if not chunk or looked > _MAX_LOOKED_BYTES:
                    return "utf-8"
    except READ_ERRORS:
        return "utf-8"  # what can be read of a damaged file is read, and then the damage told
    return _of_bytes(path, chunk)


def known_encoding(name: str) -> str:
    """Return the codec's own name of an encoding.

    Raises:
        ConfigError: There is none of that name.
    """
    try:
        found = codecs.lookup(name).name
        "".encode(found)
    except (LookupError, ValueError) as error:
        hint = did_you_mean(name, ("utf-8", "utf-16", "cp1252", "latin-1", "cp1251", "shift_jis"))
        raise ConfigError(f"replay: encoding = {name!r}: no such encoding{hint}") from error
    return "utf-8-sig" if found == "utf-8" else found


def _wide_without_mark(start: bytes) -> str:
    """Tell UTF-16 by every second byte of ASCII text being zero."""
    if len(start) < 4:
        return ""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    half = len(start) // 2
    if odd > half * 0.6 and even < half * 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.6 and odd < half * 0.1 else ""


def _of_bytes(path: Path, chunk: bytes) -> str:
    start = chunk[:_BINARY_BYTES]
    if len(_CONTROLS.findall(start)) > max(4, len(start) // 50):
        raise ConfigError(
            f"replay: {path.name} is no text: expected CSV or JSON, plain or packed "
            "(gzip, zip, zstd, bzip2, xz)"
        )
    text = chunk.decode("utf-8", "surrogateescape")
    bad = _BAD_RUN.findall(text)
    if len(chunk) == _CHUNK_BYTES and bad and text.endswith(bad[-1]):
        bad.pop()  # a character cut at the end of what was read
    good = sum(char > "\x7f" and not "\udc80" <= char <= "\udcff" for char in text)
    if len(bad) <= good:
        return "utf-8"
    if _is_western(chunk):
        return "cp1252"
    bad_lines = sum(_BAD_RUN.search(line) is not None for line in text.splitlines())
    is_stray = bad_lines == 1 or bad_lines * 10 <= text.count("\n")
    if is_stray and all(len(run) == 1 for run in bad):
        return "utf-8"  # their rows are refused one by one
    raise NeedsOption(
        f"replay: {path.name} is not UTF-8, and which encoding it has its bytes do not tell; name "
        "it (Cyrillic is cp1251, Central European cp1250, Chinese gb18030, Japanese shift_jis, "
        "Western European cp1252)",
        (f"encoding={_likeliest(chunk)}",),
    )


def _likeliest(chunk: bytes) -> str:
    """Return the encoding that is named first to a person; a hint, no more."""
    from charset_normalizer import from_bytes  # only a file that is refused pays for it

    found = from_bytes(chunk, cp_isolation=list(_TO_BE_NAMED)).best()
    return found.encoding if found else "cp1252"


def _is_western(chunk: bytes) -> bool:
    try:
        text = chunk.decode("cp1252")
    except UnicodeDecodeError:
        return False
    if not {char for char in text if char > "\x7f"} <= _WESTERN:
        return False
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    beyond = sum(char > "\x7f" for word in words for char in word if len(word) > 1)
    letters = sum(len(word) for word in words if len(word) > 1)
    return beyond * 2 <= letters
