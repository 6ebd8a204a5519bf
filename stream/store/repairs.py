"""The part of the store that a repair changes, beyond what an apply does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from stream.store import keys
from stream.store.client import answers, is_wrong_value, now_ms, redis_faults, scan
from stream.store.increments import CountedPost
from stream.store.quarantine import EVERY, MOST, STRATUM_BARS
from stream.store.scripts import Script, Together, Word
from stream.windows.layout import STRATUM_WIDTH
from stream.windows.records import Published

_AT_ONCE: Final = 1_000
_SHARD: Final = re.compile(rb"(?:kept|seen):[0-9]{1,15}:[0-9]{1,5}")
_contribution: Final = msgspec.msgpack.Decoder(CountedPost)


class StateRepairs:
    """Used by `groundswell windows repair`; safe while workers and closer run.

    Args:
        client: The connection.
    """

    def __init__(self, client: Any) -> None:
        self._redis = client
        self._isolate = Script(client, "partition", "isolate_kept")
        self._together = Together(client)

    async def set_contributions_aside(self, partition: int, *, is_dry: bool) -> int:
        """Look at every contribution and set of ids, and set aside what cannot be read.

        Only this looks at all of them: what nobody asks of is not read by anybody else.

        Returns:
            How many were found.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        prefix = keys.prefix(partition)
        names = [b"ahead"]
        for kind in ("kept", "seen"):
            async for key in scan(self._redis, f"{prefix}{kind}:", _AT_ONCE):
                name = key.removeprefix(prefix.encode())
                if _SHARD.fullmatch(name):
                    names.append(name)
        wrong: list[bytes] = []
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            pipe = self._redis.pipeline(transaction=False)
            for name in some:
                key = prefix.encode() + name
                pipe.scard(key) if name.startswith(b"seen") else pipe.hgetall(key)
            for name, found in zip(some, await answers(pipe), strict=True):
                if is_wrong_value(found):
                    wrong.extend((name, b"", b""))
                elif not isinstance(found, int):
                    for one, blob in found.items():
                        if not _is_contribution(blob, may_be_empty=name == b"ahead"):
                            wrong.extend((name, one, blob))
        if wrong and not is_dry:
            async with redis_faults():
                await self._isolate(keys.cursor(partition), [now_ms(), *wrong])
        return len(wrong) // 3

    async def kept_ids(self, partition: int, shard: int) -> set[bytes]:
        """Return the ids of a shard whose contribution is stored, in any hour.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        prefix = keys.prefix(partition)
        async with redis_faults():
            hours = await self._redis.zrange(f"{prefix}kept-hours", 0, -1)
        pipe = self._redis.pipeline(transaction=False)
        for hour in hours:
            pipe.hkeys(f"{prefix}kept:{hour.decode(errors='replace')}:{shard}")
        found = await answers(pipe)
        return {one for ids in found if not is_wrong_value(ids) for one in ids}

    async def release(self, partition: int, field: bytes) -> None:
        """Take an entry off the quarantine that stands for nothing."""
        async with redis_faults():
            await self._redis.hdel(keys.quarantine(partition), field)

    async def reset_partition(self, partition: int, ends: Mapping[str, int]) -> None:
        """Forget all of a partition, so that its worker counts it again from the topics.

        Its windows are withheld until it has come to where the topics end now.

        Args:
            partition: The partition.
            ends: Topic -> offset after the last record of the partition.

        Raises:
            StoreUnavailable: Redis does not answer; call again.
        """
        cursor, quarantine = keys.cursor(partition), keys.quarantine(partition)
        entry = (
            f'{{"at":{now_ms()},"posts":-1,"events":-1,"found":"a partition that is counted '
            'again","expected":"one that has come to where it was"}'
        )
        entries = {f"rebuild|{topic}|{end}": entry for topic, end in ends.items() if end > 0}
        async with redis_faults():
            # Refused while its slot is moved: all that there is is to be found below.
            await self._together(cursor)
            if await self._redis.type(cursor) in (b"hash", b"none"):
                # Unreadable to everybody, so that nothing is counted while the rest is forgotten.
                await self._redis.hset(cursor, "repair", "under way")
            # Nobody is to sum what is left: an unreadable register withholds by itself.
            if entries and await self._redis.type(quarantine) in (b"hash", b"none"):
                await self._redis.hset(quarantine, mapping=entries)
        names: list[bytes] = []
        async for key in scan(self._redis, keys.prefix(partition), _AT_ONCE):
            is_forecasters = key.startswith(keys.forecast(partition).encode())
            if key not in (cursor.encode(), quarantine.encode()) and not is_forecasters:
                names.append(key)
        withheld = (("HSET", quarantine, name, value) for name, value in entries.items())
        async with redis_faults():
            for first in range(0, len(names), _AT_ONCE):
                await self._redis.unlink(*names[first : first + _AT_ONCE])
            await self._together(cursor, ("DEL", quarantine), ("DEL", cursor), *withheld)

    async def restore_revisions(
        self, start_s: int, published: Mapping[str, Published | None]
    ) -> None:
        """Set what was last published of windows of a pane; None: nothing ever was.

        Raises:
            StoreUnavailable: Redis does not answer; call again.
        """
        key = keys.revisions(start_s)
        async with redis_faults():
            if await self._redis.type(key) not in (b"hash", b"none"):
                await self._redis.rename(key, f"{keys.CLOSER}aside:rev:{start_s}")
            stored: Mapping[bytes, bytes] = await self._redis.hgetall(key)
            changes: list[Sequence[Word]] = []
            for name, value in stored.items():
                query = name.decode(errors="backslashreplace")
                if (query in published or query == EVERY) and not Published.is_one(value):
                    # By the name as it is stored, which may be no UTF-8.
                    changes.append(("HDEL", key, name))
            for query, state in published.items():
                if state is None:
                    changes.append(("HDEL", key, query))
                else:
                    changes.append(("HSET", key, query, state.packed()))
            await self._together(key, *changes, ("ZADD", keys.PUBLISHED, start_s, start_s))

    async def look_again(self, partitions: Sequence[int], starts: Iterable[int]) -> None:
        """Let the closer look at panes again."""
        mark = f"repair:{now_ms()}"
        marks = {str(start_s): mark for start_s in starts}
        async with redis_faults():
            pipe = self._redis.pipeline(transaction=False)
            for partition in partitions if marks else ():
                pipe.hset(f"{keys.prefix(partition)}dirty", mapping=marks)
            await pipe.execute()


def _is_contribution(blob: bytes, *, may_be_empty: bool) -> bool:
    """Tell what `contribution_of` of `contributions.lua` tells."""
    if not blob:
        return may_be_empty
    try:
        found = _contribution.decode(blob)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return (
        len(found.counters) >= STRATUM_WIDTH
        and max(map(abs, (found.start_s, *found.counters))) <= MOST
        and found.stratum.count("|") == STRATUM_BARS
        and bool(found.queries)
    )
