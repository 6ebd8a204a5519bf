"""Windows as they close, for whoever listens: read once for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from core.clock import Clock
from core.errors import TransientError
from services.console.data import ConsoleData
from services.console.recent import RecentAnswers
from services.console.series import PANES_AT_ONCE, SeriesWindow, series

MOST_LISTENERS: Final = 1_000
_KEPT_ALIVE_S: Final = 15.0
_BOUNDS: Final = "bounds"
_BACK: Final = (1, 8, 64)
"""Panes that are looked back for the last window of a query, until one has posts of it."""


class LiveWindows:
    """Follows the windows of queries.

    Args:
        data: Where panes are.
        pane_s: The length of a pane.
        every_s: How often to look; however many listen, one look serves all.
        clock: Tells the time, and waits.
    """

    def __init__(self, data: ConsoleData, pane_s: int, every_s: float, clock: Clock) -> None:
        self._data = data
        self._pane_s = pane_s
        self._every_s = every_s
        self._clock = clock
        self._recent = RecentAnswers(every_s, clock)
        self.listeners = 0

    async def follow(
        self, query: str, after_s: int | None, may_go_on: Callable[[], bool]
    ) -> AsyncIterator[list[SeriesWindow]]:
        """Yield the windows of a query that close from now on, some at a time, the oldest first.

        An empty list says that all is well and nothing has closed. While the store is away nothing
        is yielded but that; what closed meanwhile comes when it is back.

        Args:
            query: The name of the query.
            after_s: The start of the last window that is known, seconds since 1970; None begins
                with the last one that has closed, if it is none of long ago.
            may_go_on: Asked after each look; False ends it.
        """
        self.listeners += 1
        try:
            known_s, told_at = after_s, self._clock.monotonic()
            while may_go_on():
                some, known_s, is_behind = await self._look(query, known_s)
                quiet_s = self._clock.monotonic() - told_at
                if some or quiet_s >= _KEPT_ALIVE_S:
                    told_at = self._clock.monotonic()
                    yield some
                # Whoever was away for days is told in parts, one look after the other.
                await self._clock.sleep(0 if is_behind else self._every_s)
        finally:
            self.listeners -= 1

    async def _look(
        self, query: str, known_s: int | None
    ) -> tuple[list[SeriesWindow], int | None, bool]:
        """Return what has closed since, the start of the last known one, and whether more has."""
        try:
            bounds = await self._recent.get(_BOUNDS, self._data.bounds)
            if bounds.closed_s < 0:
                return [], known_s, False
            end_s = min(bounds.closed_s, bounds.last_s + self._pane_s)
            if known_s is None:
                return await self._last(query, end_s), end_s - self._pane_s, False
            from_s = max(known_s + self._pane_s, bounds.first_s)
            if from_s >= end_s:
                return [], known_s, False
            until_s = min(end_s, from_s + PANES_AT_ONCE * self._pane_s)
            found = await self._closed(query, from_s, until_s)
            return found, until_s - self._pane_s, until_s < end_s
        except TransientError:
            return [], known_s, False

    async def _last(self, query: str, end_s: int) -> list[SeriesWindow]:
        """Return the last closed window that has posts of a query, not far back: most have one."""
        for panes in _BACK:
            found = await self._closed(query, end_s - panes * self._pane_s, end_s)
            if found:
                return found[-1:]
        return []

    async def _closed(self, query: str, from_s: int, until_s: int) -> list[SeriesWindow]:
        async def look() -> list[SeriesWindow]:
            span = from_s, until_s
            found = series(self._data, query, span, self._pane_s, self._pane_s)
            return [one async for some in found for one in some if one.closed]

        return await self._recent.get((query, from_s, until_s), look)
