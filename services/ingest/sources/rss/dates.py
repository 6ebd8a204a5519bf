"""Dates of feeds. What cannot be read for certain is no date: never today's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import Final

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
