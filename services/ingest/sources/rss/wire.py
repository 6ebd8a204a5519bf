"""The bytes of a feed as a document that can be parsed, and its dates as times. Pure.

One bad byte or character reference costs one character, not the feed. A date that cannot be read
for certain is none: never today's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import Final

from feedparser.encodings import convert_to_utf8

_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]*\?>")
_OUR_DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>'
# What may stand before the document type; bounded, so that noise is not searched for ever.
_BEFORE_TYPE: Final = re.compile(r"(?:\s+|<\?.{0,2000}?\?>|<!--.{0,20000}?-->){0,50}", re.DOTALL)
_PLAIN_TYPE: Final = re.compile(
    r"""<!DOCTYPE(?:[^\[<>"']{1,200}|"[^"<>]{0,500}"|'[^'<>]{0,500}'){0,20}>""", re.IGNORECASE
)
_REFERENCE: Final = re.compile(r"&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NO_CHARACTER: Final = re.compile("[\ufffe\uffff\ud800-\udfff]")
_ROOT: Final = re.compile(r"<[A-Za-z_]")
_MAX_REFERENCE_DIGITS: Final = 8
_FEW_BYTES: Final = 3

DECLARES_ENTITIES: Final = "the document declares entities, which are not expanded"


def read_document(body: bytes, content_type: str) -> str:
    """Return the text of a feed, without its document type, in which XML allows every character.

    Args:
        body: The body of the answer, decompressed.
        content_type: The header of the answer; its character set counts.

    Raises:
        ValueError: the document declares entities; such are never expanded.
    """
    text = _decoded(body, content_type).removeprefix("\ufeff")
    text = _DECLARATION.sub("", text, count=1)
    text = _without_type(text)
    text = _NO_CHARACTER.sub("\ufffd", _CONTROL.sub(" ", text))
    return _OUR_DECLARATION + _REFERENCE.sub(_allowed, text)


def _decoded(body: bytes, content_type: str) -> str:
    """Return the text: UTF-8 if it is that, whatever is declared, but for a few bytes."""
    is_ascii = body.isascii()
    if not is_ascii and b"\x00" not in body[:4096]:
        told = _damage(body)
        if told is not None:
            return told
    headers = {"content-type": content_type or "application/xml"}
    return convert_to_utf8(headers, body, {}).decode("utf-8", "replace")


def _damage(body: bytes) -> str | None:
    """Return a text in UTF-8 with U+FFFD for what is none; None if it is another encoding."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    text = body.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(not character.isascii() for character in text) - bad
    declared = re.search(rb"encoding=[\"']([A-Za-z0-9._-]+)", body[:200])
    is_declared = declared is None or declared.group(1).lower().replace(b"-", b"") == b"utf8"
    # A text that says it is UTF-8 and has hardly a valid letter of it is mostly Windows-1252.
    if good > bad or (is_declared and bad <= _FEW_BYTES):
        return text
    return None


def _without_type(text: str) -> str:
    """Return a document without a document type that declares nothing.

    Only where the root element follows can nothing have declared an entity. Where something else
    does, whatever looks like a declaration is taken for one, wherever it stands.
    """
    start = _end_of(_BEFORE_TYPE, text, 0)
    end = _end_of(_PLAIN_TYPE, text, start)
    if end > start:
        text = text[:start] + text[end:]
        start = _end_of(_BEFORE_TYPE, text, start)
    if _ROOT.match(text, start) is None and "<!ENTITY" in text:
        raise ValueError(DECLARES_ENTITIES)
    return text


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return start if found is None else found.end()


def _allowed(reference: re.Match[str]) -> str:
    """Return a reference as it stands; instead of one to no character of XML what stands for it."""
    digits = reference.group(1) or reference.group(2)
    if len(digits) > _MAX_REFERENCE_DIGITS:
        return "\ufffd"
    point = int(digits, 16 if reference.group(1) else 10)
    if point > 0x10FFFF or _NO_CHARACTER.match(chr(point)):
        return "\ufffd"
    return " " if _CONTROL.match(chr(point)) else reference.group()


# Zones by their names, hours east of Greenwich; those of North America are known to `email`.
_ZONES: Final = {
    "Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MEZ": 1,
    "CEST": 2, "MESZ": 2, "EET": 2, "SAST": 2, "CAT": 2, "EEST": 3, "MSK": 3, "EAT": 3, "TRT": 3,
    "GST": 4, "PKT": 5, "WIB": 7, "ICT": 7, "HKT": 8, "SGT": 8, "PHT": 8, "AWST": 8, "JST": 9,
    "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "BRT": -3, "ART": -3,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "AKST": -9, "AKDT": -8, "HST": -10,
}  # fmt: skip
_SECONDS: Final = re.compile(r"\d{9,10}(?:\.\d{1,6})?")
_MILLISECONDS: Final = re.compile(r"\d{12,13}")
# 2026/03/05 10:00:00, 2018-02-05 07:09:00 +0000 UTC, 2026-3-5 10:00 CET; day alone, too.
_YEAR_FIRST: Final = re.compile(
    r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})"
    r"(?:[T\s]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?\s*([+-]\d{2}:?\d{2})?\s*([A-Za-z]+)?)?"
)
_RFC_2822: Final = re.compile(
    r"(?:[A-Za-z]{3,9},?\s+)?\d{1,2}\s+[A-Za-z]{3,9}\.?\s+\d{2,4}(?:\s+\d{1,2}:\d{2}(?::\d{2})?"
    r"(?:\s*(?P<offset>[+-]\d{4})(?:\s*\([^)]*\))?|\s+(?P<zone>[A-Za-z]{1,5}))?)?"
)
_MAX_CHARACTERS: Final = 80


def date_of(value: object) -> datetime | None:
    """Return the date that a feed says, in UTC; None for what is none or says no day and year.

    A date without a zone is taken as UTC. A zone whose name is not known makes it no date.

    Example:
        >>> date_of("Thu, 05 Mar 2026 10:00:00 CET").isoformat()
        '2026-03-05T09:00:00+00:00'
        >>> date_of("2026/03/05 10:00:00").isoformat(), date_of("yesterday")
        ('2026-03-05T10:00:00+00:00', None)
    """
    if not isinstance(value, str):
        return None
    text = " ".join(value.split())
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    try:
        return _read(text)
    except (ValueError, OverflowError, OSError):
        return None


def _read(text: str) -> datetime | None:
    if _SECONDS.fullmatch(text):
        return datetime.fromtimestamp(float(text), UTC)
    if _MILLISECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    found = _YEAR_FIRST.fullmatch(text)
    if found is not None:
        return _year_first(found)
    found = _RFC_2822.fullmatch(text)
    if found is not None:
        return _rfc_2822(text, found)
    # Of digits alone Python reads days of weeks, too; no feed means these.
    if not re.match(r"\d{4}-?\d{2}-?\d{2}T", text):
        return None
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)


def _year_first(found: re.Match[str]) -> datetime | None:
    year, _, month, day, hour, minute, second, offset, name = found.groups()
    zone = _offset(offset) if offset else _zone(name or "UTC")
    if zone is None:
        return None
    clock = int(hour or 0), int(minute or 0), int(second or 0)
    return datetime(int(year), int(month), int(day), *clock, tzinfo=zone).astimezone(UTC)


def _rfc_2822(text: str, found: re.Match[str]) -> datetime | None:
    name = found["zone"]
    zone = _zone(name) if name else UTC
    parsed = parsedate_tz(text if found["zone"] is None else text[: found.start("zone")])
    if parsed is None or zone is None:
        return None
    if found["offset"]:
        zone = _offset(found["offset"])
    return datetime(*parsed[:6], tzinfo=zone).astimezone(UTC)


def _offset(text: str) -> timezone:
    digits = text[1:].replace(":", "")
    east = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-east if text[0] == "-" else east)


def _zone(name: str) -> timezone | None:
    hours = _ZONES.get(name.upper())
    return None if hours is None else timezone(timedelta(hours=hours))
