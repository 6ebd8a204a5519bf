"""How much one client may ask: a bucket of tokens each, filled at the rate of the settings."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from core.clock import Clock

_MOST_CLIENTS: Final = 10_000


class RateLimit:
    """Counts requests by client.

    Args:
        per_minute: The rate, and the most at once.
        clock: Tells the time.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._most = float(per_minute)
        self._per_s = per_minute / 60.0
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Take one from a client's bucket; return 0, or how long until there is one.

        The client who asked least lately is forgotten first, which gives it a full bucket again.
        """
        left = self._now(client)
        if left < 1.0:
            return (1.0 - left) / self._per_s
        self._keep(client, left - 1.0)
        return 0.0

    def _now(self, client: str) -> float:
        left, at = self._left.get(client, (self._most, self._clock.monotonic()))
        return min(self._most, left + (self._clock.monotonic() - at) * self._per_s)

    def _keep(self, client: str, left: float) -> None:
        self._left[client] = (left, self._clock.monotonic())
        self._left.move_to_end(client)
        while len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
