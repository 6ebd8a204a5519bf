"""Indexes that are of another type than they should: made anew from what they index.

What else cannot be read needs the topics: `services.repair`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from core.logs import get_logger
from stream.store import keys
from stream.store.client import answers, is_wrong_value, redis_faults, scan
from stream.store.quarantine import integer

_log = get_logger(__name__)

_OF_KEYS: Final = {"starts": "pane", "seen-hours": "seen", "kept-hours": "kept"}
"""Name of an index below a partition's prefix -> the keys that it lists, by their first number."""


async def heal(client: Any, partition: int, key: str) -> bool:
    """Make an index of a partition anew; what stood there is kept under `{p}:aside:`.

    Returns:
        False if the key is none of those that can be made anew.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    prefix = keys.prefix(partition)
    name = key.removeprefix(prefix)
    if name in _OF_KEYS:
        numbers = await _numbers(client, f"{prefix}{_OF_KEYS[name]}:")
        scored = {number: number for number in numbers}
    elif name == "ahead-due":
        # When each was said is lost: all are kept for as long as those of the last hour.
        pipe = client.pipeline(transaction=False)
        pipe.hkeys(f"{prefix}ahead")
        pipe.hget(keys.cursor(partition), "watermark")
        ids, watermark = await answers(pipe)
        hour = max(0, _integer_or(0, watermark)) // 3_600_000
        scored = {} if is_wrong_value(ids) else dict.fromkeys(ids, hour)
    elif name == "dirty":
        await _replace(client, partition, key)
        await _all_dirty(client, partition)
        return True
    else:
        return False
    await _replace(client, partition, key)
    if scored:
        async with redis_faults():
            await client.zadd(key, scored)
    return True


async def heal_published(client: Any) -> None:
    """Make the index of published panes anew."""
    starts = await _numbers(client, f"{keys.CLOSER}rev:")
    async with redis_faults():
        await client.rename(keys.PUBLISHED, f"{keys.CLOSER}aside:published")
        if starts:
            await client.zadd(keys.PUBLISHED, {start: start for start in starts})
    _log.error("an index could not be read and was made anew", key=keys.PUBLISHED)


async def _replace(client: Any, partition: int, key: str) -> None:
    prefix = keys.prefix(partition)
    async with redis_faults():
        await client.rename(key, f"{prefix}aside:{key.removeprefix(prefix)}")
    _log.error(
        "an index could not be read (WRONGTYPE) and was made anew", key=key, partition=partition
    )


async def _all_dirty(client: Any, partition: int) -> None:
    """Let the closer look at every closed pane again; nothing unchanged is published again."""
    prefix = keys.prefix(partition)
    pipe = client.pipeline(transaction=False)
    pipe.hget(keys.cursor(partition), "closed")
    pipe.zrange(f"{prefix}starts", 0, -1)
    closed, starts = await answers(pipe)
    closed_s = _integer_or(-1, closed)
    marks = {start: "healed" for start in starts if _integer_or(closed_s, start) < closed_s}
    if marks:
        async with redis_faults():
            await client.hset(f"{prefix}dirty", mapping=marks)


async def _numbers(client: Any, prefix: str) -> Iterable[int]:
    """Return the first numbers in the names of keys that begin so."""
    found: set[int] = set()
    async for key in scan(client, prefix):
        number = key.removeprefix(prefix.encode()).partition(b":")[0]
        found.add(_integer_or(-1, number))
    return found - {-1}


def _integer_or(otherwise: int, raw: bytes | None) -> int:
    """Return a stored integer; something else may be unreadable beside the index."""
    try:
        return integer(raw or b"")
    except ValueError:
        return otherwise
