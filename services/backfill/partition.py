"""The past of one query in one partition, a few hundred posts at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from core.errors import GroundswellError
from core.schemas import Post
from services.backfill.matching import PastMatcher
from services.backfill.topics import PartitionTopics, Scoring
from services.repair.history import start_s
from stream.store.backfill import LookAgain, Moved, PastBatch, Position
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS

AT_ONCE: Final = 500
"""Posts that are looked at in one go: a script of so many takes Redis some milliseconds."""
TRUSTS_AFTER: Final = 5
"""Tries after which a contribution that differs from the last scoring is taken as it is."""
_TRIES: Final = 100


class OtherMeaning(GroundswellError):
    """What is counted under the name is that of another expression."""


class NeverStill(GroundswellError):
    """What happens to posts changes faster than it can be read."""


@dataclass(slots=True)
class PastProgress:
    """How far a partition is.

    Attributes:
        looked_at: Posts looked at by this run.
        added: Posts added by this run.
        missing: Posts whose text is not in `posts` any more, or that cannot be read.
        total: Posts that this run looks at, as far as they are known.
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
        self._applied: dict[str, int] = {}  # when the topics were last read
        self._looking: Iterator[Scoring] | None = None
        self.progress = PastProgress()

    async def look(self) -> bool:
        """Look at the next posts for some that another expression has counted; False at the end.

        Raises:
            OtherMeaning: There are some, in panes that are kept.
            StateUnreadable, StoreUnavailable, BrokerUnavailable: It cannot be known.
        """
        if self._looking is None:
            await self._read(-1)
            self._looking = self._topics.scorings(-1, self._applied[POSTS])
        kept = set(await self._store.pane_starts([self._partition]))
        scorings = list(islice(self._looking, AT_ONCE))
        of_kept = [one for one in scorings if start_s(one.post) in kept]
        named = [one for one in of_kept if self._matcher.name in one.post.queries]
        texts, history = self._topics.texts(named), self._topics.history
        if found := self._matcher.of_another_meaning(of_kept, texts, history):
            raise OtherMeaning(
                f"partition {self._partition}: {found} posts or more that were counted under "
                f"{self._matcher.name!r} do not match its expression: it was another one before. "
                "Nothing was added. Give the changed query another name, and its past to that"
            )
        return bool(scorings)

    async def _read(self, scored: int) -> None:
        """Read what is new in the topics; `scored` is the last offset that was looked at."""
        # First what has been applied, then the topics: they have all that was applied.
        state = await self._store.partition_state(self._partition)
        self._topics.update()
        self._applied = dict(state.cursors)
        self.progress.total = self.progress.looked_at + self._topics.remaining(scored)

    async def _has_news(self, scored: int) -> bool:
        """Read the topics if more was applied since they were read, and return whether it was."""
        cursors = (await self._store.partition_state(self._partition)).cursors
        if all(cursors[topic] <= self._applied.get(topic, -2) for topic in (POSTS, POST_EVENTS)):
            return False
        await self._read(scored)
        return True

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
        self.progress.total = self._topics.remaining(found.scored)
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
            scorings = self._next(before)
            if not scorings and await self._has_news(before.scored):
                scorings = self._next(before)
            if not scorings:
                return False
            posts = self._topics.texts(scorings)
            batch = self._batch(before, scorings, posts, self._applied[POST_EVENTS], attempt)
            try:
                self.progress.added += await self._store.past.add(self._partition, batch)
            except (LookAgain, Moved):
                await self._read(before.scored)
                continue
            self.progress.looked_at += len(scorings)
            self.progress.missing += sum(one.source not in posts for one in scorings)
            return True
        raise NeverStill(
            f"partition {self._partition}: {POST_EVENTS} changes faster than it is read; "
            "try when there is less to do"
        )

    def _next(self, before: Position) -> list[Scoring]:
        """Return the next posts of those that were applied when the topics were read."""
        upto = self._applied.get(POSTS, -1)
        return list(islice(self._topics.scorings(before.scored, upto), AT_ONCE))

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
