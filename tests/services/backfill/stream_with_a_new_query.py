"""A stream whose query is there from the start, beside one in which it is given its past."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

import testkit.stream
from core.codec import encode
from core.schemas import Post, PostEvent
from core.settings import RedisSettings, WindowSettings, WorkerSettings
from services.backfill.topics import PartitionTopics, Ranges
from services.kafka_client.messages import Record
from stream.queries.catalog import Query
from stream.queries.grammar import parse
from stream.queries.matcher import Matcher
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS, SCORED_POSTS
from testkit.scorers.fake import FakeScorer
from testkit.stream import ListSink, MemoryPartition, feed, make_tools
from tests.stream.store.servers import raw_client, with_database

WORKER = WorkerSettings(max_batch_posts=8, max_batch_age_ms=1)
WINDOWS = WindowSettings()
LATE = Query("late", parse("late OR flood*"), written="late OR flood*")
OLD = Query("old", parse("trains"))


class MemoryRange:
    """A partition of a topic in memory, from its first offset on."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records

    def bounds(self) -> tuple[int, int]:
        """See `services.backfill.topics.Range`."""
        if not self.records:
            return 0, 0
        return self.records[0].offset, self.records[-1].offset + 1

    def read(self, start: int, stop: int) -> Iterator[Record]:
        """See `services.backfill.topics.Range`."""
        first = self.bounds()[0]
        return iter(self.records[max(0, start - first) : max(0, stop - first)])


class World:
    """One partition of a stream: its topics, its store, its worker.

    Attributes:
        queries: What the worker matches with, from the next batch on.
    """

    def __init__(self, url: str, database: int, queries: list[Query]) -> None:
        self.url = url = with_database(url, database)
        with raw_client(url) as client:
            client.flushdb()
        self.store = RedisStore(RedisSettings(url=url), Horizons.of(WINDOWS, WORKER))
        self.sink = ListSink()
        self.scored: list[Record] = []
        self.posts: list[Record] = []
        self.events: list[Record] = []
        self.matcher = Matcher(queries)

    async def take(self, posts: Sequence[Post], events: Sequence[PostEvent], seed: int = 0) -> None:
        """Append to the topics, and count until all is applied."""
        for topic, new in ((self.posts, posts), (self.events, events)):
            for one in new:
                topic.append(Record(0, len(topic), None, encode(one), (), 0))
        await self.count(seed)

    async def count(self, seed: int = 0) -> None:
        """Count what is in the topics with a worker that has just started."""
        rng = random.Random(seed)
        tools = make_tools(self.store, self.sink, worker=WORKER, scorer=FakeScorer())
        flows = testkit.stream.make_flows(
            replace(tools, matcher=lambda: self.matcher), rng, WORKER
        )  # fmt: skip
        topics = {
            (topic, 0): MemoryPartition([one.value or b"" for one in records])
            for topic, records in ((POSTS, self.posts), (POST_EVENTS, self.events))
            if records
        }
        feeding = asyncio.create_task(feed(flows, topics, rng))
        try:
            async with asyncio.timeout(60):
                while not await self._is_through():
                    if feeding.done():
                        feeding.result()
                    await asyncio.sleep(0.002)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await flows.drain(60)
        self._note_scored()

    async def _is_through(self) -> bool:
        cursors = (await self.store.partition_state(0)).cursors
        return (cursors[POSTS], cursors[POST_EVENTS]) == (len(self.posts) - 1, len(self.events) - 1)

    def _note_scored(self) -> None:
        for _, one in self.sink.records.pop(SCORED_POSTS, []):
            self.scored.append(Record(0, len(self.scored), one.key, one.value, one.headers, 0))

    def topics(self) -> PartitionTopics:
        """Return the topics as a back-fill that has just started reads them."""
        scored = MemoryRange(self.scored)
        ranges = Ranges(MemoryRange(self.posts), MemoryRange(self.events), scored, scored)
        return PartitionTopics(ranges, WINDOWS.correction_horizon_s)

    async def panes(self, query: str) -> dict[int, tuple[list[int], dict[str, list[int]], int]]:
        """Return start (s) -> counters, strata and authors of a query, as they are stored."""
        found: dict[int, tuple[list[int], dict[str, list[int]], int]] = {}
        starts = await self.store.pane_starts([0])
        with raw_client(self.url) as client:
            for start in starts:
                counters = client.hget(f"{{0}}:pane:{start}", query)
                strata = client.hget(f"{{0}}:strata:{start}", query)
                authors = client.pfcount(f"{{0}}:authors:{start}:{query}")
                if counters is not None:
                    rows = {} if strata is None else msgspec.msgpack.decode(strata)
                    found[start] = (msgspec.msgpack.decode(counters), rows, authors)
        return found
