"""One run of `groundswell queries backfill`: every partition, until nothing of the past is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.clock import Clock, SystemClock
from core.folders import catalog_file
from core.settings import Settings
from services.backfill.matching import PastMatcher
from services.backfill.partition import PartitionPast, PastProgress
from services.backfill.readiness import Workers
from services.backfill.topics import PartitionTopics, Ranges
from services.bootstrap import make_store
from services.kafka_client import TopicAdmin, TopicProbe, read_topic
from services.kafka_client.ranges import PartitionRange
from services.repair.history import MARGIN_S
from stream.queries import Query, QueryCatalog
from stream.queries.meaning import digest_of, meaning_of
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS, PROGRESS, SCORED_POSTS

WAITING: Final = "waiting for the workers to take it up"
READING: Final = "reading the topics"
ADDING: Final = "adding the past"
CATCHING_UP: Final = "adding what came meanwhile"
PASSES: Final = (ADDING, CATCHING_UP)
"""The second pass finds what was under way while the first one began."""
_LATEST_PROGRESS: Final = 20_000


@dataclass(slots=True)
class Past:
    """What became of it.

    Attributes:
        doing: What is done now, for people.
        begin_s: The first pane that is whole, seconds since 1970; -1 for all that there are.
        partitions: Partition -> how far it is.
        uncertain: Edits and deletions that came about when their post was forgotten.
        unreadable: Scorings of posts and of edits that cannot be read: the posts are left out, or
            stand as before the edit.
    """

    doing: str = WAITING
    begin_s: int = -1
    partitions: dict[int, PastProgress] = field(default_factory=dict[int, PastProgress])
    uncertain: int = 0
    unreadable: int = 0

    def total(self, name: str) -> int:
        """Return the sum of a field over the partitions."""
        return sum(getattr(one, name) for one in self.partitions.values())


class Backfill:
    """Adds the past of one query.

    Args:
        query: The query.
        settings: Of the stream.
        store: The store.
        topics: Partition -> its topics.
        clock: For the pauses.
        share: The share of the time that it works, in (0, 1]: what is left is the stream's.
        on_progress: Called after every few hundred posts, and when something else is done.
    """

    def __init__(
        self,
        query: Query,
        settings: Settings,
        store: RedisStore,
        topics: Mapping[int, PartitionTopics],
        clock: Clock,
        share: float = 1.0,
        on_progress: Callable[[Past], None] = lambda _: None,
    ) -> None:
        matcher = PastMatcher(query, settings.ingest.author_key)
        meaning = meaning_of(query.expression)
        self._pane_s = settings.windows.pane_s
        self._topics = topics
        self._parts = {
            partition: PartitionPast(partition, matcher, meaning, store, found)
            for partition, found in topics.items()
        }
        self._clock = clock
        self._share = share
        self._on_progress = on_progress
        self.past = Past(partitions={p: one.progress for p, one in self._parts.items()})

    async def run(self) -> Past:
        """Add what there is, unless a part of it is of another expression: then nothing is added.

        Raises:
            OtherMeaning, NeverStill, InTheWay, StateUnreadable: It cannot go on.
            StoreUnavailable, BrokerUnavailable: Call again; nothing is added twice.
        """
        for part in self._parts.values():
            await self._paced(part.look, READING)
        begins_ms = max((one.begins_ms() for one in self._topics.values()), default=-1)
        # Whole in every partition: a window is the sum over all of them.
        begin_s = -1 if begins_ms < 0 else self._pane_after(begins_ms / 1000 + MARGIN_S)
        stood = [await part.begin(begin_s) for part in self._parts.values()]
        self.past.begin_s = max((one.begin_s for one in stood), default=-1)
        for doing in PASSES:
            for part in self._parts.values():
                await self._paced(part.advance, doing)
        self.past.uncertain = sum(one.history.uncertain for one in self._topics.values())
        self.past.unreadable = sum(
            len(one.unreadable) + one.history.unreadable for one in self._topics.values()
        )
        return self.past

    async def _paced(self, step: Callable[[], Awaitable[bool]], doing: str) -> None:
        """Do a step until there is nothing left, for a share of the time."""
        self.past.doing = doing
        self._on_progress(self.past)
        began_s = self._clock.monotonic()
        while await step():
            self._on_progress(self.past)
            busy_s = self._clock.monotonic() - began_s
            await self._clock.sleep(busy_s * (1 / self._share - 1))
            began_s = self._clock.monotonic()

    def _pane_after(self, at_s: float) -> int:
        return (int(at_s) // self._pane_s + 1) * self._pane_s


def open_ranges(settings: Settings, partition: int, held: AsyncExitStack) -> list[PartitionRange]:
    """Return the topics of a partition as `Ranges` has them, on connections that `held` closes.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    made: list[PartitionRange] = []
    for topic in (POSTS, POST_EVENTS, SCORED_POSTS, SCORED_POSTS):
        made.append(PartitionRange(settings.kafka, topic, partition))
        held.callback(made[-1].close)
    return made


async def backfill(
    settings: Settings,
    catalog: QueryCatalog,
    query: Query,
    *,
    file: Path | None = None,
    share: float = 0.5,
    wait_s: float = 120.0,
    on_progress: Callable[[Past], None] = lambda _: None,
) -> Past:
    """Give a query of the catalog its past, in the store and from the broker of the settings.

    Raises:
        NotTakenUp: The workers do not count the query yet; nothing was done.
        ConfigError: The store was not filled from that broker.
        OtherMeaning, NeverStill, InTheWay, StateUnreadable: It cannot go on.
        StoreUnavailable, BrokerUnavailable: Call again; nothing is added twice.
    """
    clock, store = SystemClock(), make_store(settings)
    async with AsyncExitStack() as held:
        held.push_async_callback(store.close)
        with TopicAdmin(settings.kafka) as admin:
            await store.identity.check(admin.cluster_id())
        workers = Workers(
            store, lambda: read_topic(settings.kafka, PROGRESS, last=_LATEST_PROGRESS),
            lambda partition: _ends(settings, partition),
            file or catalog_file(settings.queries.path), clock,
        )  # fmt: skip
        await workers.wait(digest_of(catalog.queries), wait_s)
        horizon_s = settings.windows.correction_horizon_s
        topics = {
            partition: PartitionTopics(Ranges(*open_ranges(settings, partition, held)), horizon_s)
            for partition in await store.partitions()
        }
        return await Backfill(query, settings, store, topics, clock, share, on_progress).run()


def _ends(settings: Settings, partition: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for topic in (POSTS, POST_EVENTS):
        probe = TopicProbe(settings.kafka, topic)
        found[topic] = probe.ends().get(partition, 0)
        probe.close()
    return found
