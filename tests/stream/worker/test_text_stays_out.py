"""Redis holds numbers and hashes: no text and no author, before or after a deletion."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.clock import ManualClock
from core.codec import encode
from core.metrics import Metrics
from core.settings import RedisSettings, WindowSettings, WorkerSettings
from services.local.redis_server import RedisServer
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from stream.worker.flows import PartitionFlows
from testkit import local as testing
from testkit.builders import make_event, make_post
from testkit.stream import ListSink, MemoryPartition, feed, make_flows, make_tools

pytestmark = pytest.mark.integration

POSTS_MADE = 40
DELETIONS = POSTS_MADE // 2 + 1
"""Of half the posts, and of one that never comes."""
SECRETS = ("xylophone", "quixotic", "zanzibarian", "whisperer")
"""Words of the texts and of the authors' names; whatever keeps text keeps one of them."""


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with testing.redis_server(tmp_path) as server:
        yield server


def flows_on(store: RedisStore, metrics: Metrics) -> PartitionFlows:
    # The clock stands 2 s after the last deletion was taken: latencies are known to the second.
    clock = ManualClock(make_event("delete", POSTS_MADE).ingested_at)
    windows = WindowSettings(allowed_lateness_s=0)
    tools = make_tools(store, ListSink(), windows=windows, metrics=metrics, clock=clock)
    return make_flows(tools, random.Random(1))


def everything(client: "redis.Redis[bytes]") -> bytes:
    """Return every key and every value of a database as bytes."""
    found: list[bytes] = []
    for key in client.scan_iter():
        found += [key, client.dump(key) or b""]
        kind = client.type(key)
        if kind == b"hash":
            found += [part for pair in client.hgetall(key).items() for part in pair]
        elif kind == b"set":
            found += list(client.smembers(key))
        elif kind == b"zset":
            found += client.zrange(key, 0, -1)
        elif kind == b"string":
            found.append(client.get(key) or b"")
    return b"\n".join(found).lower()


def values() -> dict[str, list[bytes]]:
    posts = [
        make_post(n, author=f"zanzibarian whisperer {n}", text=f"a quixotic xylophone, number {n}")
        for n in range(POSTS_MADE)
    ]
    edits = [
        make_event("edit", n, author=posts[n].author, text="an edited quixotic xylophone")
        for n in range(0, POSTS_MADE, 4)
    ]
    deletions = [make_event("delete", n, author=posts[n].author) for n in range(0, POSTS_MADE, 2)]
    ahead = [make_event("delete", POSTS_MADE + 5, author="zanzibarian")]
    return {
        POSTS: [encode(post) for post in posts],
        POST_EVENTS: [encode(event) for event in (*edits, *deletions, *ahead)],
    }


async def test_no_text_and_no_author_is_ever_in_redis_and_deletions_leave_the_panes(own_redis):
    store = RedisStore(
        RedisSettings(url=own_redis.url), Horizons.of(WindowSettings(), WorkerSettings())
    )
    metrics, said = Metrics(), values()
    flows = flows_on(store, metrics)

    def timed() -> float:
        name = "groundswell_removal_latency_seconds_count"
        return metrics.registry.get_sample_value(name) or 0.0

    topics = {(topic, 0): MemoryPartition(records) for topic, records in said.items()}
    feeding = asyncio.create_task(feed(flows, topics, random.Random(2)))
    try:
        async with asyncio.timeout(60):
            ends = {topic: len(records) - 1 for topic, records in said.items()}
            while (await store.partition_state(0)).cursors != ends or timed() < DELETIONS:
                assert not feeding.done() or feeding.result() is None
                await asyncio.sleep(0.02)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await flows.drain(60)
    panes = await store.panes([0], await store.pane_starts([0]))
    await store.close()
    assert sum(pane["all"].counters[0] for pane in panes.values()) == POSTS_MADE // 2
    with redis.Redis.from_url(own_redis.url) as client:
        kept = everything(client)
    assert b"synthetic" in kept  # strata are there: this reading does see text
    for secret in SECRETS:
        assert secret.encode() not in kept, secret
    assert timed() == DELETIONS
