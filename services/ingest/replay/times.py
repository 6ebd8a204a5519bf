"""Times as files write them: recognised where they can mean one moment only."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from core.clock import from_epoch_ms
from core.errors import ConfigError
from core.suggest import did_you_mean

NAMED_FORMATS: Final = ("auto", "iso", "epoch_s", "epoch_ms", "epoch_us", "day_first",
                        "month_first")  # fmt: skip

_MONTHS: Final = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9,
    "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_ZONES_H: Final = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0, "bst": 1, "west": 1, "cet": 1, "cest": 2,
    "eet": 2, "eest": 3, "msk": 3, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7,
    "mdt": -6, "pst": -8, "pdt": -7,
}  # fmt: skip
_ZONE: Final = (
    r"(?P<zone>z|[+-]\d{2}:?\d{2}|[+-]\d{2}|(?:utc|gmt)[+-]\d{1,2}(?::?\d{2})?|[a-z]{2,4})"
)
_CLOCK: Final = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[ap])\.?m\b\.?)?"
)
_AFTER: Final = rf"(?:(?:\s*,\s*|\s+|t){_CLOCK}(?:\s*{_ZONE})?(?:\s+(?:utc|gmt))?)?"
_YEAR_FIRST: Final = re.compile(
    rf"(?P<year>\d{{4}})(?P<sign>[-/.])(?P<month>\d{{1,2}})(?P=sign)(?P<day>\d{{1,2}}){_AFTER}"
)
_NUMERIC: Final = re.compile(
    r"(?P<first>\d{1,2})(?P<sign>[./-])(?P<then>\d{1,2})(?P=sign)"
    rf"(?P<year>\d{{4}}|(?<!-)\d{{2}}){_AFTER}"
)
_COMPACT: Final = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:t?(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})(?P<zone>z)?)?"
)
_NUMBER: Final = re.compile(r"(\d{9,19})(?:\.(\d*))?")
_COMMENT: Final = re.compile(r"\([^()]*\)\s*$")
"""The name of the zone behind its offset, as browsers and mail programs write it."""
_CLOCK_WORD: Final = re.compile(_CLOCK)
_INNER_DASH: Final = re.compile(r"(?<=[a-z0-9])-(?=[a-z])|(?<=[a-z])-(?=\d)")
_WORDS: Final = re.compile(r"[a-z]+|\d+(?:st|nd|rd|th)?|[+-]\d{2}:?\d{2}")
_DAYS: Final = frozenset(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
_FIRST_YEAR, _LAST_YEAR = 1971, 2100


class UndecidedDate(ValueError):
    """Day and month may stand either way, and nothing of the column says which."""


class TimeReader:
    """Reads the times of one column.

    Args:
        time_format: One of `NAMED_FORMATS`, or a pattern of strptime.
        zone_name: IANA name of the zone of times that name none.

    Raises:
        ConfigError: There is no such format or zone.
    """

    def __init__(self, time_format: str, zone_name: str) -> None:
        self.zone = _zone(zone_name)
        self._read = self._reader(time_format)

    def __call__(self, text: str) -> datetime:
        """Return the moment in UTC.

        Raises:
            ValueError, OverflowError: The text is not of the format; `UndecidedDate` if it is
                and can mean two days.
        """
        found = self._read(text)
        return (found if found.tzinfo else found.replace(tzinfo=self.zone)).astimezone(UTC)

    def lacks_zone(self, text: str) -> bool:
        """Tell whether a time says nothing of its zone.

        Raises:
            ValueError, OverflowError: As in reading it.
        """
        return self._read(text).tzinfo is None

    def _reader(self, time_format: str) -> Callable[[str], datetime]:
        if time_format == "auto":
            return lambda text: read_time(text, None)
        if time_format in ("day_first", "month_first"):
            return lambda text: read_time(text, time_format == "day_first")
        if time_format == "iso":
            return datetime.fromisoformat
        if time_format.startswith("epoch_") and time_format in NAMED_FORMATS:
            per_s = {"epoch_s": 1.0, "epoch_ms": 1e3, "epoch_us": 1e6}[time_format]
            return lambda text: _from_number(text, per_s)
        _check_pattern(time_format)
        return lambda text: datetime.strptime(text, time_format)  # noqa: DTZ007 - made aware


def _from_number(text: str, per_s: float) -> datetime:
    if per_s == 1e3 and text.isdigit():
        return from_epoch_ms(int(text))
    return datetime.fromtimestamp(float(text) / per_s, UTC)


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"replay: time_zone = {name!r}: no such zone") from error


def _check_pattern(pattern: str) -> None:
    known = ", ".join(NAMED_FORMATS)
    if "%" not in pattern:
        near = {"epoch": "epoch_s", "unix": "epoch_s", "seconds": "epoch_s", "ms": "epoch_ms"}
        hint = near.get(pattern.lower())
        raise ConfigError(
            f"replay: time_format = {pattern!r}"
            f"{f' (did you mean {hint!r}?)' if hint else did_you_mean(pattern, NAMED_FORMATS)}: "
            f"expected one of {known}, or a pattern such as '%d.%m.%Y %H:%M'"
        )
    try:
        datetime.strptime("", pattern)  # noqa: DTZ007 - only to see whether it is a pattern
    except ValueError as error:
        if "does not match format" not in str(error):
            raise ConfigError(f"replay: time_format = {pattern!r}: {error}") from error
    except re.error as error:
        raise ConfigError(f"replay: time_format = {pattern!r}: {error}") from error


def read_time(text: str, day_first: bool | None) -> datetime:
    """Return the moment that a text names, naive if it names no zone.

    Args:
        text: As a file has it.
        day_first: Whether `03/04/2026` is in April; None refuses what can be read both ways.

    Raises:
        ValueError: It is no time, or one that can mean two days (`UndecidedDate`).

    Example:
        >>> read_time("Sun Mar 01 10:00:00 +0000 2026", None).isoformat()
        '2026-03-01T10:00:00+00:00'
        >>> read_time("13/03/2026 1:05 PM", None).isoformat()
        '2026-03-13T13:05:00'
    """
    try:
        if "-" in text and text[:4].isdigit():
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    low = text.strip().lower()
    number = _NUMBER.fullmatch(low)
    if number:
        return _by_magnitude(number)
    for pattern in (_YEAR_FIRST, _COMPACT):
        match = pattern.fullmatch(low)
        if match:
            return _moment(match, int(match["month"]), int(match["day"]))
    match = _NUMERIC.fullmatch(low)
    if match:
        return _numeric(match, day_first)
    return _in_words(low)


def day_order(text: str) -> str:
    """Return what a date in numbers says of the order of its day and month.

    Returns:
        `day` or `month`: which comes first; `either`: it can be read both ways; "": it is no such
        date, or one that reads the same both ways.

    Example:
        >>> [day_order(f"{date}/2026") for date in ("13/03", "03/13", "03/04", "04/04")]
        ['day', 'month', 'either', '']
    """
    match = _NUMERIC.fullmatch(text.strip().lower())
    if match is None or match["sign"] == ".":
        return ""
    first, then = int(match["first"]), int(match["then"])
    if first > 12 or then > 12:
        return "" if first > 12 and then > 12 else "day" if first > 12 else "month"
    return "" if first == then else "either"


def _numeric(match: re.Match[str], day_first: bool | None) -> datetime:
    first, then = int(match["first"]), int(match["then"])
    if day_first is None:
        order = day_order(match.string)
        if order == "either":
            raise UndecidedDate("day and month can be read both ways")
        # With dots the day comes first everywhere.
        day_first = order != "month"
    return _moment(match, *((then, first) if day_first else (first, then)))


def _by_magnitude(number: re.Match[str]) -> datetime:
    digits, part = number[1], number[2] or ""
    per_s = {9: 1, 10: 1, 12: 10**3, 13: 10**3, 15: 10**6, 16: 10**6, 18: 10**9, 19: 10**9}.get(
        len(digits)
    )
    if per_s is None:
        if len(digits) == 14:
            match = _COMPACT.fullmatch(digits)
            if match:
                return _moment(match, int(match["month"]), int(match["day"]))
        raise ValueError("a number that is no time")
    seconds, rest = divmod(int(digits), per_s)
    micro = rest * 10**6 // per_s if per_s > 1 else int((part + "000000")[:6])
    found = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micro)
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError("a number that is no time of our days")
    return found


def _in_words(low: str) -> datetime:
    """Read a date whose month is a word, in whatever order; every word must be understood."""
    clock = _CLOCK_WORD.search(low)
    rest = f"{low[: clock.start()]} {low[clock.end() :]}" if clock else low
    rest = _COMMENT.sub("", rest)
    month = day = year = None
    zone = ""
    for word in _WORDS.findall(_INNER_DASH.sub(" ", rest)):
        number = word.rstrip("stndrh")
        if word[0] in "+-":
            zone = word
        elif word[:3] in _MONTHS and month is None:
            month = _MONTHS[word[:3]]
        elif number.isdigit() and len(number) == 4 and year is None:
            year = int(number)
        elif number.isdigit() and len(number) <= 2 and day is None:
            day = int(number)
        elif word in _ZONES_H:
            zone = zone or word
        elif word[:3] not in _DAYS and word not in ("at", "of", "the"):
            raise ValueError("no time")
    if month is None or day is None or year is None:
        raise ValueError("no time")
    found = datetime(year, month, day, tzinfo=_offset(zone))
    return found if clock is None else _with_clock(found, clock)


def _moment(match: re.Match[str], month: int, day: int) -> datetime:
    groups = match.groupdict()
    year = int(match["year"])
    year += 2000 if year < 100 else 0
    found = datetime(year, month, day, tzinfo=_offset(groups.get("zone") or ""))
    return _with_clock(found, match) if groups.get("hour") else found


def _with_clock(day: datetime, match: re.Match[str]) -> datetime:
    groups = match.groupdict()
    hour, half = int(groups["hour"]), groups.get("half")
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of half a day")
        hour = hour % 12 + (12 if half == "p" else 0)
    micro = int(((groups.get("part") or "") + "000000")[:6])
    return day.replace(
        hour=hour, minute=int(groups["minute"]), second=int(groups.get("second") or 0),
        microsecond=micro,
    )  # fmt: skip


def _offset(zone: str) -> tzinfo | None:
    if not zone:
        return None
    if zone in _ZONES_H:
        return timezone(timedelta(hours=_ZONES_H[zone]))
    match = re.fullmatch(r"(?:utc|gmt)?([+-])(\d{1,2}):?(\d{2})?", zone)
    if match is None:
        raise ValueError("no such zone")
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
