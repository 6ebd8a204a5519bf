"""What the closer reads of the store: what can be published, and what is withheld and said by name.

A window of which some partition's share cannot be read is neither published nor judged, since it
would be a wrong number; the other windows of its pane go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.logs import get_logger
from stream.store.increments import PartitionState
from stream.store.quarantine import EVERY, Missing
from stream.store.redis_store import RedisStore
from stream.windows.records import PaneSum, Published

_log = get_logger(__name__)

MAX_TOLD = 10_000
"""What was said is remembered so that it is not said again; beyond so much it is."""


@dataclass(slots=True)
class Contents:
    """Panes and what was published of them.

    Attributes:
        panes: Start (s) -> query -> content.
        published: Start (s) -> query -> what was last published.
        withheld: The starts of panes of which windows are missing.
        unsettled: Those of them that must be read again.
    """

    panes: dict[int, dict[str, PaneSum]]
    published: dict[int, dict[str, Published]]
    withheld: set[int] = field(default_factory=set[int])
    unsettled: set[int] = field(default_factory=set[int])


class StoreReader:
    """Reads states and panes; says once of each value that it cannot be read.

    Args:
        store: The store.

    Attributes:
        unreadable: The partitions whose cursor cannot be read.
    """

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._told: set[str] = set()
        self.unreadable: set[int] = set()

    async def states(self, partitions: Iterable[int]) -> dict[int, PartitionState]:
        """Return partition -> state of those that can be read.

        Raises:
            StoreUnavailable: Try again.
        """
        listed = list(partitions)
        states, faults = await self._store.readable_states(listed)
        self.unreadable = (self.unreadable - set(listed)) | set(faults)
        for fault in faults.values():
            self._say(str(fault))
        return states

    async def contents(self, partitions: Sequence[int], starts: Sequence[int]) -> Contents:
        """Return what panes hold and what was published of them, without what is withheld.

        What can be set aside is: from then on it is counted anew, and a repair adds the rest.

        Raises:
            StoreUnavailable: Try again.
        """
        read = await self._store.read_panes(partitions, starts)
        published, without = await self._store.read_revisions(starts)
        raw = [one for one in read.missing if one.raw is not None]
        set_aside = await self._store.set_aside(raw)
        found = Contents(read.panes, published)
        if set_aside < len(raw):
            found.unsettled = {
                one.start_s
                for one in raw
                if one.start_s is not None and one.partition not in self.unreadable
            }
        read.missing.extend(without)
        read.leave_out()
        for one in read.missing:
            self._say(_sentence(one))
            found.withheld.update(starts if one.start_s is None else [one.start_s])
        return found

    def _say(self, what: str) -> None:
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        if what not in self._told:
            self._told.add(what)
            _log.error("stored state cannot be read", what=what)


def _sentence(one: Missing) -> str:
    windows = "all windows" if one.query == EVERY else f"the window of {one.query!r}"
    return f"{one}: {windows} withheld until `groundswell windows repair`"
