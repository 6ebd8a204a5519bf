"""Time is passed in, never taken: a system clock for processes, a manual one for tests."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MS: Final = timedelta(milliseconds=1)


class Clock(Protocol):
    """What the time is and how to wait; both replaced together in tests."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait for `delay_s` seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic seconds of this machine."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Wait for `delay_s` seconds."""
        await asyncio.sleep(delay_s)


class ManualClock:
    """A clock that moves only when told to; `sleep` advances it at once.

    Example:
        >>> clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        >>> clock.advance(90)
        >>> clock.now().isoformat()
        '2026-01-01T00:01:30+00:00'
    """

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start must be an aware datetime, got {start!r}")
        self._start = start.astimezone(UTC)
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Return start plus everything advanced so far."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed_s

    def advance(self, delay_s: float) -> None:
        """Move time on by `delay_s` seconds; a negative value is refused, as time never falls."""
        if delay_s < 0:
            raise ValueError(f"time does not go back (advance by {delay_s} s)")
        self._elapsed_s += delay_s

    async def sleep(self, delay_s: float) -> None:
        """Advance by `delay_s` and let other tasks run once."""
        self.advance(max(0.0, delay_s))
        await asyncio.sleep(0)


def epoch_ms(at: datetime) -> int:
    """Return milliseconds since 1970 (UTC) of an aware time, rounded down.

    Integer arithmetic on purpose: a float of seconds loses the last microsecond, and a pane
    boundary must not depend on it.

    Example:
        >>> epoch_ms(datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
        60000
    """
    return (at - EPOCH) // _ONE_MS


def from_epoch_ms(ms: int) -> datetime:
    """Return the aware UTC time of milliseconds since 1970.

    Example:
        >>> from_epoch_ms(60000).isoformat()
        '1970-01-01T00:01:00+00:00'
    """
    return EPOCH + timedelta(milliseconds=ms)
