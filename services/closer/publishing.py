"""What is published of dirty panes, in an order that is safe to die in.

First a revision is decided and remembered, then it is sent, judged, and remembered as sent, then
the pane is clean. Whoever takes over finds how far it came and goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Window
from services.closer.withheld import Contents, StoreReader
from stream.store.closer_state import Marks
from stream.store.redis_store import RedisStore
from stream.windows.closer import Publication, publications
from stream.windows.records import Published
from stream.windows.summary import to_window

_log = get_logger(__name__)

MAX_PANES: Final = 64
MAX_WINDOWS: Final = 2_048
"""Published in one go at most, so that `progress` is read in between."""


class Publisher(Protocol):
    """Where windows go."""

    async def publish(self, windows: Sequence[Window]) -> None:
        """Return once every window is acknowledged.

        Raises:
            BrokerUnavailable: Some are not; any of them may have been written.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class Judges(Protocol):
    """What happens to windows between being published and being remembered as sent."""

    async def take_over(self, epoch: int) -> range:
        """Begin from what is stored; return the starts of panes to consider again."""
        ...

    def note(self, partition: int, cursor: int, model_version: str = "") -> None:
        """Take note of how far a partition has come, and what scored its last batch if known."""
        ...

    async def look(self, partitions: Sequence[int]) -> None:
        """Look around, every few seconds."""
        ...

    async def consider(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> bool:
        """Judge windows; every pane before `upto_s` is closed. False: another closer is active.

        Of the panes that start at `withheld` windows are missing: they say nothing of a change.
        """
        ...

    async def publish(self) -> None:
        """Publish what was decided and is not published yet."""
        ...


class Superseded(Exception):
    """Another closer has begun since this one did; it publishes what this one did not."""


@dataclass(frozen=True, slots=True)
class _Due:
    """One window to publish, with its place."""

    start_s: int
    publication: Publication


class WindowPublishing:
    """Publishes the windows of dirty panes and has them judged.

    Args:
        pane_s: The length of a pane.
        store: The state of the partitions.
        reader: Reads panes from it, without what is withheld.
        publisher: Where windows go.
        clock: Decides `closed_at`.
        metrics: The metrics of this process.
        judges: Judge what is published; None judges nothing.

    Attributes:
        epoch: The number of this closer; a later one refuses what it remembers.
        panes_at_once: How many panes the next call should be given at most.
    """

    def __init__(
        self,
        pane_s: int,
        store: RedisStore,
        reader: StoreReader,
        publisher: Publisher,
        clock: Clock,
        metrics: Metrics,
        judges: Judges | None,
    ) -> None:
        self._pane_s = pane_s
        self._store = store
        self._reader = reader
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._judges = judges
        self.epoch = -1
        self.panes_at_once = MAX_PANES

    async def publish(self, partitions: Sequence[int], marks: Marks, upto_s: int) -> None:
        """Publish what is due of these dirty panes; those that did not change since are clean."""
        found = await self._reader.contents(partitions, sorted(marks))
        due = await self._decide(partitions, found)
        windows = self._windows(due)
        if due:
            await self._remember(due, acknowledged=False)
            await self._publisher.publish(windows)
        if due or found.withheld:
            # Before it is remembered: whoever takes over from here publishes and judges it again.
            await self.judge(windows, upto_s, found.withheld)
        if due:
            await self._remember(due, acknowledged=True)
            closed = sum(d.publication.revision == 0 for d in due)
            self._metrics.windows_closed.inc(closed)
            self._metrics.windows_corrected.inc(len(due) - closed)
        # Of what is withheld nothing is due until a repair makes it dirty again.
        await self._store.clean({s: m for s, m in marks.items() if s not in found.unsettled})

    async def judge(
        self, windows: Sequence[Window], upto_s: int, withheld: Collection[int] = ()
    ) -> None:
        """Have windows judged.

        Raises:
            Superseded: Another closer is active.
        """
        if self._judges is not None and not await self._judges.consider(windows, upto_s, withheld):
            raise Superseded

    async def judge_again(self, partitions: Sequence[int], starts: range) -> None:
        """Judge panes that a predecessor judged after it last saved all it knew of them."""
        if not starts:
            return
        found = await self._reader.contents(partitions, starts)
        due = [
            _Due(start_s, Publication(query, known.revision, known.digest, pane[query]))
            for start_s, pane in found.panes.items()
            for query, known in found.published[start_s].items()
            if query in pane
        ]
        await self.judge(self._windows(due), starts.stop, found.withheld)

    def _windows(self, due: Iterable[_Due]) -> list[Window]:
        closed_at = self._clock.now()
        return [
            to_window(
                d.publication.query,
                d.start_s,
                self._pane_s,
                d.publication.revision,
                d.publication.content,
                closed_at,
            )
            for d in due
        ]

    async def _decide(self, partitions: Sequence[int], found: Contents) -> list[_Due]:
        most = max((len(pane) for pane in found.panes.values()), default=0)
        self.panes_at_once = max(1, min(MAX_PANES, MAX_WINDOWS // max(1, most)))
        # Asked after the panes were read: what was forgotten later was still whole.
        states = await self._reader.states(partitions)
        forgotten_s = max((state.forgotten_s for state in states.values()), default=-1)
        due: list[_Due] = []
        for start_s, pane in found.panes.items():
            if start_s <= forgotten_s:
                # Some partition no longer has its share: a sum of the rest would be a lie.
                self._metrics.windows_expired.inc()
                _log.warning("changed pane is beyond retention", start_s=start_s)
                continue
            wanted = publications(pane, found.published[start_s])
            due.extend(_Due(start_s, publication) for publication in wanted)
        return due

    async def _remember(self, due: Iterable[_Due], *, acknowledged: bool) -> None:
        by_start: dict[int, dict[str, Published]] = {}
        for one in due:
            publication = one.publication
            by_start.setdefault(one.start_s, {})[publication.query] = Published(
                publication.revision, publication.digest, acknowledged
            )
        if not await self._store.set_revisions(self.epoch, by_start):
            raise Superseded
