"""What was read a moment ago, for those who ask for the same: read once, kept briefly."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar, cast

from core.clock import Clock

_T = TypeVar("_T")
_MOST: Final = 128


class RecentAnswers:
    """Keeps answers for a while, counted from when they were asked for, so none is older.

    Several who ask at once wait for one look. What fails is not kept.

    Args:
        for_s: How long.
        clock: Tells the time.
    """

    def __init__(self, for_s: float, clock: Clock) -> None:
        self._for_s = for_s
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._locks: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, look: Callable[[], Awaitable[_T]]) -> _T:
        """Return what is kept under a key, or look."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                asked_at = self._clock.monotonic()
                at, kept = self._kept.get(key, (float("-inf"), None))
                if asked_at - at < self._for_s:
                    return cast("_T", kept)
                found = await look()
                self._kept[key] = (asked_at, found)
                self._kept.move_to_end(key)
                while len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
                return found
        finally:
            if not lock.locked() and self._locks.get(key) is lock:
                del self._locks[key]
