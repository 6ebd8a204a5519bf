"""Scripts of the store: each changes keys of one slot, all of it or nothing, wherever the slot is.

Every script declares two keys: one that it works on, and `{tag}:absent`, which nobody has. A node
that hands a slot over or takes it in refuses a call of several keys of which it lacks one. So a
script runs where all of its slot is, or not at all: in between it would find some of its keys
here, take those that are there for empty, or fail between two writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

from redis import exceptions as redis_errors

from core.errors import StoreUnavailable
from core.settings import RedisSettings
from stream.store import keys
from stream.store.cluster import ClusterClient

_HERE: Final = Path(__file__).parent

Word = str | bytes | int


@dataclass(frozen=True, slots=True)
class Replication:
    """What replicas must have before a script counts as done.

    Attributes:
        replicas: So many of them; 0 asks none.
        timeout_ms: How long they may take.
    """

    replicas: int = 0
    timeout_ms: int = 0

    @classmethod
    def of(cls, settings: RedisSettings) -> Replication:
        """Return what the settings ask for."""
        # To `WAIT`, none is for ever.
        return cls(settings.wait_replicas, max(1, round(settings.wait_timeout_s * 1000)))


ALONE: Final = Replication()
"""The master's word is enough."""


class Script:
    """A script, loaded where it is missing.

    Args:
        client: The connection.
        names: Of the files `<name>.lua` here that make it, one after the other.
        replication: What replicas must have; also of what an earlier try has written.
    """

    def __init__(self, client: Any, *names: str, replication: Replication = ALONE) -> None:
        self._client = client
        self._source = b"\n".join((_HERE / f"{name}.lua").read_bytes() for name in names)
        self._sha = sha1(self._source, usedforsecurity=False).hexdigest()
        self._replication = replication

    async def __call__(self, key: str, arguments: Sequence[Word]) -> Any:
        """Run it on the keys beside `key`; return its answer.

        Raises:
            StoreUnavailable: It is done, and too few replicas have it; the next try finds it done.
        """
        words = (2, key, keys.absent(key), *arguments)
        run = self._run_replicated if self._replication.replicas else self._client.execute_command
        try:
            return await run("EVALSHA", self._sha, *words)
        except redis_errors.NoScriptError:
            return await run("EVAL", self._source, *words)

    async def each(self, calls: Sequence[tuple[str, Sequence[Word]]]) -> list[Any]:
        """Run it once for each key with its arguments, in one go; return the answers in order."""
        pipe = self._client.pipeline(transaction=False)
        for key, arguments in calls:
            pipe.execute_command("EVALSHA", self._sha, 2, key, keys.absent(key), *arguments)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        for place, (key, arguments) in enumerate(calls):
            if isinstance(answers[place], redis_errors.NoScriptError):
                answers[place] = await self(key, arguments)
            elif isinstance(answers[place], Exception):
                raise answers[place]
        return answers

    async def _run_replicated(self, command: str, code: Word, *words: Word) -> Any:
        """Run it, and ask replicas by `WAIT`, on the same connection: it asks of nothing else.

        `WAIT` is about what the connection wrote last. A try that only finds the last one done
        writes nothing, so one write is added that is behind whatever was.
        """
        client, key = self._client, str(words[1])
        options: dict[str, Any] = {}
        if isinstance(client, ClusterClient):
            await client.initialize()
            options["target_nodes"] = client.get_node_from_key(key)
        asked = self._replication
        pipe = client.pipeline(transaction=False)
        pipe.execute_command(command, code, *words, **options)
        pipe.execute_command("SET", keys.fence(key), "", **options)
        pipe.execute_command("WAIT", asked.replicas, asked.timeout_ms, **options)
        answer, *fence = await pipe.execute(raise_on_error=False)
        for one in (answer, *fence):
            if isinstance(one, Exception):
                raise one
        if fence[1] < asked.replicas:
            raise StoreUnavailable(
                f"Redis has it, and {fence[1]} of {asked.replicas} replicas within "
                f"{asked.timeout_ms} ms (redis.wait_replicas)"
            )
        return answer


class Together:
    """Commands on keys of one slot, carried out in one step, or none of them.

    Args:
        client: The connection.
    """

    def __init__(self, client: Any) -> None:
        self._script = Script(client, "together")

    async def __call__(self, key: str, *commands: Sequence[Word]) -> None:
        """Carry out commands.

        Args:
            key: One of the slot.
            commands: Each a list of its words, of some hundreds at most.
        """
        words: list[Word] = []
        for command in commands:
            words += (len(command), *command)
        await self._script(key, words)
