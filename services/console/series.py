"""Windows of a query, from panes: rolled up by adding, which is exact where sums add up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from core.heads import COUNTED, SPECS
from services.console.data import ConsoleData, PanesFound
from services.windows_view import PaneBounds
from stream.windows.layout import named
from stream.windows.summary import Summary, is_shown, sliding, summarise

PANES_AT_ONCE: Final = 256
"""Panes in one look at the store, or one window if that is longer."""
_OF_SMALL_GROUPS: Final = {
    head.name: (f"{head.name}_posts", *(f"{head.name}_{label}" for label in head.labels))
    for head in COUNTED
    if SPECS[head.name].least_posts
}
"""Head of which nothing is said of few posts -> its counters."""


@dataclass(frozen=True, slots=True)
class SeriesWindow:
    """A window as it is shown.

    Attributes:
        start_s, end_s: Half-open, seconds since 1970.
        counters: Every counter by name, without those that small groups do not show.
        summary: What they say, in numbers for people; authors are an upper bound if panes were
            added.
        panes: How many panes with posts are in it.
        closed: Whether the watermark has passed its end.
        revision: Of a pane, the one last published; None before the first and of longer windows.
        whole: Whether no pane of it was forgotten or cannot be read.
    """

    start_s: int
    end_s: int
    counters: dict[str, int]
    summary: Summary
    panes: int
    closed: bool
    revision: int | None
    whole: bool


async def series(
    data: ConsoleData, query: str, range_s: tuple[int, int], step_s: int, pane_s: int
) -> AsyncIterator[list[SeriesWindow]]:
    """Yield the windows of a query that start in a range, oldest first, some at a time.

    Args:
        data: Where panes are.
        query: The name of the query.
        range_s: The range, half-open, seconds since 1970.
        step_s: The length of a window; a multiple of `pane_s`. Starts are multiples of it.
        pane_s: The length of a pane.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    bounds = await data.bounds()
    if bounds.last_s < 0:
        return
    first_s = max(-(-range_s[0] // step_s), bounds.first_s // step_s) * step_s
    end_s = min(range_s[1], bounds.last_s + 1)
    at_once_s = max(1, PANES_AT_ONCE * pane_s // step_s) * step_s
    for start_s in range(first_s, end_s, at_once_s):
        until_s = min(start_s + at_once_s, -(-end_s // step_s) * step_s)
        found = await data.panes(query, start_s, until_s)
        # After the panes were read: one that was forgotten meanwhile is known to be.
        forgotten_s = (await data.bounds()).forgotten_s if found.panes else bounds.forgotten_s
        windows = windows_of(found, bounds, forgotten_s, step_s, pane_s)
        if windows:
            yield windows


def windows_of(
    found: PanesFound, bounds: PaneBounds, forgotten_s: int, step_s: int, pane_s: int
) -> list[SeriesWindow]:
    """Return the windows that panes make, the oldest first."""
    contents = {start_s: pane.content for start_s, pane in found.panes.items()}
    made: list[SeriesWindow] = []
    for start_s, content in sliding(contents, pane_s, step_s):
        end_s = start_s + step_s
        inside = [found.panes[at] for at in range(start_s, end_s, pane_s) if at in found.panes]
        counters = named(content.counters)
        unread = None in found.missing or any(
            at is not None and start_s <= at < end_s for at in found.missing
        )
        revision = inside[0].revision if step_s == pane_s else -1
        made.append(
            SeriesWindow(
                start_s,
                end_s,
                shown_counters(counters),
                summarise(counters, content.authors),
                len(inside),
                closed=end_s - pane_s < bounds.closed_s,
                revision=revision if revision >= 0 else None,
                whole=start_s > forgotten_s and not unread,
            )
        )
    return made


def shown_counters(counters: dict[str, int]) -> dict[str, int]:
    """Return the counters without those of heads of which nothing is said of so few posts.

    Example:
        >>> sorted(shown_counters({"posts": 3, "participation_posts": 3, "participation_none": 9}))
        ['posts']
    """
    hidden = {
        name
        for head, names in _OF_SMALL_GROUPS.items()
        if not is_shown(counters, head)
        for name in names
    }
    return {name: value for name, value in counters.items() if name not in hidden}


async def up_to(
    found: AsyncIterator[list[SeriesWindow]], most: int
) -> tuple[Sequence[SeriesWindow], int | None]:
    """Return the first windows, and where the next one starts if there are more."""
    taken: list[SeriesWindow] = []
    async for some in found:
        taken += some
        if len(taken) > most:
            return taken[:most], taken[most].start_s
    return taken, None
