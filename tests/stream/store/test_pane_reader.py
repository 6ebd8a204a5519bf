"""Reading the panes of some queries: what a reader of all of them finds, and no more."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store import keys
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.records import HEARTBEAT_QUERY, Published
from tests.stream.store.servers import raw_client, with_database

pytestmark = pytest.mark.integration

DATABASE = 3
START = 1_772_366_400
STARTS = (START, START + 60)
QUERIES = ("rail", "all", "storm")


@pytest_asyncio.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    url = with_database(redis_server.url, DATABASE)
    made = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    with raw_client(url) as client:
        client.flushdb()
    for partition in (0, 1):
        rows: list[Any] = [
            (query, [n + partition, 1, 5, 25], {"s|en|none": [1, 1, 5, 25]}, [f"a{partition}"])
            for n, query in enumerate((*QUERIES, HEARTBEAT_QUERY), 1)
        ]
        panes: dict[int, Any] = dict.fromkeys(STARTS, rows)
        await made.apply(partition, ApplyBatch(POSTS, -1, 0, START * 1000, panes))
    epoch = await made.begin_closing()
    await made.set_revisions(epoch, {START: {one: Published(1, "d", True) for one in QUERIES}})
    yield made
    await made.close()


async def test_some_queries_are_read_as_all_are(store: RedisStore) -> None:
    every = await store.read_panes([0, 1], STARTS)
    published, _ = await store.read_revisions(STARTS)
    assert set(every.panes[START]) == set(QUERIES)
    for asked in (("rail",), ("storm", "all"), ("never",), ("never", "rail")):
        some = await store.read_panes([0, 1], STARTS, asked)
        assert some.missing == []
        for start in STARTS:
            known = {one: every.panes[start][one] for one in asked if one in every.panes[start]}
            assert some.panes[start] == known
        found, missing = await store.read_revisions(STARTS, asked)
        assert missing == []
        assert found[START] == {one: of for one, of in published[START].items() if one in asked}


async def test_heartbeats_are_shown_to_nobody(store: RedisStore) -> None:
    read = await store.read_panes([0, 1], STARTS, (HEARTBEAT_QUERY, "all"))
    assert set(read.panes[START]) == {"all"}


async def test_rubbish_in_a_pane_of_another_query_is_not_ours(
    store: RedisStore, redis_server: RedisServer
) -> None:
    with raw_client(with_database(redis_server.url, DATABASE)) as client:
        client.hset(keys.pane(0, START), "storm", b"rubbish")
        client.hset(keys.revisions(START), "storm", b"rubbish")
        assert (await store.read_panes([0, 1], STARTS, ("rail",))).missing == []
        (missing,) = (await store.read_panes([0, 1], STARTS, ("rail", "storm"))).missing
        assert (missing.start_s, missing.query) == (START, "storm")
        assert (await store.read_revisions(STARTS, ("rail",)))[1] == []
        client.set(keys.strata(1, START), b"of another type")
        read = await store.read_panes([0, 1], STARTS, ("rail",))
        assert [(one.start_s, one.query) for one in read.missing] == [(START, "*")]
        assert read.panes[START] == {}
