"""Where a Jetstream session goes on, and whether what the server then sends fits.

A server numbers its events; the numbers of another server, or of one that was set up anew, mean
something else. Times mean the same everywhere, but only roughly. So: by number on the server that
gave it, by time elsewhere, and the first event received tells whether the server did as asked.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from core.errors import ConfigError

_TOLERANCE_US: Final = 1_000_000
"""Servers see the same event at times that differ by this much."""
_CHECKPOINT_US: Final = 500_000


class Place(Struct, frozen=True, array_like=True, gc=False):
    """The cursor: one event of one server.

    Attributes:
        host: The server that numbered it.
        seq: Its number there; 0 if the server gives none.
        us: When that server saw it, microseconds since 1970.
        number: Our own count of events, rising for ever.
    """

    host: str
    seq: int
    us: int
    number: int


class Resume(Struct, frozen=True):
    """How a session starts.

    Attributes:
        by: What `cursor` is; `live` and `start` do not go on anywhere.
        cursor: The number or microseconds, inclusive; 0 for none.
        us: By number: the time that the event of this number had.
    """

    by: Literal["seq", "time", "live", "start"]
    cursor: int = 0
    us: int = 0


class Renumbered(Exception):
    """The server's numbers are not those that we know."""


class Resumption:
    """Keeps the last place and plans sessions from it. Not thread-safe.

    Args:
        rewind_s: How far to go back by time; by number, as far as this process remembers.
    """

    def __init__(self, rewind_s: float) -> None:
        self._rewind_us = int(rewind_s * 1_000_000)
        self._allowed: Literal["seq", "time", "live"] = "seq"
        self._checkpoints: deque[Place] = deque(maxlen=256)
        self._plan = Resume("start")
        self.last: Place | None = None
        self.known_through: Place | None = None
        """What a former process delivered: events of this host up to this number are repeats."""

    def restore(self, cursor: Any) -> None:
        """Go on from a stored cursor.

        Raises:
            ConfigError: it is none of this source.
        """
        if cursor is None:
            return
        try:
            self.last = self.known_through = msgspec.convert(cursor, Place)
        except msgspec.ValidationError as error:
            raise ConfigError(f"bluesky: the stored cursor {cursor!r}: {error}") from error

    def moved(self, place: Place) -> None:
        """An event was received there."""
        if not self._checkpoints or place.us - self._checkpoints[-1].us >= _CHECKPOINT_US:
            self._checkpoints.append(place)
        self.last = place

    def plan(self, host: str, start_us: int = 0) -> Resume:
        """Return how the next session with `host` starts.

        Args:
            host: The server.
            start_us: Where to start if there is no last place; 0 is the present.
        """
        last = self.last
        if last is None:
            self._plan = Resume("start", start_us)
        elif self._allowed == "seq" and last.seq and last.host == host:
            back = self._rewound(last)
            self._plan = Resume("seq", back.seq, back.us)
        elif self._allowed != "live":
            self._plan = Resume("time", max(1, last.us - self._rewind_us))
        else:
            self._plan = Resume("live")
        return self._plan

    def _rewound(self, last: Place) -> Place:
        """Return an event of the same server, `rewind_s` before the last one if remembered."""
        chosen = last
        for place in reversed(self._checkpoints):
            if place.host != last.host or place.seq > chosen.seq or not place.seq:
                break
            chosen = place
            if last.us - place.us >= self._rewind_us:
                break
        return chosen

    def judge(self, seq: int, us: int) -> float:
        """Return how many seconds are missing before the first event of a session.

        The last event received is asked for again; if what comes begins after it, the server could
        not go back that far: it says so only in v2, and there not always.

        Raises:
            Renumbered: ask by time.
        """
        plan, last = self._plan, self.last
        if last is None or plan.by == "start":
            return 0.0
        if plan.by == "seq" and (
            seq < plan.cursor
            or (seq == plan.cursor and us != plan.us)
            or us < plan.us - self._rewind_us - _TOLERANCE_US
        ):
            self._allowed = "time"
            self._checkpoints.clear()
            raise Renumbered
        self._allowed = "seq"
        missing_us = us - last.us
        return missing_us / 1_000_000 if missing_us > _TOLERANCE_US else 0.0

    @property
    def is_by_number(self) -> bool:
        """True if the session was asked to start at a number."""
        return self._plan.by == "seq"

    @property
    def can_ask_otherwise(self) -> bool:
        """True if the session was asked to start somewhere, and `refused` changes that."""
        return self._plan.by in ("seq", "time")

    def distrust_numbers(self) -> None:
        """The server says that our number is of the future: it is of another numbering."""
        self._allowed = "time"
        self._checkpoints.clear()

    def refused(self) -> None:
        """The server will not start there: ask by time, or take what there is."""
        self._allowed = "time" if self._plan.by == "seq" else "live"
        self._checkpoints.clear()

    def is_repeat(self, host: str, seq: int) -> bool:
        """Tell whether a former process delivered this event already."""
        known = self.known_through
        if known is None or not seq or self._plan.by != "seq":
            return False
        return host == known.host and seq <= known.seq
