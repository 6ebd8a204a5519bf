"""What the closer does to the store: closing, what is dirty, which revisions were published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from core.errors import StateUnreadable
from core.logs import get_logger
from stream.store import keys
from stream.store.client import (
    answers,
    ask_fields,
    by_field,
    is_wrong_value,
    now_ms,
    redis_faults,
)
from stream.store.healing import heal_published
from stream.store.quarantine import EVERY, Missing, integer, is_start
from stream.store.scripts import ALONE, Replication, Script
from stream.windows.records import Published, ScoringModel

_log = get_logger(__name__)

CLOSERS: Final = -1
"""Stands in the place of a partition for what is the closer's own."""

Marks = Mapping[int, Mapping[int, bytes]]
"""start (s) -> partition -> mark of the change that made the pane dirty"""


class CloserState:
    """The part of the store that the closer changes; `RedisStore` is one.

    Args:
        client: The connection.
        replication: What replicas must have of revisions.
    """

    def __init__(self, client: Any, replication: Replication = ALONE) -> None:
        self._redis = client
        self._close = Script(client, "partition", "close")
        self._clean = Script(client, "partition", "clean")
        self._publish = Script(client, "publish", replication=replication)
        self._scored_by = Script(client, "scored_by")

    async def close_through(self, partitions: Iterable[int], start_s: int) -> int:
        """Close the panes that start before `start_s`; they become dirty, that is to be published.

        Each partition does both in one step, so that a pane is either published as it is or dirty,
        wherever a closer dies. Closing never goes back, and a partition that appears late catches
        up by the same call.

        Returns:
            How many panes this call closed, over the partitions.
        """
        asked = [(keys.cursor(partition), (start_s, now_ms())) for partition in partitions]
        async with redis_faults():
            # One that cannot be read catches up by the same call once it is repaired.
            return sum(n for n in await self._close.each(asked) if isinstance(n, int))

    async def dirty(self, partitions: Iterable[int]) -> Marks:
        """Return the closed panes not published as they are: start -> partition -> mark."""
        listed = list(partitions)
        pipe = self._redis.pipeline(transaction=False)
        for partition in listed:
            pipe.hgetall(f"{keys.prefix(partition)}dirty")
        changed: dict[int, dict[int, bytes]] = {}
        for partition, marks in zip(listed, await answers(pipe), strict=True):
            stored: Mapping[bytes, bytes] = {} if is_wrong_value(marks) else marks
            for start, mark in stored.items():
                if is_start(start):
                    changed.setdefault(int(start), {})[partition] = mark
        return changed

    async def clean(self, marks: Marks) -> None:
        """Take panes off the dirty list, after they were published as they were under these marks.

        One that changed since has another mark and stays.
        """
        by_partition: dict[int, list[str | bytes]] = {}
        for start_s, partitions in marks.items():
            for partition, mark in partitions.items():
                by_partition.setdefault(partition, []).extend((str(start_s), mark))
        async with redis_faults():
            await self._clean.each([(keys.cursor(p), pairs) for p, pairs in by_partition.items()])

    async def begin_closing(self) -> int:
        """Return the epoch of a new active closer; every earlier one is refused from now on."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.incr(keys.EPOCH)
        (epoch,) = await answers(pipe)
        if is_wrong_value(epoch):
            # Any number that no closer has is as good: they are only compared.
            epoch = now_ms()
            _log.error(
                "the closers' epoch cannot be read and begins anew", key=keys.EPOCH,
                expected="an integer", epoch=epoch,
            )  # fmt: skip
            async with redis_faults():
                await self._redis.set(keys.EPOCH, epoch)
        return int(epoch)

    async def revisions(self, starts: Sequence[int]) -> dict[int, dict[str, Published]]:
        """Return start (s) -> query -> what was last published, as far as it can be read."""
        return (await self.read_revisions(starts))[0]

    async def read_revisions(
        self, starts: Sequence[int], queries: Sequence[str] | None = None
    ) -> tuple[dict[int, dict[str, Published]], list[Missing]]:
        """Return start (s) -> query -> what was last published, and of which it cannot be read.

        With `queries` only theirs are read.
        """
        pipe = self._redis.pipeline(transaction=False)
        for start_s in starts:
            ask_fields(pipe, keys.revisions(start_s), queries)
        found: dict[int, dict[str, Published]] = {}
        missing: list[Missing] = []
        for start_s, answer in zip(starts, await answers(pipe), strict=True):
            stored = by_field(answer, queries)
            of_start = found.setdefault(start_s, {})
            if is_wrong_value(stored):
                why = f"{keys.revisions(start_s)} is of another type (WRONGTYPE), expected a hash"
                missing.append(Missing(CLOSERS, start_s, EVERY, why))
                continue
            for raw_query, value in stored.items():
                query = raw_query.decode(errors="backslashreplace")
                try:
                    of_start[query] = Published.unpacked(value.decode())
                except ValueError:
                    why = f"{keys.revisions(start_s)} holds {value[:64]!r}, expected a revision"
                    missing.append(Missing(CLOSERS, start_s, query, why))
        return found, missing

    async def set_revisions(
        self, epoch: int, published: Mapping[int, Mapping[str, Published]]
    ) -> bool:
        """Remember start (s) -> query -> what is published, all of it or nothing.

        Returns:
            False if another closer has begun since `epoch`; nothing was written then.

        Raises:
            StateUnreadable: One cannot be written to; nothing was written.
        """
        arguments: list[str | int] = [epoch]
        for start_s, by_query in published.items():
            for query, state in by_query.items():
                arguments.extend((start_s, query, state.packed()))
        async with redis_faults():
            answer = await self._publish(keys.EPOCH, arguments)
        if isinstance(answer, bytes):
            raise StateUnreadable(
                CLOSERS, answer.decode(errors="backslashreplace"), "a key of another type", "a hash"
            )
        return answer == 1

    async def scoring_model(self) -> ScoringModel | None:
        """Return which model scores, as the closer last said; None if it said nothing readable."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hmget(keys.SCORED_BY, "version", "since")
        (stored,) = await answers(pipe)
        if is_wrong_value(stored) or None in stored:
            return None
        try:
            return ScoringModel(stored[0].decode(), integer(stored[1]))
        except ValueError:
            return None

    async def set_scoring_model(self, epoch: int, model: ScoringModel) -> bool:
        """Remember which model scores; False if another closer has begun since `epoch`."""
        async with redis_faults():
            answer = await self._scored_by(keys.EPOCH, [epoch, model.version, model.since_s])
        return answer == 1

    async def forget_revisions(self, before_s: int, at_most: int = 100) -> None:
        """Forget what was published of panes that start before `before_s`, a few at a time."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.zrangebyscore(keys.PUBLISHED, "-inf", f"({before_s}", start=0, num=at_most)
        (old,) = await answers(pipe)
        if is_wrong_value(old):
            await heal_published(self._redis)
        elif old:
            async with redis_faults():
                pipe = self._redis.pipeline(transaction=False)
                # In words: a cluster's pipeline takes the method for keys of many slots.
                pipe.execute_command(
                    "UNLINK", *(f"{keys.CLOSER}rev:".encode() + start for start in old)
                )
                pipe.zrem(keys.PUBLISHED, *old)
                await pipe.execute()
