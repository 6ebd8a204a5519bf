"""Waiting for what another process or thread will do: one patience for all, never a claim on speed.

A test waits for a condition and for nothing else. How long it takes is no claim of the test, so the
patience is far beyond what a busy machine needs; only a test that fails waits so long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

PATIENCE_S: Final = 300.0
_LOOK_EVERY_S: Final = 0.02

Found = TypeVar("Found")


def wait_until(
    look: Callable[[], Found],
    what: str,
    *,
    why: Callable[[], str] = lambda: "",
    can_still: Callable[[], bool] = lambda: True,
    every_s: float = _LOOK_EVERY_S,
    patience_s: float = PATIENCE_S,
) -> Found:
    """Return the first answer of a look that is true.

    Args:
        look: Asks for what is waited for.
        what: The condition in words, for the failure.
        why: Returns what a person needs to find the fault, such as the ends of logs.
        can_still: Tells whether it can come true at all, such as whether the process runs.
        every_s: The seconds between two looks; longer where a look is work for the machine.
        patience_s: The seconds after which it will not come true any more.

    Raises:
        AssertionError: It cannot come true, or did not.
    """
    give_up_at = time.monotonic() + patience_s
    while not (found := look()):
        if not can_still():
            if found := look():  # it came true with the end
                return found
            raise AssertionError(f"cannot come true any more: {what}\n{why()}")
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not true in {patience_s:g} s: {what}\n{why()}")
        time.sleep(every_s)
    return found
