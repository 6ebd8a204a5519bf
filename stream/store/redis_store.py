"""The state of partitions, and what the closer remembers: one `RedisStore` per process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from core.errors import CursorConflict, IncrementRefused, StateUnreadable
from core.settings import RedisSettings
from stream.store import keys
from stream.store.alert_state import AlertState
from stream.store.backfill import PastState
from stream.store.client import (
    answers,
    connect,
    infos,
    is_wrong_value,
    now_ms,
    readable,
    redis_faults,
)
from stream.store.closer_state import CloserState
from stream.store.forecast_state import ForecastState
from stream.store.healing import heal
from stream.store.health import HORIZONS, StoreHealth, read_health
from stream.store.identity import StoreIdentity
from stream.store.increments import Applied, ApplyBatch, Horizons, PartitionState
from stream.store.pane_reader import PanesRead, read_panes, read_quarantine
from stream.store.quarantine import Missing, SetAside, integer, is_start
from stream.store.repairs import StateRepairs
from stream.store.response_texts import ResponseTexts
from stream.store.scripts import Replication, Script
from stream.topics import POST_EVENTS, POSTS
from stream.windows.records import PaneSum

_pack: Final = msgspec.msgpack.Encoder()
_TIMES_MS: Final = {"watermark": 1, "closed": 1_000, "forgotten": 1_000}
_DAY_MS: Final = 86_400_000
_NOT_TOTALS: Final = frozenset({POSTS, POST_EVENTS, "watermark", "closed", "forgotten"})
_APPLIED, _REFUSED, _AGAIN = 1, 3, 5
"""First number of the answers of `apply.lua`."""

SeenLookup = tuple[str, int, Sequence[int]]
"""(id as decimal string, shard, hours in which it may have been counted)"""


class RedisStore(CloserState):
    """State of the partitions under `{p}:` and of the closer under `{closer}:`.

    Safe for concurrent calls of one event loop. `close` it when done.
    """

    def __init__(self, settings: RedisSettings, horizons: Horizons) -> None:
        client, replication = connect(settings), Replication.of(settings)
        super().__init__(client, replication)
        self._redis = client
        self._horizons = horizons
        self._apply = Script(
            client, "partition", "sums", "contributions", "apply", replication=replication
        )
        self._seen = Script(client, "partition", "seen")
        self._isolate = Script(client, "partition", "isolate")
        self.alerts = AlertState(client, replication)
        self.forecasts = ForecastState(client, replication)
        self.responses = ResponseTexts(client)
        self.identity = StoreIdentity(client)
        self.repairs = StateRepairs(client)
        self.past = PastState(client, replication)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def health(self) -> StoreHealth:
        """Return what Redis says of itself; of a cluster the sums over its masters."""
        return read_health(await infos(self._redis))

    async def horizon_entries(self, partitions: Iterable[int]) -> dict[str, int]:
        """Return horizon -> how many entries it keeps, over the partitions."""
        asked = [(partition, horizon) for partition in partitions for horizon in HORIZONS]
        pipe = self._redis.pipeline(transaction=False)
        for partition, horizon in asked:
            kind, name = HORIZONS[horizon]
            size_of = pipe.zcard if kind == "zset" else pipe.hlen
            size_of(f"{keys.prefix(partition)}{name}")
        found = await answers(pipe)
        entries = dict.fromkeys(HORIZONS, 0)
        for (_, horizon), count in zip(asked, found, strict=True):
            entries[horizon] += 0 if is_wrong_value(count) else int(count)
        return entries

    async def partition_state(self, partition: int) -> PartitionState:
        """Return the cursors, watermark and totals of a partition; zeros if it is new.

        Raises:
            StateUnreadable: They cannot be read.
        """
        states, unreadable = await self.readable_states([partition])
        for fault in unreadable.values():
            raise fault
        return states[partition]

    async def readable_states(
        self, partitions: Iterable[int]
    ) -> tuple[dict[int, PartitionState], dict[int, StateUnreadable]]:
        """Return partition -> its state, and of those that cannot be read what is wrong."""
        listed = list(partitions)
        pipe = self._redis.pipeline(transaction=False)
        for partition in listed:
            pipe.hgetall(keys.cursor(partition))
        states: dict[int, PartitionState] = {}
        unreadable: dict[int, StateUnreadable] = {}
        for partition, stored in zip(listed, await answers(pipe), strict=True):
            try:
                states[partition] = _state_of(partition, stored)
            except StateUnreadable as fault:
                unreadable[partition] = fault
        return states, unreadable

    async def partitions(self) -> list[int]:
        """Return the partitions that have state, without asking Kafka how many there are."""
        async with redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in range(keys.MAX_PARTITIONS):
                pipe.exists(keys.cursor(partition))
                pipe.exists(keys.quarantine(partition))
            found = await pipe.execute()
        pairs = zip(found[::2], found[1::2], strict=True)
        return [partition for partition, exists in enumerate(pairs) if any(exists)]

    async def seen(
        self,
        partition: int,
        lookups: Sequence[SeenLookup],
        first: int | None = None,
        applied: int = -1,
    ) -> list[bool]:
        """Tell for each id whether the partition has counted it inside the dedupe horizon.

        Args:
            partition: its number.
            lookups: the ids.
            first: offset of the first record they are of; None if they are of no record of `posts`.
            applied: cursor that the asker knows to have been stored.

        Raises:
            CursorConflict: That record was applied already, by another writer, or the store went
                back to before `applied`.
        """
        if not lookups:
            return []
        message = _pack.encode([[post_id, shard, *hours] for post_id, shard, hours in lookups])
        asker = "" if first is None else first
        answer = await self._run(self._seen, partition, [message, asker, applied, now_ms()])
        if isinstance(answer, int):
            raise CursorConflict(partition, POSTS, (first or 0) - 1, answer)
        return [flag == 1 for flag in answer]

    async def apply(self, partition: int, batch: ApplyBatch) -> Applied:
        """Apply a batch, all of it or nothing.

        Raises:
            CursorConflict: Another cursor is stored; nothing was written.
            IncrementRefused: The batch has a number that is no integer; nothing was written.
            StateUnreadable: The partition cannot be read; nothing was written.
            StoreUnavailable: Redis did not answer, or too few replicas; it may or may not have
                applied the batch, which the next try finds out by the cursor.
        """
        try:
            arguments = batch.arguments(self._horizons, now_ms())
        except ValueError as error:
            raise IncrementRefused(partition, "the batch", str(error)) from error
        aside: list[bytes] = []
        while True:
            answer = await self._run(self._apply, partition, arguments)
            if answer[0] != _AGAIN:
                break
            aside += answer[1]
        if answer[0] == _REFUSED:
            where, found = (part.decode(errors="backslashreplace") for part in answer[1:])
            raise IncrementRefused(partition, where, found)
        if answer[0] != _APPLIED:
            stored = int(answer[1]) if answer[0] == 0 else batch.expected
            raise CursorConflict(partition, batch.topic, batch.expected, stored)
        names = tuple(name.decode(errors="backslashreplace") for name in [*aside, *answer[3]])
        return Applied(answer[1], answer[2], names, answer[4])

    async def _run(self, of: Script, partition: int, arguments: Sequence[Any]) -> Any:
        """Run a script of a partition; an index that cannot be read is made anew first.

        Raises:
            StateUnreadable: Something else of the partition cannot be read.
        """
        while True:
            async with redis_faults():
                answer = await of(keys.cursor(partition), arguments)
            try:
                return readable(partition, answer)
            except StateUnreadable as fault:
                if not await heal(self._redis, partition, fault.key):
                    raise

    # -- reading panes ------------------------------------------------------------------------

    async def pane_starts(self, partitions: Iterable[int]) -> list[int]:
        """Return the starts (s) of all panes of these partitions, in order."""
        pipe = self._redis.pipeline(transaction=False)
        for partition in partitions:
            pipe.zrange(f"{keys.prefix(partition)}starts", 0, -1)
        found = [starts for starts in await answers(pipe) if not is_wrong_value(starts)]
        return sorted({int(start) for starts in found for start in starts if is_start(start)})

    async def pane(self, partitions: Sequence[int], start_s: int) -> dict[str, PaneSum]:
        """Return the pane that starts at `start_s`, by query, summed over the partitions."""
        return (await self.panes(partitions, [start_s]))[start_s]

    async def panes(
        self, partitions: Sequence[int], starts: Sequence[int]
    ) -> dict[int, dict[str, PaneSum]]:
        """Return start (s) -> query -> sum, of the windows that can be read."""
        return (await self.read_panes(partitions, starts)).panes

    async def read_panes(
        self,
        partitions: Sequence[int],
        starts: Sequence[int],
        queries: Sequence[str] | None = None,
    ) -> PanesRead:
        """Return panes summed over the partitions, and which windows are missing from them."""
        return await read_panes(self._redis, partitions, starts, queries)

    # -- what could not be read ---------------------------------------------------------------

    async def quarantine(self, partitions: Sequence[int]) -> list[SetAside]:
        """Return what is set aside of the partitions."""
        return await read_quarantine(self._redis, partitions)

    async def set_aside(self, missing: Iterable[Missing]) -> int:
        """Set aside what a reader could not read, where it still stands as it was read.

        Returns:
            How much was set aside; nothing of a partition whose cursor cannot be read.
        """
        by_partition: dict[int, list[Any]] = {}
        for one in missing:
            if one.raw is not None:
                name, *raw = one.raw
                named = (one.start_s, name, one.why.partition(", expected")[0], *raw)
                by_partition.setdefault(one.partition, []).extend(named)
        done = 0
        for partition, arguments in by_partition.items():
            with suppress(StateUnreadable):
                done += await self._run(self._isolate, partition, [now_ms(), *arguments])
        return done


def _state_of(partition: int, stored: Any) -> PartitionState:
    """Return the state that a cursor's hash holds.

    Raises:
        StateUnreadable: It is no hash, or a field is no integer.
    """
    key = keys.cursor(partition)
    if is_wrong_value(stored):
        raise StateUnreadable(partition, key, "a key of another type (WRONGTYPE)", "a hash")
    found: Mapping[bytes, bytes] = stored
    fields: dict[str, int] = {}
    for raw_name, value in found.items():
        name = raw_name.decode(errors="backslashreplace")
        try:
            fields[name] = integer(value)
        except ValueError as error:
            raise StateUnreadable(partition, f"{key} {name}", str(error), "an integer") from error
        if name in (POSTS, POST_EVENTS) and fields[name] < -1:
            raise StateUnreadable(partition, f"{key} {name}", str(fields[name]), "an offset")
        if fields[name] * _TIMES_MS.get(name, 0) > now_ms() + _DAY_MS:
            raise StateUnreadable(
                partition, f"{key} {name}", f"{fields[name]}, a time to come", "one until tomorrow"
            )
    return PartitionState(
        cursors={topic: fields.get(topic, -1) for topic in (POSTS, POST_EVENTS)},
        watermark_ms=fields.get("watermark", -1),
        closed_s=fields.get("closed", -1),
        forgotten_s=fields.get("forgotten", -1),
        totals={k: v for k, v in fields.items() if k not in _NOT_TOTALS},
    )
