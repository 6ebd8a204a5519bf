"""Finds what cannot be read, rebuilds it, and says of each what became of it. The stack may run.

A share of a pane is repaired by one batch that adds what the topics held up to the moment at which
it was set aside; the worker goes on beside it, since sums do not mind the order. A partition whose
cursor cannot be read is forgotten and counted again by its worker, as after the loss of Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import astuple

from core.clock import epoch_ms
from core.codec import window_decoder
from core.errors import CursorConflict, DecodeError, StateUnreadable
from core.settings import Settings
from services.bootstrap import make_store
from services.kafka_client import TopicAdmin, TopicProbe, read_topic
from services.kafka_client.messages import Record
from services.repair.history import History
from services.repair.rebuild import NotRecoverable, batch_for, wanted_by
from stream.store.quarantine import EVERY, Missing, SetAside
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS, SCORED_POSTS, WINDOWS
from stream.windows.closer import digest
from stream.windows.layout import COUNTERS
from stream.windows.records import PaneSum, Published

PANES_AT_ONCE: Final = 64
TRIES: Final = 5
"""An entry that changes while it is rebuilt is looked at again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be repaired.

    Attributes:
        partition: Only this one, and if its cursor cannot be read it is counted again; None: all.
        start_s: Only the pane that starts then, seconds since 1970.
        query: Only windows of this query.
        is_dry: Only say what would be done.
    """

    partition: int | None = None
    start_s: int | None = None
    query: str | None = None
    is_dry: bool = False

    def has(self, start_s: int | None, query: str) -> bool:
        """Tell whether something of a window, or of none, is wanted."""
        if start_s is None:
            return self.start_s is None and self.query is None
        return self.start_s in (None, start_s) and (
            self.query is None or query in (EVERY, self.query)
        )


@dataclass(slots=True)
class Repaired:
    """What became of it, a sentence each."""

    done: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])


class Repair:
    """One run of the command.

    Args:
        store: The store.
        settings: Where the topics are, how long contributions are kept.
        wanted: What is to be repaired.
        read: Reads one partition of a topic from its beginning to its end.
        ends: Returns topic -> the offset after the last record of a partition.
    """

    def __init__(
        self,
        store: RedisStore,
        settings: Settings,
        wanted: Wanted,
        read: Callable[[str, int | None], Iterator[Record]],
        ends: Callable[[int], dict[str, int]],
    ) -> None:
        self._store = store
        self._settings = settings
        self._wanted = wanted
        self._read = read
        self._ends = ends
        self._found = Repaired()

    async def run(self) -> Repaired:
        """Repair what is wanted.

        Raises:
            StoreUnavailable, BrokerUnavailable: Call again; what was done is done once.
        """
        wanted = self._wanted
        every = await self._store.partitions()
        chosen = every if wanted.partition is None else [wanted.partition]
        if not set(chosen) <= set(every):
            has = ", ".join(map(str, every)) or "none"
            self._found.left.append(
                f"partition {wanted.partition} has nothing in the store: expected one that has, "
                f"which are {has}"
            )
            return self._found
        _, faults = await self._store.readable_states(chosen)
        starts = [s for s in await self._store.pane_starts(chosen) if wanted.start_s in (None, s)]
        for first in range(0, len(starts), PANES_AT_ONCE):
            some = starts[first : first + PANES_AT_ONCE]
            missing = (await self._store.read_panes(chosen, some)).missing
            await self._set_aside([one for one in missing if one.raw is not None])
            await self._revisions(some, every)
        for partition in chosen:
            if partition not in faults and wanted.has(None, EVERY):
                await self._contributions(partition)
        entries = await self._store.quarantine(chosen)
        for partition in chosen:
            of_it = [one for one in entries if one.partition == partition]
            if partition in faults or any(one.kind == "unknown" for one in of_it):
                await self._reset(partition, faults.get(partition))
            else:
                await self._entries(partition, of_it)
        return self._found

    async def _set_aside(self, missing: Sequence[Missing]) -> None:
        if self._wanted.is_dry:
            self._found.left.extend(f"{one}: would be rebuilt" for one in missing)
        else:
            await self._store.set_aside(missing)

    async def _contributions(self, partition: int) -> None:
        is_dry = self._wanted.is_dry
        found = await self._store.repairs.set_contributions_aside(partition, is_dry=is_dry)
        if is_dry and found:
            self._found.left.append(
                f"partition {partition}: {found} contributions of posts or sets of ids cannot be "
                "read: would be rebuilt"
            )

    async def _reset(self, partition: int, fault: StateUnreadable | None) -> None:
        why = str(fault) if fault else f"the quarantine of partition {partition} cannot be read"
        if self._wanted.partition is None or self._wanted.is_dry:
            self._found.left.append(f"{why}; with --partition {partition} it is counted again")
            return
        await self._store.repairs.reset_partition(partition, self._ends(partition))
        self._found.done.append(
            f"partition {partition} is counted again from the topics; its windows are withheld "
            f"until it has come to where it was ({why})"
        )

    async def _entries(self, partition: int, entries: Sequence[SetAside]) -> None:
        waiting = [one for one in entries if one.kind == "rebuild"]
        self._found.left.extend(f"{one}: wait until its worker is through" for one in waiting)
        entries = [
            one
            for one in entries
            if one not in waiting and self._wanted.has(one.start_s, one.query)
        ]
        if self._wanted.is_dry:
            self._found.left.extend(f"{one}: would be rebuilt" for one in entries)
            return
        for _ in range(TRIES):
            if not entries:
                return
            history = self._history(partition, entries)
            again: list[SetAside] = []
            for entry in entries:
                if not await self._repair(entry, history):
                    again.append(entry)
            now = {one.field: one for one in await self._store.quarantine([partition])}
            entries = [now[one.field] for one in again if one.field in now]
        self._found.left.extend(f"{one}: it changes all the time" for one in entries)

    def _history(self, partition: int, entries: Sequence[SetAside]) -> History:
        history = History(self._settings.windows.correction_horizon_s)
        history.read_events(self._read(POST_EVENTS, partition))
        history.read_scored(self._read(SCORED_POSTS, partition), wanted_by(entries))
        return history

    async def _repair(self, entry: SetAside, history: History) -> bool:
        """Repair an entry; False if it has changed meanwhile."""
        before = history.uncertain
        present: set[bytes] = set()
        if entry.kind == "kept" and len(entry.place) > 1:
            present = await self._store.repairs.kept_ids(entry.partition, int(entry.place[1]))
        try:
            batch = batch_for(entry, history, present)
        except (NotRecoverable, ValueError, IndexError) as error:
            self._found.left.append(f"{entry}: {error}")
            return True
        try:
            await self._store.apply(entry.partition, batch)
        except CursorConflict:
            return False
        doubt = history.uncertain - before
        said = f" ({doubt} edits or deletions came too late to be certain of)" if doubt else ""
        self._found.done.append(f"{entry}: rebuilt from {SCORED_POSTS} and {POST_EVENTS}{said}")
        return True

    async def _revisions(self, starts: Sequence[int], partitions: Sequence[int]) -> None:
        """Read the revisions that the store does not know any more from the topic `windows`."""
        _, missing = await self._store.read_revisions(starts)
        missing = [one for one in missing if self._wanted.has(one.start_s, one.query)]
        if self._wanted.is_dry or not missing:
            self._found.left.extend(f"{one}: would be read from {WINDOWS}" for one in missing)
            return
        last = self._last_windows({one.start_s for one in missing})
        for one in missing:
            at_s = -1 if one.start_s is None else one.start_s
            known = last.get(at_s, {})
            found = known if one.query == EVERY else {one.query: known.get(one.query)}
            await self._store.repairs.restore_revisions(at_s, found)
            self._found.done.append(f"{one}: revision read from {WINDOWS}")
        await self._store.repairs.look_again(
            partitions, [one.start_s for one in missing if one.start_s is not None]
        )

    def _last_windows(self, starts: set[int | None]) -> dict[int, dict[str, Published]]:
        last: dict[int, dict[str, Published]] = {}
        for record in self._read(WINDOWS, None):
            try:
                window = window_decoder.decode(record.value or b"")
            except DecodeError:
                continue
            at_s = epoch_ms(window.start) // 1000
            if at_s in starts:
                content = PaneSum(
                    [window.counters.get(name, 0) for name in COUNTERS],
                    {name: list(astuple(row)) for name, row in window.strata.items()},
                    window.authors,
                )
                known = last.setdefault(at_s, {}).get(window.query)
                if known is None or window.revision >= known.revision:
                    published = Published(window.revision, digest(content), acknowledged=True)
                    last[at_s][window.query] = published
        return last


async def repair(settings: Settings, wanted: Wanted) -> Repaired:
    """Repair what is wanted, of the store and the broker that the settings name.

    Raises:
        ConfigError: The store was not filled from that broker: its topics would add what is theirs.
        StoreUnavailable, BrokerUnavailable: Call again; what was done is done once.
    """

    def read(topic: str, partition: int | None) -> Iterator[Record]:
        only = None if partition is None else (partition,)
        return read_topic(settings.kafka, topic, only=only)

    def ends(partition: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for topic in (POSTS, POST_EVENTS):
            probe = TopicProbe(settings.kafka, topic)
            try:
                found[topic] = probe.ends().get(partition, 0)
            finally:
                probe.close()
        return found

    store = make_store(settings)
    try:
        if not wanted.is_dry:
            with TopicAdmin(settings.kafka) as admin:
                await store.identity.check(admin.cluster_id())
        return await Repair(store, settings, wanted, read, ends).run()
    finally:
        await store.close()


def repair_now(settings: Settings, wanted: Wanted) -> Repaired:
    """Return `repair` for callers without an event loop."""
    return asyncio.run(repair(settings, wanted))
