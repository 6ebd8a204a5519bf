"""How long to wait before something that was away is asked again."""

from __future__ import annotations

import random
from typing import Final

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


def pause_s(attempt: int, rng: random.Random) -> float:
    """Return how long to wait before try `attempt + 1`: exponential, with jitter.

    Jitter spreads the workers that all lost the same server at the same moment.
    """
    longest_s = _ceiling_s(FIRST_PAUSE_S, LONGEST_PAUSE_S, attempt)
    return rng.uniform(longest_s / 4, longest_s)


def _ceiling_s(first_s: float, max_s: float, attempt: int) -> float:
    """Return the longest wait before an attempt: twice that of the one before, up to `max_s`."""
    return min(max_s, first_s * 2.0 ** min(attempt, 30))


class Backoff:
    """Seconds to wait before the next attempt: exponential, with jitter over half of it.

    Args:
        first_s: The longest first wait.
        max_s: The longest wait ever.
        rng: The source of the jitter; one of its own unless given.
    """

    def __init__(self, first_s: float, max_s: float, rng: random.Random | None = None) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._rng = rng or random.Random()
        self._attempt = 0

    def reset(self) -> None:
        """Start over: the last attempt was good."""
        self._attempt = 0

    def next_s(self, asked_s: float | None = None) -> float:
        """Return how long to wait; `asked_s` is what the other side asked for, if it did.

        What is asked for is kept, up to ten times `max_s`, with jitter on top.
        """
        ceiling_s = _ceiling_s(self._first_s, self._max_s, self._attempt)
        self._attempt += 1
        wait_s = self._rng.uniform(ceiling_s / 2, ceiling_s)
        if asked_s is None:
            return wait_s
        return min(max(asked_s, 0.0), 10 * self._max_s) + wait_s
