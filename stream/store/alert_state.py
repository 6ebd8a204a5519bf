"""What the judge of shifts and the delivery of alerts keep in the store, as bytes.

Saved by one script, so that an alert is decided exactly when the state that decided it is kept.
Whoever takes over finds both, or neither, and then judges the same windows on the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stream.store import keys

_SCRIPT: Final = Path(__file__).parent / "judged.lua"

MAX_STATES: Final = 64
"""Read at once; a state may have tens of kilobytes."""


@dataclass(frozen=True, slots=True)
class Said:
    """An alert that was decided.

    Attributes:
        alert_id: under which it is open.
        opened: what the delivery keeps of it.
        record: for the topic `alerts`.
    """

    alert_id: str
    opened: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class JudgeSave:
    """What is saved in one step.

    Attributes:
        states: query -> state of its judge.
        forgotten: queries that have none any more.
        known: what is known beside the queries; b"" leaves what is stored.
        said: alerts decided by these states.
    """

    states: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    forgotten: Sequence[str] = ()
    known: bytes = b""
    said: Sequence[Said] = ()

    def arguments(self) -> list[bytes | str | int]:
        """Return the arguments of `judged.lua` from the fourth on."""
        listed: list[bytes | str | int] = [self.known, len(self.states)]
        for query, state in self.states.items():
            listed.extend((query, state))
        listed.extend((len(self.forgotten), *self.forgotten))
        for one in self.said:
            listed.extend((one.alert_id, one.opened, one.record))
        return listed


@dataclass(frozen=True, slots=True)
class StoredJudge:
    """What a closer finds when it takes over.

    Attributes:
        token: of the last save; "" before the first.
        known: what was known beside the queries.
        states: query -> state.
        opened: alert id -> what the delivery keeps of it.
    """

    token: str
    known: bytes
    states: dict[str, bytes]
    opened: dict[str, bytes]


class AlertState:
    """The part of the store that is about alerts; `RedisStore.alerts` makes it.

    Args:
        client: the store's connection.
        faults: turns what it raises into our errors.
    """

    def __init__(
        self, client: Any, faults: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        self._redis = client
        self._faults = faults
        self._save = client.register_script(_SCRIPT.read_bytes())

    async def load(self) -> StoredJudge:
        """Return all that was saved."""
        async with self._faults():
            fields = await self._redis.hmget(keys.JUDGE, "token", "known")
            queries = await self._redis.hkeys(keys.STATES)
            states: dict[str, bytes] = {}
            for first in range(0, len(queries), MAX_STATES):
                some = queries[first : first + MAX_STATES]
                found = await self._redis.hmget(keys.STATES, some)
                states |= {q.decode(): s for q, s in zip(some, found, strict=True) if s is not None}
        opened = await self.opened()
        return StoredJudge((fields[0] or b"").decode(), fields[1] or b"", states, opened)

    async def save(self, epoch: int, after: str, token: str, what: JudgeSave) -> bool:
        """Save all of it or nothing; the same token twice is the same save.

        Args:
            epoch: of the closer.
            after: token of the save that this one follows.
            token: of this save, never used before.
            what: what to save.

        Returns:
            False if refused: another closer has begun since `epoch`, or the store went back to
            before `after`. Nothing was written then.
        """
        arguments = [epoch, after, token, *what.arguments()]
        async with self._faults():
            return await self._save(keys=[keys.EPOCH], args=arguments) == 1

    async def unpublished(self) -> list[tuple[int, bytes]]:
        """Return the records that `published` has not taken off yet, numbered, in order."""
        async with self._faults():
            found = await self._redis.hgetall(keys.OUTBOX)
        return sorted((int(number), record) for number, record in found.items())

    async def published(self, numbers: Iterable[int]) -> None:
        """Take records off the outbox: the topic has them."""
        async with self._faults():
            await self._redis.hdel(keys.OUTBOX, *numbers)

    async def opened(self) -> dict[str, bytes]:
        """Return alert id -> what the delivery keeps of it."""
        async with self._faults():
            found = await self._redis.hgetall(keys.OPEN)
        return {alert_id.decode(): packed for alert_id, packed in found.items()}

    async def told(self) -> dict[str, str]:
        """Return alert id -> what Alertmanager was last told of it."""
        async with self._faults():
            found = await self._redis.hgetall(keys.TOLD)
        return {alert_id.decode(): mark.decode() for alert_id, mark in found.items()}

    async def mark_told(self, marks: Mapping[str, str]) -> None:
        """Remember what Alertmanager has taken."""
        async with self._faults():
            await self._redis.hset(keys.TOLD, mapping=dict(marks))

    async def drop(self, alert_ids: Sequence[str]) -> None:
        """Forget alerts that are over and told."""
        async with self._faults():
            pipe = self._redis.pipeline(transaction=True)
            pipe.hdel(keys.OPEN, *alert_ids)
            pipe.hdel(keys.TOLD, *alert_ids)
            await pipe.execute()
