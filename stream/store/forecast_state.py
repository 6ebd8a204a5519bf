"""What the forecaster keeps of its partitions, as bytes; see `stream.store.keys` for the layout.

A partition's records and how far both its topics were read change in one step (`forecast.lua`), so
that whoever takes over goes on exactly where the records are. What the records mean is theirs who
made them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from core.errors import CursorConflict, StateUnreadable
from core.logs import get_logger
from stream.store import keys
from stream.store.client import answers, is_wrong_value, readable, redis_faults
from stream.store.forecast_records import SEEN, ForecastApply, ReadUpTo, StoredForecasts
from stream.store.quarantine import integer
from stream.store.scripts import ALONE, Replication, Script, Together
from stream.topics import POST_EVENTS, SCORED_POSTS

_log = get_logger(__name__)

_APPLIED: Final = 1
_READ_AT_ONCE: Final = 256
"""Shards read in one go: about a megabyte."""
_NO_TOTALS: Final = frozenset({SCORED_POSTS, POST_EVENTS, "token"})

Wrong = Callable[[str, bytes, bytes], str]
"""Given kind, field and record, says what is wrong with it; "" if nothing is."""


class ForecastState:
    """The part of the store that is about forecasts; `RedisStore.forecasts` is one.

    Args:
        client: The store's connection.
        replication: What replicas must have of an apply.
    """

    def __init__(self, client: Any, replication: Replication = ALONE) -> None:
        self._redis = client
        self._apply = Script(client, "forecast", replication=replication)
        self._read = Script(client, "forecast_read")
        self._together = Together(client)

    async def apply(self, partition: int, what: ForecastApply) -> list[str]:
        """Keep all of it or nothing.

        Returns:
            The shards, `kind:number`, that were of another type and are set aside.

        Raises:
            CursorConflict: Another writer was here; nothing was written.
            StateUnreadable: How far the topics were taken cannot be read; nothing was written.
            StoreUnavailable: Redis did not answer; it may or may not have kept it, which the next
                try with the same token finds out.
        """
        async with redis_faults():
            answer = await self._apply(keys.forecast(partition), what.arguments())
        answer = readable(partition, answer)
        if answer[0] != _APPLIED:
            posts, events = int(answer[1]), int(answer[2])
            if posts != what.expected.posts:
                raise CursorConflict(partition, SCORED_POSTS, what.expected.posts, posts)
            raise CursorConflict(partition, POST_EVENTS, what.expected.events, events)
        return [name.decode(errors="backslashreplace") for name in answer[1]]

    async def load(self, partition: int, kinds: Iterable[str], wrong: Wrong) -> StoredForecasts:
        """Return what is kept of a partition, of these kinds; what cannot be read is set aside.

        Args:
            partition: Its number.
            kinds: The kinds of records that are wanted.
            wrong: Judges each record.
        """
        found = StoredForecasts()
        for kind in kinds:
            found.records[kind] = await self._records(partition, kind, wrong, found)
        found.upto = await self._read_upto(partition, found)
        return found

    async def partitions(self) -> list[int]:
        """Return the partitions of which something is kept."""
        pipe = self._redis.pipeline(transaction=False)
        for partition in range(keys.MAX_PARTITIONS):
            pipe.exists(keys.forecast(partition))
        return [number for number, exists in enumerate(await answers(pipe)) if exists]

    async def read(
        self, partition: int, kinds: Iterable[str]
    ) -> tuple[dict[str, int], dict[str, dict[bytes, bytes]]]:
        """Return the running totals of a partition, and kind -> field -> record; change nothing.

        What is of another type is left out: who works on the partition says so.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(keys.forecast(partition))
        (stored,) = await answers(pipe)
        try:
            totals = _totals(_numbers(partition, stored))
        except StateUnreadable:
            totals = {}
        records: dict[str, dict[bytes, bytes]] = {}
        for kind in kinds:
            of_kind = records.setdefault(kind, {})
            async for _, flat in self._shards(partition, kind):
                if flat != 0:
                    of_kind.update(zip(flat[::2], flat[1::2], strict=True))
        return totals, records

    async def _read_upto(self, partition: int, found: StoredForecasts) -> ReadUpTo | None:
        """Return how far the topics were taken, and fill in the totals."""
        key = keys.forecast(partition)
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(key)
        (stored,) = await answers(pipe)
        try:
            numbers = _numbers(partition, stored)
        except StateUnreadable as fault:
            _log.error("stored state of forecasts is set aside", reason=str(fault))
            found.refuse("cursor")
            await self._put_key_aside(partition, key)
            return None
        found.totals = _totals(numbers)
        if SCORED_POSTS not in numbers and any(found.records.values()):
            return None
        seen = {n.removeprefix(SEEN): v for n, v in numbers.items() if n.startswith(SEEN)}
        return ReadUpTo(numbers.get(SCORED_POSTS, -1), numbers.get(POST_EVENTS, -1), seen)

    async def _records(
        self, partition: int, kind: str, wrong: Wrong, found: StoredForecasts
    ) -> dict[bytes, bytes]:
        records: dict[bytes, bytes] = {}
        async for name, flat in self._shards(partition, kind):
            if flat == 0:
                found.refuse(kind)
                _log.error(
                    "a key of another type (WRONGTYPE) is set aside", key=name, expected="a hash"
                )
                await self._put_key_aside(partition, name)
                continue
            there = dict(zip(flat[::2], flat[1::2], strict=True))
            whys = {one: why for one, blob in there.items() if (why := wrong(kind, one, blob))}
            if whys:
                await self._put_fields_aside(partition, name, whys)
                found.refuse(kind, len(whys))
            records.update({one: blob for one, blob in there.items() if one not in whys})
        return records

    async def _shards(self, partition: int, kind: str) -> AsyncGenerator[tuple[str, Any]]:
        """Yield the key of each shard in which there is something, and what; 0 if it is no hash."""
        count = keys.forecast_shards(kind)
        for first in range(0, count, _READ_AT_ONCE):
            last = min(first + _READ_AT_ONCE, count) - 1
            async with redis_faults():
                answer = await self._read(keys.forecast(partition), [kind, first, last])
            for shard, flat in zip(answer[::2], answer[1::2], strict=True):
                yield keys.forecast_shard(partition, kind, shard), flat

    async def _put_key_aside(self, partition: int, key: str) -> None:
        async with redis_faults():
            if await self._redis.exists(key):
                await self._redis.rename(key, keys.aside(partition, key))

    async def _put_fields_aside(self, partition: int, key: str, whys: Mapping[bytes, str]) -> None:
        """Set records aside under their old names; of those of one name the last is kept."""
        for name, why in whys.items():
            _log.error(
                "a stored record of forecasts cannot be read and is set aside", key=key,
                field=name.hex(), found=why,
            )  # fmt: skip
        aside = keys.aside(partition, key) + ":fields"
        async with redis_faults():
            values: Sequence[bytes | None] = await self._redis.hmget(key, list(whys))
            kept = {n: v for n, v in zip(whys, values, strict=True) if v is not None}
            kind = await self._redis.type(aside)
            may_keep = kind in (b"hash", b"none")
            keep = [("HSET", aside, n, v) for n, v in kept.items() if may_keep]
            await self._together(key, *keep, *(("HDEL", key, name) for name in whys))


def _totals(numbers: Mapping[str, int]) -> dict[str, int]:
    return {
        name: number
        for name, number in numbers.items()
        if name not in _NO_TOTALS and not name.startswith(SEEN)
    }


def _numbers(partition: int, stored: Any) -> dict[str, int]:
    """Return the numbers of a partition's own hash.

    Raises:
        StateUnreadable: It is no hash, or one is no integer.
    """
    key = keys.forecast(partition)
    if is_wrong_value(stored):
        raise StateUnreadable(partition, key, "a key of another type (WRONGTYPE)", "a hash")
    found: Mapping[bytes, bytes] = stored
    numbers: dict[str, int] = {}
    for raw_name, value in found.items():
        name = raw_name.decode(errors="backslashreplace")
        if name == "token":
            continue
        try:
            numbers[name] = integer(value)
        except ValueError as error:
            raise StateUnreadable(partition, f"{key} {name}", str(error), "an integer") from error
        if name in (SCORED_POSTS, POST_EVENTS) and numbers[name] < -1:
            raise StateUnreadable(partition, f"{key} {name}", str(numbers[name]), "an offset")
    return numbers
