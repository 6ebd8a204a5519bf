"""Lengths of time as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

DURATION: Final = r"^([0-9]{1,9})([smhd]?)$"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "": 1}


def seconds_of(text: str) -> int:
    """Return the seconds of "90", "90s", "5m", "2h" or "1d".

    Raises:
        ValueError: Anything else, or zero.

    Example:
        >>> seconds_of("5m"), seconds_of("90")
        (300, 90)
    """
    found = re.fullmatch(DURATION, text.strip())
    if not found or int(found[1]) == 0:
        raise ValueError(f"{text!r}: expected a length such as 90s, 5m, 2h or 1d")
    return int(found[1]) * _UNITS[found[2]]


def said_length(seconds: int) -> str:
    """Return a length of time for people.

    Example:
        >>> said_length(900), said_length(7_200), said_length(90), said_length(172_800)
        ('15 minutes', '2 hours', '90 seconds', '2 days')
    """
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            count = seconds // size
            return f"{count:,} {name}{'' if count == 1 else 's'}"
    return str(timedelta(seconds=seconds))
