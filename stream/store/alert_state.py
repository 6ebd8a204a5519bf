"""What the judge of shifts and the delivery of alerts keep in the store, as bytes.

Saved by one script, so that an alert is decided exactly when the state that decided it is kept.
Whoever takes over finds both, or neither, and then judges the same windows on the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.logs import get_logger
from stream.store import keys
from stream.store.client import answers, is_wrong_value, redis_faults
from stream.store.quarantine import is_integer
from stream.store.scripts import ALONE, Replication, Script, Together

_log = get_logger(__name__)

_UNREADABLE: Final = 2

MAX_STATES: Final = 64
"""Read at once; a state may have tens of kilobytes."""


@dataclass(frozen=True, slots=True)
class DecidedAlert:
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
        decided: The alerts decided by these states.
    """

    states: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    forgotten: Sequence[str] = ()
    known: bytes = b""
    decided: Sequence[DecidedAlert] = ()

    def arguments(self) -> list[bytes | str | int]:
        """Return the arguments of `judged.lua` from the fourth on."""
        listed: list[bytes | str | int] = [self.known, len(self.states)]
        for query, state in self.states.items():
            listed.extend((query, state))
        listed.extend((len(self.forgotten), *self.forgotten))
        for one in self.decided:
            listed.extend((one.alert_id, one.opened, one.record))
        return listed


@dataclass(frozen=True, slots=True)
class StoredJudge:
    """What a closer finds when it takes over.

    Attributes:
        token: The token of the last save; "" before the first.
        known: What was known beside the queries.
        states: Query -> its state.
        opened: Alert id -> what the delivery keeps of it.
    """

    token: str
    known: bytes
    states: dict[str, bytes]
    opened: dict[str, bytes]


class AlertState:
    """The part of the store that is about alerts; `RedisStore.alerts` makes it.

    What of it cannot be read is set aside under `{closer}:aside:` and left out: the judge of a
    query begins anew, an alert is told once more. Nothing of it stops the closer.

    Args:
        client: The store's connection.
        replication: What replicas must have of a save.

    Attributes:
        on_refused: Called with the name of a key when something of it is set aside.
    """

    def __init__(self, client: Any, replication: Replication = ALONE) -> None:
        self._redis = client
        self._save = Script(client, "judged", replication=replication)
        self._together = Together(client)
        self.on_refused: Callable[[str], object] = lambda _: None

    async def load(self) -> StoredJudge:
        """Return all that was saved."""
        fields, queries = await self._answers(
            lambda pipe: (pipe.hmget(keys.JUDGE, "token", "known"), pipe.hkeys(keys.STATES))
        )
        states: dict[str, bytes] = {}
        for first in range(0, len(queries), MAX_STATES):
            some = queries[first : first + MAX_STATES]
            (found,) = await self._answers(lambda pipe, some=some: pipe.hmget(keys.STATES, some))
            states |= {_text(q): s for q, s in zip(some, found, strict=True) if s is not None}
        return StoredJudge(_text(fields[0] or b""), fields[1] or b"", states, await self.opened())

    async def save(self, epoch: int, after: str, token: str, what: JudgeSave) -> bool:
        """Save all of it or nothing; the same token twice is the same save.

        Args:
            epoch: of the closer.
            after: token of the save that this one follows.
            token: of this save, never used before.
            what: what to save.

        Returns:
            False if refused: another closer has begun since `epoch`, the store went back to
            before `after`, or what is stored could not be read. Nothing was written then.
        """
        arguments = [epoch, after, token, *what.arguments()]
        async with redis_faults():
            answer = await self._save(keys.EPOCH, arguments)
        if answer == _UNREADABLE:
            await self._put_keys_aside()
        return answer == 1

    async def unpublished(self) -> list[tuple[int, bytes]]:
        """Return the records that `published` has not taken off yet, numbered, in order."""
        (found,) = await self._answers(lambda pipe: pipe.hgetall(keys.OUTBOX))
        wrong = [number for number in found if not is_integer(number)]
        await self.put_aside(keys.OUTBOX, wrong)
        return sorted((int(n), record) for n, record in found.items() if n not in wrong)

    async def published(self, numbers: Iterable[int]) -> None:
        """Take records off the outbox: the topic has them."""
        await self._answers(lambda pipe: pipe.hdel(keys.OUTBOX, *numbers))

    async def opened(self) -> dict[str, bytes]:
        """Return alert id -> what the delivery keeps of it."""
        (found,) = await self._answers(lambda pipe: pipe.hgetall(keys.OPEN))
        return {_text(alert_id): packed for alert_id, packed in found.items()}

    async def told(self) -> dict[str, str]:
        """Return alert id -> what Alertmanager was last told of it."""
        (found,) = await self._answers(lambda pipe: pipe.hgetall(keys.TOLD))
        return {_text(alert_id): _text(mark) for alert_id, mark in found.items()}

    async def mark_told(self, marks: Mapping[str, str]) -> None:
        """Remember what Alertmanager has taken."""
        await self._answers(lambda pipe: pipe.hset(keys.TOLD, mapping=dict(marks)))

    async def drop(self, alert_ids: Sequence[str]) -> None:
        """Forget alerts that are over and told."""
        await self._answers(
            lambda pipe: (pipe.hdel(keys.OPEN, *alert_ids), pipe.hdel(keys.TOLD, *alert_ids))
        )

    async def put_aside(self, key: str, fields: Sequence[str | bytes]) -> None:
        """Set fields aside that nobody can read; what they held is kept, the last of each name."""
        kind = key.removeprefix(keys.CLOSER)
        for name in fields:
            self.on_refused(kind)
            _log.error(
                "stored state of alerts cannot be read and is set aside", key=key,
                field=name if isinstance(name, str) else _text(name),
            )  # fmt: skip
            async with redis_faults():
                value = await self._redis.hget(key, name)
                aside = f"{keys.CLOSER}aside:{kind}:fields"
                kept = () if value is None else (("HSET", aside, name, value),)
                await self._together(key, *kept, ("HDEL", key, name))

    async def _answers(self, ask: Callable[[Any], object]) -> list[Any]:
        """Carry out a pipeline; keys of another type are set aside, and it is carried out again."""
        while True:
            pipe = self._redis.pipeline(transaction=False)
            ask(pipe)
            found = await answers(pipe)
            if not any(map(is_wrong_value, found)):
                return found
            await self._put_keys_aside()

    async def _put_keys_aside(self) -> None:
        for key in (keys.JUDGE, keys.STATES, keys.OUTBOX, keys.OPEN, keys.TOLD):
            async with redis_faults():
                kind = (await self._redis.type(key)).decode()
                if kind in ("hash", "none"):
                    continue
                await self._redis.rename(key, f"{keys.CLOSER}aside:{key.removeprefix(keys.CLOSER)}")
            self.on_refused(key.removeprefix(keys.CLOSER))
            _log.error(
                "a key of another type (WRONGTYPE) is set aside", key=key, found=kind,
                expected="a hash",
            )  # fmt: skip


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")
