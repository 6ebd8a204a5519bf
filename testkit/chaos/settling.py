"""Waiting until those beside the workers have read all and told what follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

LOOKS: Final = 10
"""So many looks in a row must find nothing left to do."""
EVERY_S: Final = 0.3
_TIMES_AT_MOST: Final = 5


class Beside(Protocol):
    """What is asked: see `testkit.chaos.progress.ProgressProbe`."""

    has_moved: bool

    def waits_for(self) -> list[str]:
        """Return what is still to be done."""
        ...


def settle(
    beside: Beside,
    limit_s: float,
    check: Callable[[], None],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Wait until all is done; return what is waited for in vain, "" if all is done.

    Args:
        beside: What is asked.
        limit_s: Without movement for so long it is given up; at the latest after five times that.
        check: Called before each look; may raise.
        monotonic: The clock.
        sleep: Waits between two looks.
    """
    done, began = 0, monotonic()
    last_at = began + _TIMES_AT_MOST * limit_s
    give_up_at = began + limit_s
    while done < LOOKS:
        check()
        waits_for = beside.waits_for()
        done = 0 if waits_for else done + 1
        now = monotonic()
        if beside.has_moved:
            give_up_at = min(now + limit_s, last_at)
        if waits_for and now > give_up_at:
            return f"after {now - began:.0f} s still to be done: {', '.join(waits_for)}"
        sleep(EVERY_S)
    return ""
