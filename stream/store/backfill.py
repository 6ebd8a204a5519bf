"""Gives a query its past in the panes of a partition, beside the worker that counts the present.

How far it has come is kept in the hash `{p}:backfill` and changed by the same script as the panes,
so whoever is killed goes on where the panes are, and two of them are one too many: the second is
refused. The worker's cursor is never moved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from core.errors import GroundswellError, StateUnreadable
from stream.store import keys
from stream.store.client import now_ms, readable, redis_faults
from stream.store.keys import KEPT_SHARDS
from stream.store.scripts import Replication, Script

_encoder: Final = msgspec.msgpack.Encoder()
_POSITION: Final = re.compile(rb"([0-9a-f]{16}):(-?\d{1,15}):(-?\d{1,18})")
_ADDED, _MOVED, _AGAIN, _ASIDE = 1, 0, 4, 5
"""First number of the answers of `backfill.lua`."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a query was given its past in a partition.

    Attributes:
        meaning: The digest of what the query looks for, 16 hexadecimal digits.
        begin_s: Panes that start before this are left as they are, seconds since 1970.
        scored: The last offset of `scored-posts` that was looked at; -1 before the first.
    """

    meaning: str
    begin_s: int
    scored: int

    def packed(self) -> str:
        """Return the form that the store keeps."""
        return f"{self.meaning}:{self.begin_s}:{self.scored}"


class PastPost(msgspec.Struct, frozen=True, array_like=True):
    """What a post of the past says of the query.

    Attributes:
        start_s: The start of its pane.
        author: Its author if its first text matches, else empty: authors are never taken back.
        counts: Whether it matches as it stands now.
        stratum, counters: What it has added to its other queries.
    """

    start_s: int
    author: str
    counts: bool
    stratum: str
    counters: list[int]


@dataclass(frozen=True, slots=True)
class PastBatch:
    """Posts that are added at once.

    Attributes:
        query: The query.
        before, after: Where it stands, and where afterwards; None before the first.
        posts: (id hash, what it says), each post once.
        upto: The highest offset in `posts` of them; -1 for none.
        events: The offset in `post-events` up to which it is known what happened to them.
        trusts: Contributions in the store are right where they differ from what is expected.
    """

    query: str
    before: Position | None
    after: Position
    posts: list[tuple[bytes, PastPost]]
    upto: int
    events: int
    trusts: bool = False


class Moved(GroundswellError):
    """Somebody else has added meanwhile, or the store went back: begin from its position."""


class LookAgain(GroundswellError):
    """Something happened to the posts since it was looked up; the message says to what."""


class InTheWay(GroundswellError):
    """Something of the partition is set aside: it must be repaired first. The message names it."""


class PastState:
    """The part of the store that a back-fill reads and writes.

    Args:
        client: The connection.
        replication: How many replicas must have what is written.
    """

    def __init__(self, client: Any, replication: Replication) -> None:
        self._redis = client
        self._script = Script(
            client, "partition", "sums", "contributions", "backfill", replication=replication
        )

    async def position(self, partition: int, query: str) -> Position | None:
        """Return how far a query has come; None before the first batch.

        Raises:
            StateUnreadable: Something else is stored there.
            StoreUnavailable: Redis does not answer.
        """
        key = keys.backfill(partition)
        async with redis_faults():
            if await self._redis.type(key) not in (b"hash", b"none"):
                raise StateUnreadable(partition, key, "a key of another type", "a hash")
            stored = await self._redis.hget(key, query)
        if stored is None:
            return None
        found = _POSITION.fullmatch(stored)
        if found is None:
            raise StateUnreadable(partition, f"{key} {query}", repr(stored[:64]), "a position")
        return Position(found[1].decode(), int(found[2]), int(found[3]))

    async def add(self, partition: int, batch: PastBatch) -> int:
        """Add posts, all of them or none; return how many were added.

        Raises:
            Moved, LookAgain, InTheWay: Nothing was added.
            StateUnreadable: The partition cannot be read; nothing was added.
            StoreUnavailable: It may have been added; the position tells.
        """
        message = {
            "query": batch.query,
            "expected": "" if batch.before is None else batch.before.packed(),
            "new": batch.after.packed(),
            "posts": [post for _, post in batch.posts],
            "upto": batch.upto,
            "events": batch.events,
            "trusts": batch.trusts,
            "watermark": -1,
            "now": now_ms(),
            "kept_shards": KEPT_SHARDS,
        }
        arguments = [_encoder.encode(message), *(hashed for hashed, _ in batch.posts)]
        async with redis_faults():
            answer = await self._script(keys.cursor(partition), arguments)
        kind, *said = readable(partition, answer)
        if kind == _ADDED:
            return int(said[0])
        if kind == _MOVED:
            raise Moved(f"partition {partition}: {batch.query} stands at {said[0]!r}")
        if kind == _AGAIN:
            raise LookAgain(said[0].decode())
        if kind == _ASIDE:
            names = ", ".join(name.decode(errors="backslashreplace") for name in said[0])
            raise InTheWay(
                f"partition {partition}: set aside: {names}; run `groundswell windows repair` first"
            )
        where = [part.decode(errors="backslashreplace") for part in said]
        raise InTheWay(f"partition {partition}: {' '.join(where)} is no integer within 2^53")
