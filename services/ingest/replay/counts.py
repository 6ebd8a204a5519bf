"""How often a post was liked, answered, repeated and quoted, as rows say it. Pure; never raises.

A count is a whole number. What a page shows rounded (`19.4K`) is taken and told as a repair; what
says nothing (`nan`, `-`, an empty cell) is unknown, never 0; all else is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from msgspec import Struct

from services.ingest.replay.rows import row_bytes
from services.ingest.replay.times import TimeReader
from services.ingest.sources.records import MAX_COUNT
from services.ingest.sources.replay.options import COUNT_FIELDS, COUNTS_TIME

OF_ANOTHER: Final = "repost"
"""Why counts are left out: the row repeats another post, whose counts they are."""

_NOTHING: Final = frozenset(
    ("", "-", "–", "—", "?", "nan", "none", "null", "nil", "na", "n/a", "#n/a", "<na>", "unknown")
)
"""What tables have where a count is not known."""
_DIGITS: Final = re.compile(r"\d+")
_NEVER_HALF: Final = re.compile(r"(\d+)\.0*")
_GROUPED: Final = re.compile(
    r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:[ '’\u00a0\u2009\u202f]\d{3})+"
)
"""Thousands apart; one point alone may be a fraction."""
_ROUNDED: Final = re.compile(r"(\d+)(?:[.,](\d{1,2}))?\s?([kmb万亿])")
_UNITS: Final = {"k": 10**3, "m": 10**6, "b": 10**9, "万": 10**4, "亿": 10**8}
_TOTALS: Final = ("count", "total", "total_count", "totalCount", "totalItems", "summary")
"""Where objects that stand for a count have it."""
_MAX_WRAPPED: Final = 2
_UNREADABLE: Final = (ValueError, OverflowError, OSError)

Totals: TypeAlias = tuple[int | None, ...]
"""Likes, replies, reposts, quotes, as in `COUNT_FIELDS`; None where unknown."""


class RowCounts(Struct, frozen=True, array_like=True):
    """What a row says of the counts of its post.

    Attributes:
        totals: The counts.
        at: When they were counted, in UTC; None if the row does not say.
        rounded: How many of them were written rounded.
        fault: What is wrong with one of them, which is left out; "" for nothing.
        raw: The values as the row has them, if one is wrong.
        withheld: Why none of them is sent; "" if they are.
    """

    totals: Totals = (None,) * len(COUNT_FIELDS)
    at: datetime | None = None
    rounded: int = 0
    fault: str = ""
    raw: bytes = b""
    withheld: str = ""

    @property
    def are_known(self) -> bool:
        """True if there is a count to send."""
        return any(total is not None for total in self.totals)


class NoCount(ValueError):
    """Why a value is no count; says nothing of the value."""


class CountsReader:
    """Reads the counts of rows, and the times of these counts.

    Args:
        time_format: The form of the file's times; a time of counts may have any other that can
            mean one moment only.
        time_zone: The IANA name of the zone of times that name none.
    """

    def __init__(self, time_format: str, time_zone: str) -> None:
        self._times = (TimeReader(time_format, time_zone), TimeReader("auto", time_zone))

    def __call__(
        self, values: Sequence[Any], claimed: datetime | None, *, is_repost: bool
    ) -> RowCounts | None:
        """Return what a row says, None if it says nothing of counts.

        Args:
            values: What it has for each of `COUNT_FIELDS`, then the time of the counts as text.
            claimed: The time of the post, None if the row does not say.
            is_repost: Whether the row repeats another post.
        """
        if all(value is None or value == "" for value in values[:-1]):
            return None
        found = [_read(name, value) for name, value in zip(COUNT_FIELDS, values, strict=False)]
        fault = next((fault for _, _, fault in found if fault), "")
        at, fault_of_time = self._time(values[-1], claimed)
        counts = RowCounts(
            # Counts of nobody knows when are no outcome.
            tuple(None if fault_of_time else total for total, _, _ in found),
            at,
            sum(is_rounded for _, is_rounded, _ in found),
            fault_of_time or fault,
            row_bytes(values) if fault_of_time or fault else b"",
            OF_ANOTHER if is_repost else "",
        )
        return counts if counts.are_known or counts.fault else None

    def _time(self, value: Any, claimed: datetime | None) -> tuple[datetime | None, str]:
        text = str(value or "").strip()
        if text.lower() in _NOTHING:
            return None, ""
        name = f"the {COUNTS_TIME} {text[:40]!r}"
        for read in self._times:
            try:
                at = read(text)
            except _UNREADABLE:
                continue
            if claimed is not None and at < claimed:
                return None, f"{name}: before the post"
            return at, ""
        return None, f"{name}: no time that can be read"


def _read(name: str, value: Any) -> tuple[int | None, bool, str]:
    """Return the count, whether it was written rounded, and what is wrong with it."""
    try:
        total, is_rounded = read_count(value)
    except NoCount as error:
        return None, False, f"the {name} {str(value)[:40]!r}: {error}"
    return total, is_rounded, ""


def read_count(value: Any) -> tuple[int | None, bool]:
    """Return a count and whether it was written rounded; None if the value says nothing.

    Raises:
        NoCount: The value is no count.

    Example:
        >>> [read_count(value) for value in ("1,204", 12.0, "19.4K", "nan")]
        [(1204, False), (12, False), (19400, True), (None, False)]
    """
    for _ in range(_MAX_WRAPPED):
        if isinstance(value, dict):
            value = next((value[key] for key in _TOTALS if key in value), None)
    if value is None or isinstance(value, dict | list):  # the things themselves, not how many
        return None, False
    if isinstance(value, bool):
        raise NoCount("a truth value")
    if isinstance(value, float):
        if not value.is_integer():  # infinite numbers and NaN never get here
            raise NoCount("no whole number" if value >= 0 else "below 0")
        value = int(value)
    total, is_rounded = (value, False) if isinstance(value, int) else _from_text(str(value))
    if total is not None and not 0 <= total <= MAX_COUNT:
        raise NoCount("below 0" if total < 0 else "larger than any count")
    return total, is_rounded


def _from_text(text: str) -> tuple[int | None, bool]:
    word = text.strip().lower()
    if word in _NOTHING:
        return None, False
    if len(word) > 32:
        raise NoCount("no count")
    if _DIGITS.fullmatch(word) or _GROUPED.fullmatch(word):
        return int(re.sub(r"\D", "", word)), False
    whole = _NEVER_HALF.fullmatch(word)
    if whole:
        return int(whole[1]), False
    rounded = _ROUNDED.fullmatch(word)
    if rounded:
        unit, part = _UNITS[rounded[3]], rounded[2] or "0"
        return int(rounded[1]) * unit + int(part) * unit // 10 ** len(part), True
    raise NoCount(_why(word))


def _why(word: str) -> str:
    try:
        number = float(word)
    except ValueError:
        return "no count"
    return "below 0" if number < 0 else "no whole number"
