"""The flows over two model servers that are killed one after the other: nothing lost or doubled."""

import asyncio
import random

from core.codec import encode
from core.metrics import Metrics
from core.settings import RedisSettings, ScorerSettings, WindowSettings, WorkerSettings
from models.scorers import SCORERS
from models.scorers.pooled import PooledScorer
from stream.queries.matcher import Matcher
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS, SCORED_POSTS
from stream.windows.layout import named
from testkit.builders import make_post
from testkit.scorers.fake_triton import FakeTriton
from testkit.stream import (
    ListSink,
    MemoryPartition,
    count_plainly,
    decode_scored,
    feed,
    make_flows,
    make_tools,
)

PARTITION = 2_000
"""A partition of its own: the store is shared by all tests."""
TOTAL = 1_500


class TellingSink(ListSink):
    """Tells when so many posts were scored."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Condition()

    async def send(self, topic, partition, records):
        await super().send(topic, partition, records)
        async with self._grown:
            self._grown.notify_all()

    async def reach(self, posts: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: len(self.values(SCORED_POSTS)) >= posts)


async def _kill_in_turn(servers: list[FakeTriton], sink: TellingSink) -> None:
    """Kill each server once and start it again, under load before, between and after."""
    for turn, server in enumerate(servers):
        await sink.reach(200 + 600 * turn)
        port = server.port
        await server.stop()
        await sink.reach(500 + 600 * turn)
        await server.start(port)


async def _windows(store: RedisStore) -> dict[tuple[str, int], dict[str, int]]:
    """Return (query, start) -> counters, without zeros."""
    return {
        (query, start): {name: value for name, value in named(pane.counters).items() if value}
        for start in await store.pane_starts([PARTITION])
        for query, pane in (await store.pane([PARTITION], start)).items()
    }


async def test_windows_equal_the_plain_program_while_both_servers_are_killed_in_turn(redis_server):
    servers = [FakeTriton(), FakeTriton()]
    for server in servers:
        await server.start()
    urls = tuple(f"127.0.0.1:{server.port}" for server in servers)
    scorer = SCORERS.get("triton")(ScorerSettings(url=urls, timeout_s=60.0))
    assert isinstance(scorer, PooledScorer)
    metrics, sink, rng = Metrics(), TellingSink(), random.Random(19)
    scorer.watch(metrics)
    store = RedisStore(
        RedisSettings(url=redis_server.url), Horizons.of(WindowSettings(), WorkerSettings())
    )
    worker = WorkerSettings(max_batch_posts=16, max_batch_age_ms=5)
    tools = make_tools(
        store, sink, worker=worker, scorer=scorer, matcher=Matcher([]), metrics=metrics
    )
    flows = make_flows(tools, rng, worker)
    values = [encode(post) for post in (make_post(i, text=f"late {i}") for i in range(TOTAL))]
    partition = MemoryPartition(values)
    feeding = asyncio.create_task(feed(flows, {(POSTS, PARTITION): partition}, rng))
    try:
        async with asyncio.timeout(60):
            await _kill_in_turn(servers, sink)
            await sink.reach(TOTAL)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        has_ended = await flows.drain(60)
        found = await _windows(store)
        await store.close()
        await scorer.close()
        for server in servers:
            await server.stop()
    assert has_ended
    posts = decode_scored(sink.values(SCORED_POSTS))
    assert len(posts) == TOTAL
    assert {post.model_version for post in posts} == {"fake-1"}
    plain = count_plainly(posts)
    assert found == {key: {n: v for n, v in one.items() if v} for key, one in plain.items()}
    assert sum(one["posts"] for (query, _), one in found.items() if query == "all") == TOTAL
    for url in urls:
        assert metrics.scorer_server_left_out.labels(url, "sick")._value.get() >= 1
