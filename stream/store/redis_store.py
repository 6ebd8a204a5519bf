"""The only import of redis: the state of partitions, and what the closer remembers.

One `RedisStore` per process. Every failure that a later try may mend (away, loading, out of memory,
disk full, read-only) becomes `StoreUnavailable`: the caller waits and tries again, nothing is
skipped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import redis.asyncio as aioredis
from redis import exceptions as redis_errors

from core.errors import CursorConflict, StoreUnavailable
from core.settings import RedisSettings
from stream.store import keys
from stream.store.increments import Applied, ApplyBatch, Horizons, PaneSum, PartitionState
from stream.topics import POST_EVENTS, POSTS
from stream.windows.layout import add_into

_HERE: Final = Path(__file__).parent
_unpack_ints: Final = msgspec.msgpack.Decoder(list[int])
_unpack_strata: Final = msgspec.msgpack.Decoder(dict[str, list[int]])
_pack: Final = msgspec.msgpack.Encoder()
_NOT_TOTALS: Final = frozenset({POSTS, POST_EVENTS, "watermark", "closed"})

# Answers of Redis that pass by themselves or by an operator's hand; everything else is our mistake.
_PASSING: Final = ("OOM", "MISCONF", "LOADING", "READONLY", "BUSY", "CLUSTERDOWN", "MASTERDOWN")

SeenLookup = tuple[str, int, Sequence[int]]
"""(id as decimal string, shard, hours in which it may have been counted)"""


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

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raise `StoreUnavailable` unless Redis answers."""
        async with _redis_faults():
            await self._redis.ping()

    async def partition_state(self, partition: int) -> PartitionState:
        """Return the cursors, watermark and totals of a partition; zeros if it is new."""
        async with _redis_faults():
            stored = await self._redis.hgetall(keys.cursor(partition))
        fields: dict[str, int] = {name.decode(): int(value) for name, value in stored.items()}
        return PartitionState(
            cursors={topic: fields.get(topic, -1) for topic in (POSTS, POST_EVENTS)},
            watermark_ms=fields.get("watermark", -1),
            closed_s=fields.get("closed", -1),
            totals={k: v for k, v in fields.items() if k not in _NOT_TOTALS},
        )

    async def seen(self, partition: int, lookups: Sequence[SeenLookup]) -> list[bool]:
        """Tell for each id whether the partition has counted it inside the dedupe horizon."""
        if not lookups:
            return []
        message = _pack.encode([[post_id, shard, *hours] for post_id, shard, hours in lookups])
        async with _redis_faults():
            answer = await self._seen(keys=[keys.cursor(partition)], args=[message])
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
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in partitions:
                pipe.hgetall(keys.pane(partition, start_s))
                pipe.hgetall(keys.strata(partition, start_s))
            found = await pipe.execute()
        sums: dict[str, PaneSum] = {}
        owners: list[tuple[int, str]] = []
        for partition, counters, strata in zip(partitions, found[::2], found[1::2], strict=True):
            for raw_query, packed in counters.items():
                query = raw_query.decode()
                add_into(sums.setdefault(query, PaneSum()).counters, _unpack_ints.decode(packed))
                owners.append((partition, query))
            for raw_query, packed in strata.items():
                into = sums.setdefault(raw_query.decode(), PaneSum()).strata
                for name, values in _unpack_strata.decode(packed).items():
                    add_into(into.setdefault(name, []), values)
        await self._add_authors(sums, owners, start_s)
        return sums

    async def _add_authors(
        self, sums: dict[str, PaneSum], owners: list[tuple[int, str]], start_s: int
    ) -> None:
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition, query in owners:
                pipe.pfcount(keys.authors(partition, start_s, query))
            counts = await pipe.execute()
        for (_, query), count in zip(owners, counts, strict=True):
            sums[query].authors += int(count)

    # -- the closer ---------------------------------------------------------------------------

    async def closed_through(self) -> int:
        """Return the start (s) before which every pane is closed; -1 if none is."""
        async with _redis_faults():
            stored = await self._redis.get(f"{keys.CLOSER}closed")
        return int(stored) if stored else -1

    async def close_through(self, partitions: Iterable[int], start_s: int) -> None:
        """Mark panes that start before `start_s` as closed: from now on a change makes them dirty.

        The partitions are marked first, so that no change can fall between reading a pane and
        marking it.
        """
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in partitions:
                pipe.hset(keys.cursor(partition), "closed", str(start_s))
            await pipe.execute()
            await self._redis.set(f"{keys.CLOSER}closed", start_s)

    async def dirty(self, partitions: Iterable[int]) -> dict[int, list[int]]:
        """Return start (s) -> partitions in which a closed pane changed since last published."""
        listed = list(partitions)
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in listed:
                pipe.smembers(f"{keys.prefix(partition)}dirty")
            found = await pipe.execute()
        changed: dict[int, list[int]] = {}
        for partition, starts in zip(listed, found, strict=True):
            for start in starts:
                changed.setdefault(int(start), []).append(partition)
        return changed

    async def clean(self, partitions: Iterable[int], start_s: int) -> None:
        """Take `start_s` off the dirty lists, *before* it is read again.

        A change that comes after this marks it dirty again; the other order would lose it.
        """
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in partitions:
                pipe.srem(f"{keys.prefix(partition)}dirty", start_s)
            await pipe.execute()

    async def mark_dirty(self, partition: int, start_s: int) -> None:
        """Put a start back on a dirty list, after a correction that could not be published."""
        async with _redis_faults():
            await self._redis.sadd(f"{keys.prefix(partition)}dirty", start_s)

    async def revisions(self, start_s: int) -> dict[str, tuple[int, str]]:
        """Return query -> (revision, digest) last published for a pane."""
        async with _redis_faults():
            stored = await self._redis.hgetall(keys.revisions(start_s))
        published: dict[str, tuple[int, str]] = {}
        for query, value in stored.items():
            revision, _, digest = value.decode().partition(":")
            published[query.decode()] = (int(revision), digest)
        return published

    async def set_revisions(
        self, start_s: int, published: Mapping[str, tuple[int, str]], keep_s: int
    ) -> None:
        """Remember what was published of a pane, for `keep_s` seconds of wall-clock time."""
        if not published:
            return
        async with _redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hset(
                keys.revisions(start_s),
                mapping={q: f"{revision}:{digest}" for q, (revision, digest) in published.items()},
            )
            pipe.expire(keys.revisions(start_s), keep_s)
            await pipe.execute()


@asynccontextmanager
async def _redis_faults() -> AsyncGenerator[None]:
    """Turn what Redis and the network raise into our tree; our own mistakes pass unchanged."""
    try:
        yield
    except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {error}") from error
    except redis_errors.ResponseError as error:
        if str(error).lstrip("-").startswith(_PASSING) or any(
            f" {word} " in f" {error} " for word in _PASSING
        ):
            raise StoreUnavailable(f"Redis refuses for now: {str(error)[:200]}") from error
        raise
