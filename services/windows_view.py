"""Windows as they are now, read from the store: for commands, for the live view, for the exporter.

Open panes are shown too, as what they hold so far. Nothing here writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from core.settings import Settings
from services.bootstrap import make_store
from stream.store.increments import PartitionState
from stream.store.quarantine import Missing
from stream.store.redis_store import RedisStore
from stream.windows.layout import named
from stream.windows.records import PaneSum
from stream.windows.summary import Summary, summarise

_PANES_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class PaneView:
    """One query in one pane.

    Attributes:
        query: The name of the query.
        start_s, end_s: The pane, half-open, seconds since 1970.
        closed: Whether the watermark has passed its end; what it holds may still be corrected.
        revision: The revision last published; -1 if it was not published yet.
        content: The sums.
        scored_by: The version of the model that alone has scored it; "" if that is not known.
    """

    query: str
    start_s: int
    end_s: int
    closed: bool
    revision: int
    content: PaneSum
    scored_by: str = ""

    @property
    def counters(self) -> dict[str, int]:
        """Every counter by name."""
        return named(self.content.counters)

    def summary(self) -> Summary:
        """Return mean, standard error and shares."""
        return summarise(self.counters, self.content.authors)


@dataclass(frozen=True, slots=True)
class WindowsView:
    """Recent panes and the accounting.

    Attributes:
        panes: The panes, ordered by start, then query.
        totals: Partition -> running totals of the store: `counted`, `removed`, `edited`, `events`,
            `dead:posts`, `dead:post-events`.
        watermarks_s: Partition -> watermark in seconds since 1970, of partitions that had posts.
        closed_s: Panes that start before this are closed; -1 if none is.
        missing: Windows that are not shown, since something of them cannot be read.
    """

    panes: list[PaneView] = field(default_factory=list[PaneView])
    totals: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])
    watermarks_s: dict[int, float] = field(default_factory=dict[int, float])
    closed_s: int = -1
    missing: list[Missing] = field(default_factory=list[Missing])

    def total(self, name: str) -> int:
        """Return one of the totals over all partitions."""
        return sum(totals.get(name, 0) for totals in self.totals.values())

    def by_query(self) -> dict[str, list[PaneView]]:
        """Return query -> its panes, oldest first."""
        found: dict[str, list[PaneView]] = {}
        for pane in self.panes:
            found.setdefault(pane.query, []).append(pane)
        return found


async def snapshot(
    store: RedisStore,
    partitions: Sequence[int] | None = None,
    *,
    pane_s: int = 60,
    last: int = 30,
) -> WindowsView:
    """Return the last panes, closed or open, and the accounting.

    Args:
        store: Where the state is.
        partitions: The partitions to sum; None means all that have state.
        pane_s: The length of a pane (`windows.pane_s`).
        last: How many panes, counted from the latest.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    summed = await store.partitions() if partitions is None else list(partitions)
    states, _ = await store.readable_states(summed)
    starts = (await _whole_starts(store, summed, states))[-last:]
    missing: list[Missing] = []
    return WindowsView(
        panes=[pane async for pane in _panes(store, summed, states, starts, pane_s, missing)],
        totals={p: state.totals for p, state in states.items()},
        watermarks_s={p: s.watermark_ms / 1000 for p, s in states.items() if s.watermark_ms >= 0},
        closed_s=_closed_s(states),
        missing=missing,
    )


async def all_panes(
    store: RedisStore,
    pane_s: int,
    missing: list[Missing] | None = None,
    between_s: tuple[int, int] | None = None,
    queries: Sequence[str] | None = None,
    partitions: Sequence[int] | None = None,
) -> AsyncGenerator[PaneView]:
    """Yield every pane that the store still holds in whole, by start, then query.

    Args:
        store: Where the state is.
        pane_s: Length of a pane (`windows.pane_s`).
        missing: Takes the windows that are left out, since something of them cannot be read.
        between_s: Only panes that start in this range, half-open, seconds since 1970.
        queries: Only these are fetched and decoded, however many are watched; None means all.
        partitions: The partitions to sum; None asks which have state, a thousand questions.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    summed = await store.partitions() if partitions is None else partitions
    states, _ = await store.readable_states(summed)
    starts = await _whole_starts(store, summed, states)
    if between_s is not None:
        starts = [start for start in starts if between_s[0] <= start < between_s[1]]
    left_out = missing if missing is not None else []
    async for pane in _panes(store, summed, states, starts, pane_s, left_out, queries):
        yield pane


@dataclass(frozen=True, slots=True)
class PaneBounds:
    """Which panes there are.

    Attributes:
        first_s, last_s: Starts of the first and the last pane that is held in whole; -1 if none is.
        closed_s: Panes that start before this are closed; -1 if none is.
        forgotten_s: Panes that start then or before have begun to be forgotten; -1 if none has.
        last_closed_s: Start of the last pane held in whole that is closed; -1 if none is.
    """

    first_s: int = -1
    last_s: int = -1
    closed_s: int = -1
    forgotten_s: int = -1
    last_closed_s: int = -1


async def pane_bounds(store: RedisStore, partitions: Sequence[int] | None = None) -> PaneBounds:
    """Return which panes there are now.

    Args:
        store: Where the state is.
        partitions: As for `all_panes`.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    summed = await store.partitions() if partitions is None else partitions
    states, _ = await store.readable_states(summed)
    starts = await _whole_starts(store, summed, states) or [-1]
    forgotten_s = max((state.forgotten_s for state in states.values()), default=-1)
    closed_s = _closed_s(states)
    last_closed_s = max((start for start in starts if start < closed_s), default=-1)
    return PaneBounds(starts[0], starts[-1], closed_s, forgotten_s, last_closed_s)


async def _whole_starts(
    store: RedisStore, partitions: Sequence[int], states: Mapping[int, PartitionState]
) -> list[int]:
    """Return the starts that no partition has forgotten: the sum of the others would be too low."""
    forgotten_s = max((state.forgotten_s for state in states.values()), default=-1)
    return [start for start in await store.pane_starts(partitions) if start > forgotten_s]


async def _panes(
    store: RedisStore,
    partitions: Sequence[int],
    states: Mapping[int, PartitionState],
    starts: Sequence[int],
    pane_s: int,
    missing: list[Missing],
    queries: Sequence[str] | None = None,
) -> AsyncGenerator[PaneView]:
    closed_s, model = _closed_s(states), await store.scoring_model()
    for at in range(0, len(starts), _PANES_AT_ONCE):
        some = starts[at : at + _PANES_AT_ONCE]
        read = await store.read_panes(partitions, some, queries)
        published, unknown = await store.read_revisions(some, queries)
        read.missing.extend(unknown)
        read.leave_out()
        missing.extend(one for one in read.missing if one not in missing)
        for start_s in some:
            for query, content in sorted(read.panes[start_s].items()):
                known = published[start_s].get(query)
                if known is None and not any(content.counters):
                    continue  # every post was deleted before anybody saw the window
                yield PaneView(
                    query=query,
                    start_s=start_s,
                    end_s=start_s + pane_s,
                    closed=start_s < closed_s,
                    revision=-1 if known is None else known.revision,
                    content=content,
                    scored_by="" if model is None else model.of(start_s),
                )


def _closed_s(states: Mapping[int, PartitionState]) -> int:
    return max((state.closed_s for state in states.values()), default=-1)


def snapshot_now(settings: Settings, last: int = 30) -> WindowsView:
    """Return `snapshot` for callers without an event loop; connects and disconnects each time."""

    async def look() -> WindowsView:
        store = make_store(settings)
        try:
            return await snapshot(store, pane_s=settings.windows.pane_s, last=last)
        finally:
            await store.close()

    return asyncio.run(look())
