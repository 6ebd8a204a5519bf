"""Ids of statuses as places in a timeline. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from core.clock import EPOCH, epoch_ms

_SNOWFLAKE_DIGITS: Final = range(15, 21)
"""Mastodon's ids are 48 bits of milliseconds and 16 of a sequence; other servers have others."""


def order(status_id: str) -> tuple[int, str]:
    """Return the key by which ids of one server rise with time."""
    return (len(status_id), status_id)


def later(one: str, other: str) -> str:
    """Return the later of two ids; "" is before all."""
    return one if order(one) >= order(other) else other


def time_of_id(status_id: str) -> datetime | None:
    """Return when a status was written, by its id; None if the id does not say.

    Example:
        >>> time_of_id("104009345973121628").isoformat(timespec="seconds")
        '2020-04-16T16:45:09+00:00'
    """
    if (
        len(status_id) not in _SNOWFLAKE_DIGITS
        or not status_id.isascii()
        or not status_id.isdigit()
    ):
        return None
    at = EPOCH + timedelta(milliseconds=int(status_id) >> 16)
    return at.astimezone(UTC) if 2010 < at.year < 2200 else None


def rewound(status_id: str, by_s: float) -> str:
    """Return the id of so many seconds earlier; the same id if it has no time in it."""
    at = time_of_id(status_id)
    if at is None or by_s <= 0:
        return status_id
    return str((epoch_ms(at) - int(by_s * 1000)) << 16)
