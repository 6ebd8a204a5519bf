"""The only import of redis: the state of partitions, and what the closer remembers.

One `RedisStore` per process. Every failure that a later try may mend (away, loading, out of memory,
disk full, read-only) becomes `StoreUnavailable`: the caller waits and tries again, nothing is
skipped.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import redis.asyncio as aioredis
from redis import exceptions as redis_errors

from core.errors import CursorConflict, StoreUnavailable
from core.settings import RedisSettings
from stream import heartbeat
from stream.store import keys
from stream.store.alert_state import AlertState
from stream.store.health import HORIZONS, StoreHealth, read_health
from stream.store.increments import (
    Applied,
    ApplyBatch,
    Horizons,
    PaneSum,
    PartitionState,
    Published,
)
from stream.topics import POST_EVENTS, POSTS
from stream.windows.layout import add_into

_HERE: Final = Path(__file__).parent
_unpack_ints: Final = msgspec.msgpack.Decoder(list[int])
_unpack_strata: Final = msgspec.msgpack.Decoder(dict[str, list[int]])
_HEARTBEAT: Final = heartbeat.QUERY.encode()
_pack: Final = msgspec.msgpack.Encoder()
_NOT_TOTALS: Final = frozenset({POSTS, POST_EVENTS, "watermark", "closed", "forgotten"})

# Answers of Redis that pass by themselves or by an operator's hand; everything else is our mistake.
# A script's error has the answer inside its own words, with the dash of the protocol before it.
_PASSING: Final = re.compile(
    r"(?:^|[\s-])(?:OOM|MISCONF|LOADING|READONLY|BUSY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN)\b"
)

# The client cuts the word off these before we see it.
_PASSING_KINDS: Final = (redis_errors.OutOfMemoryError, redis_errors.ReadOnlyError)

SeenLookup = tuple[str, int, Sequence[int]]
"""(id as decimal string, shard, hours in which it may have been counted)"""

Marks = Mapping[int, Mapping[int, str]]
"""start (s) -> partition -> mark of the change that made the pane dirty"""


class RedisStore:
    """State of the partitions under `{p}:` and of the closer under `{closer}:`.

    Safe for concurrent calls of one event loop. `close` it when done.
    """

    def __init__(self, settings: RedisSettings, horizons: Horizons) -> None:
        self._horizons = horizons
        # redis-py's own types leave most returns unknown; this module is where they become ours.
        self._redis: Any = cast(Any, aioredis.Redis).from_url(
            settings.url,
            username=settings.username or None,
            password=settings.password.reveal() or None,
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
            # We retry ourselves: an apply that is tried again must be compared with the cursor.
            retry=None,
            protocol=2,
        )
        self._apply = self._redis.register_script((_HERE / "apply.lua").read_bytes())
        self._seen = self._redis.register_script((_HERE / "seen.lua").read_bytes())
        self._close = self._redis.register_script((_HERE / "close.lua").read_bytes())
        self._clean = self._redis.register_script((_HERE / "clean.lua").read_bytes())
        self._publish = self._redis.register_script((_HERE / "publish.lua").read_bytes())
        self.alerts = AlertState(self._redis, _redis_faults)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raise `StoreUnavailable` unless Redis answers."""
        async with _redis_faults():
            await self._redis.ping()

    async def health(self) -> StoreHealth:
        """Return what Redis says of itself."""
        async with _redis_faults():
            return read_health(await self._redis.info())

    async def horizon_entries(self, partitions: Iterable[int]) -> dict[str, int]:
        """Return horizon -> how many entries it keeps, over the partitions."""
        asked = [(partition, horizon) for partition in partitions for horizon in HORIZONS]
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition, horizon in asked:
                kind, name = HORIZONS[horizon]
                size_of = pipe.zcard if kind == "zset" else pipe.hlen
                size_of(f"{keys.prefix(partition)}{name}")
            found = await pipe.execute()
        entries = dict.fromkeys(HORIZONS, 0)
        for (_, horizon), count in zip(asked, found, strict=True):
            entries[horizon] += int(count)
        return entries

    async def partition_state(self, partition: int) -> PartitionState:
        """Return the cursors, watermark and totals of a partition; zeros if it is new."""
        async with _redis_faults():
            stored = await self._redis.hgetall(keys.cursor(partition))
        fields: dict[str, int] = {name.decode(): int(value) for name, value in stored.items()}
        return PartitionState(
            cursors={topic: fields.get(topic, -1) for topic in (POSTS, POST_EVENTS)},
            watermark_ms=fields.get("watermark", -1),
            closed_s=fields.get("closed", -1),
            forgotten_s=fields.get("forgotten", -1),
            totals={k: v for k, v in fields.items() if k not in _NOT_TOTALS},
        )

    async def partitions(self) -> list[int]:
        """Return the partitions that have state, without asking Kafka how many there are."""
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in range(keys.MAX_PARTITIONS):
                pipe.exists(keys.cursor(partition))
            found = await pipe.execute()
        return [partition for partition, exists in enumerate(found) if exists]

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
            CursorConflict: that record was applied already, by another writer, or the store went
                back to before `applied`.
        """
        if not lookups:
            return []
        message = _pack.encode([[post_id, shard, *hours] for post_id, shard, hours in lookups])
        asker = "" if first is None else first
        async with _redis_faults():
            answer = await self._seen(keys=[keys.cursor(partition)], args=[message, asker, applied])
        if isinstance(answer, int):
            raise CursorConflict(partition, POSTS, (first or 0) - 1, answer)
        return [flag == 1 for flag in answer]

    async def apply(self, partition: int, batch: ApplyBatch) -> Applied:
        """Apply a batch, all of it or nothing.

        Raises:
            CursorConflict: another cursor is stored; nothing was written.
            StoreUnavailable: Redis did not answer; it may or may not have applied the batch, which
                the next try finds out by the cursor.
        """
        arguments = batch.arguments(self._horizons)
        async with _redis_faults():
            answer = await self._apply(keys=[keys.cursor(partition)], args=arguments)
        if answer[0] == 0:
            raise CursorConflict(partition, batch.topic, batch.expected, int(answer[1]))
        return Applied(removed=answer[1], edited=answer[2])

    # -- reading panes ------------------------------------------------------------------------

    async def pane_starts(self, partitions: Iterable[int]) -> list[int]:
        """Return the starts (s) of all panes of these partitions, in order."""
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in partitions:
                pipe.zrange(f"{keys.prefix(partition)}starts", 0, -1)
            found = await pipe.execute()
        return sorted({int(start) for starts in found for start in starts})

    async def pane(self, partitions: Sequence[int], start_s: int) -> dict[str, PaneSum]:
        """Return the pane that starts at `start_s`, by query, summed over the partitions."""
        return (await self.panes(partitions, [start_s]))[start_s]

    async def panes(
        self, partitions: Sequence[int], starts: Sequence[int]
    ) -> dict[int, dict[str, PaneSum]]:
        """Return start (s) -> query -> sum over the partitions, in two round trips.

        Every reader of panes reads here, so heartbeats are left out here: nobody is shown them.
        """
        asked = [(start_s, partition) for start_s in starts for partition in partitions]
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for start_s, partition in asked:
                pipe.hgetall(keys.pane(partition, start_s))
                pipe.hgetall(keys.strata(partition, start_s))
            found = await pipe.execute()
        panes: dict[int, dict[str, PaneSum]] = {start_s: {} for start_s in starts}
        owners: list[tuple[int, int, str]] = []
        for (start_s, partition), counters, strata in zip(
            asked, found[::2], found[1::2], strict=True
        ):
            sums = panes[start_s]
            for raw_query, packed in counters.items():
                if raw_query == _HEARTBEAT:
                    continue
                query = raw_query.decode()
                add_into(sums.setdefault(query, PaneSum()).counters, _unpack_ints.decode(packed))
                owners.append((partition, start_s, query))
            for raw_query, packed in strata.items():
                if raw_query == _HEARTBEAT:
                    continue
                into = sums.setdefault(raw_query.decode(), PaneSum()).strata
                for name, values in _unpack_strata.decode(packed).items():
                    add_into(into.setdefault(name, []), values)
        await self._add_authors(panes, owners)
        return panes

    async def _add_authors(
        self, panes: dict[int, dict[str, PaneSum]], owners: list[tuple[int, int, str]]
    ) -> None:
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition, start_s, query in owners:
                pipe.pfcount(keys.authors(partition, start_s, query))
            counts = await pipe.execute()
        for (_, start_s, query), count in zip(owners, counts, strict=True):
            panes[start_s][query].authors += int(count)

    # -- the closer ---------------------------------------------------------------------------

    async def close_through(self, partitions: Iterable[int], start_s: int) -> int:
        """Close the panes that start before `start_s`; they become dirty, that is to be published.

        Each partition does both in one step, so that a pane is either published as it is or dirty,
        wherever a closer dies. Closing never goes back, and a partition that appears late catches
        up by the same call.

        Returns:
            How many panes this call closed, over the partitions.
        """
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in partitions:
                await self._close(keys=[keys.cursor(partition)], args=[start_s], client=pipe)
            return sum(await pipe.execute())

    async def dirty(self, partitions: Iterable[int]) -> Marks:
        """Return the closed panes not published as they are: start -> partition -> mark."""
        listed = list(partitions)
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in listed:
                pipe.hgetall(f"{keys.prefix(partition)}dirty")
            found = await pipe.execute()
        changed: dict[int, dict[int, str]] = {}
        for partition, marks in zip(listed, found, strict=True):
            for start, mark in marks.items():
                changed.setdefault(int(start), {})[partition] = mark.decode()
        return changed

    async def clean(self, marks: Marks) -> None:
        """Take panes off the dirty list, after they were published as they were under these marks.

        One that changed since has another mark and stays.
        """
        by_partition: dict[int, list[str]] = {}
        for start_s, partitions in marks.items():
            for partition, mark in partitions.items():
                by_partition.setdefault(partition, []).extend((str(start_s), mark))
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition, pairs in by_partition.items():
                await self._clean(keys=[keys.cursor(partition)], args=pairs, client=pipe)
            await pipe.execute()

    async def begin_closing(self) -> int:
        """Return the epoch of a new active closer; every earlier one is refused from now on."""
        async with _redis_faults():
            return int(await self._redis.incr(keys.EPOCH))

    async def revisions(self, starts: Sequence[int]) -> dict[int, dict[str, Published]]:
        """Return start (s) -> query -> what was last published."""
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for start_s in starts:
                pipe.hgetall(keys.revisions(start_s))
            found = await pipe.execute()
        return {
            start_s: {q.decode(): Published.unpacked(v.decode()) for q, v in stored.items()}
            for start_s, stored in zip(starts, found, strict=True)
        }

    async def set_revisions(
        self, epoch: int, published: Mapping[int, Mapping[str, Published]]
    ) -> bool:
        """Remember start (s) -> query -> what is published, all of it or nothing.

        Returns:
            False if another closer has begun since `epoch`; nothing was written then.
        """
        arguments: list[str | int] = [epoch]
        for start_s, by_query in published.items():
            for query, state in by_query.items():
                arguments.extend((start_s, query, state.packed()))
        async with _redis_faults():
            return await self._publish(keys=[keys.EPOCH], args=arguments) == 1

    async def forget_revisions(self, before_s: int, at_most: int = 100) -> None:
        """Forget what was published of panes that start before `before_s`, a few at a time."""
        async with _redis_faults():
            old = await self._redis.zrangebyscore(
                keys.PUBLISHED, "-inf", f"({before_s}", start=0, num=at_most
            )
            if old:
                pipe = self._redis.pipeline(transaction=False)
                pipe.unlink(*(keys.revisions(int(start_s)) for start_s in old))
                pipe.zrem(keys.PUBLISHED, *old)
                await pipe.execute()


@asynccontextmanager
async def _redis_faults() -> AsyncGenerator[None]:
    """Turn what Redis and the network raise into our tree; our own mistakes pass unchanged."""
    try:
        yield
    except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {error}") from error
    except redis_errors.ResponseError as error:
        if isinstance(error, _PASSING_KINDS) or _PASSING.search(str(error)):
            raise StoreUnavailable(f"Redis refuses for now: {str(error)[:200]}") from error
        raise
