"""The past of one query in one partition, a few hundred posts at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

from core.errors import GroundswellError
from core.schemas import Post
from services.backfill.matching import PastMatcher
from services.backfill.topics import PartitionTopics, Scoring
from stream.store.backfill import LookAgain, Moved, PastBatch, Position
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS

AT_ONCE: Final = 500
"""Posts that are looked at in one go: a script of so many takes Redis some milliseconds."""
TRUSTS_AFTER: Final = 5
"""Tries after which a contribution that differs from the last scoring is taken as it is."""
_TRIES: Final = 100


class OtherMeaning(GroundswellError):
    """The past that is there is that of another expression under the same name."""


class NeverStill(GroundswellError):
    """What happens to posts changes faster than it can be read."""


@dataclass(slots=True)
class PastProgress:
    """How far a partition is.

    Attributes:
        looked_at: Posts looked at by this run.
        added: Posts added by this run.
        missing: Posts whose text is not in `posts` any more, or that cannot be read.
        total: Posts that the partition has.
    """

    looked_at: int = 0
    added: int = 0
    missing: int = 0
    total: int = 0


class PartitionPast:
    """Adds the past of a query to a partition.

    Args:
        partition: Its number.
        matcher: The query.
        meaning: What it looks for, as `Position.meaning`.
        store: The store.
        topics: The topics of the partition.
    """

    def __init__(
        self,
        partition: int,
        matcher: PastMatcher,
        meaning: str,
        store: RedisStore,
        topics: PartitionTopics,
    ) -> None:
        self._partition = partition
        self._matcher = matcher
        self._meaning = meaning
        self._store = store
        self._topics = topics
        self.progress = PastProgress()

    async def begin(self, begin_s: int) -> Position:
        """Return where it stands; where it stands nowhere, it begins with the panes of `begin_s`.

        Raises:
            OtherMeaning: It stands there for another expression.
            StateUnreadable, StoreUnavailable: The position cannot be read.
        """
        name = self._matcher.name
        found = await self._store.past.position(self._partition, name)
        if found is None:
            found = Position(self._meaning, begin_s, -1)
            try:
                batch = PastBatch(name, None, found, [], -1, (1 << 53) - 1)
                await self._store.past.add(self._partition, batch)
            except Moved:
                return await self.begin(begin_s)
        if found.meaning != self._meaning:
            raise OtherMeaning(
                f"partition {self._partition}: {name!r} was given its past with another "
                "expression; expected the same one. Give the changed query another name"
            )
        return found

    async def advance(self) -> bool:
        """Look at the next posts and add what they say; return False if there are none.

        Raises:
            OtherMeaning, NeverStill, InTheWay, StateUnreadable: It cannot go on.
            StoreUnavailable, BrokerUnavailable: Call again; nothing is added twice.
        """
        for attempt in range(_TRIES):
            before = await self._store.past.position(self._partition, self._matcher.name)
            if before is None or before.meaning != self._meaning:
                raise OtherMeaning(
                    f"partition {self._partition}: the position of {self._matcher.name!r} is gone: "
                    "somebody counts the partition again. Expected it to stay; run this again"
                )
            # First what has been applied, then the topics: they have all that was applied.
            state = await self._store.partition_state(self._partition)
            self._topics.update()
            found = self._topics.scorings(before.scored, state.cursors[POSTS])
            scorings = list(islice(found, AT_ONCE))
            if not scorings:
                return False
            posts = self._topics.texts(scorings)
            batch = self._batch(before, scorings, posts, state.cursors[POST_EVENTS], attempt)
            try:
                self.progress.added += await self._store.past.add(self._partition, batch)
            except (LookAgain, Moved):
                continue
            self.progress.looked_at += len(scorings)
            self.progress.missing += sum(one.source not in posts for one in scorings)
            self.progress.total = self._topics.total
            return True
        raise NeverStill(
            f"partition {self._partition}: {POST_EVENTS} changes faster than it is read; "
            "try when there is less to do"
        )

    def _batch(
        self,
        before: Position,
        scorings: list[Scoring],
        posts: dict[int, Post],
        events: int,
        attempt: int,
    ) -> PastBatch:
        found = self._matcher.past_posts(
            scorings, posts, self._topics.history, events, before.begin_s
        )
        return PastBatch(
            self._matcher.name,
            before,
            Position(before.meaning, before.begin_s, scorings[-1].offset),
            found,
            max(one.source for one in scorings),
            events,
            trusts=attempt >= TRUSTS_AFTER,
        )
