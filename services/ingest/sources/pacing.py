"""When to give up on a silent connection, and which server to ask next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

STRETCH_S: Final = 600.0
FACTOR_OF_LARGEST: Final = 3.0
FACTOR_OF_MEAN: Final = 25.0
"""Of random arrivals one pause in e^25 is longer: none in years of the whole of Bluesky."""


class IdleTimer:
    """Tells when silence is longer than this stream ever is.

    The limit follows what was seen in the last ten to twenty minutes: three times the longest
    pause, at least 25 times the mean one, inside [`min_s`, `max_s`]. A silence that made us give
    up is itself a pause that was seen, so that a stream gone quiet is not reconnected for ever.

    Args:
        min_s: The shortest limit.
        max_s: The longest limit.
        initial_s: The limit until a stretch was seen.
        monotonic: Returns seconds that never go back.
    """

    def __init__(
        self, min_s: float, max_s: float, initial_s: float, monotonic: Callable[[], float]
    ) -> None:
        self._min_s, self._max_s, self._initial_s = min_s, max_s, initial_s
        self._monotonic = monotonic
        self._last_s = self._stretch_s = monotonic()
        self._count = 0
        self._largest_s = 0.0
        self._earlier: tuple[float, float] | None = None

    def restart(self) -> None:
        """Silence begins now, without any having been observed: a new connection, back-pressure."""
        self._last_s = self._monotonic()

    def not_listening(self, for_s: float) -> None:
        """We were not there for so long, as a process that gets no processor: no silence of theirs.

        Only that time is left out, so that who listens little still finds a silence too long.
        """
        self._last_s = min(self._last_s + for_s, self._monotonic())

    def heard(self) -> None:
        """Something came."""
        now_s = self._monotonic()
        pause_s = now_s - self._last_s
        self._last_s = now_s
        self._count += 1
        if pause_s > self._largest_s:
            self._largest_s = pause_s
        if now_s - self._stretch_s >= STRETCH_S:
            self._earlier = (self._largest_s, self._mean_s(now_s))
            self._stretch_s, self._count, self._largest_s = now_s, 0, 0.0

    def gave_up(self) -> None:
        """The silence so far made us give up; it counts as a pause of this stream."""
        self._largest_s = max(self._largest_s, self.silent_s)
        self.restart()

    @property
    def silent_s(self) -> float:
        """Seconds since something came."""
        return self._monotonic() - self._last_s

    @property
    def limit_s(self) -> float:
        """Seconds of silence after which to give up."""
        now_s = self._monotonic()
        largest_s, mean_s = self._largest_s, self._mean_s(now_s)
        if self._earlier is not None:
            largest_s = max(largest_s, self._earlier[0])
            # The young stretch says little of the mean; the pause now is in the other term.
            mean_s = max(self._earlier[1], mean_s if self._count > 100 else 0.0)
        limit_s = max(FACTOR_OF_LARGEST * largest_s, FACTOR_OF_MEAN * mean_s)
        if self._earlier is None and self._count < 100:
            limit_s = max(limit_s, self._initial_s)
        return min(max(limit_s, self._min_s), self._max_s)

    @property
    def is_over(self) -> bool:
        """True when the silence is longer than the limit."""
        return self.silent_s > self.limit_s

    def _mean_s(self, now_s: float) -> float:
        return (self._last_s - self._stretch_s) / self._count if self._count else 0.0


class Hosts:
    """Servers that offer the same; another one is taken when one fails.

    Args:
        hosts: The addresses, at least one, best first.
    """

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        self._place = 0

    @property
    def current(self) -> str:
        """The host to connect to."""
        return self._hosts[self._place]

    def rotate(self) -> str:
        """Turn to the next host and return it."""
        self._place = (self._place + 1) % len(self._hosts)
        return self.current

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._hosts)
