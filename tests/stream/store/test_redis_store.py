"""What the store promises beyond the twin: all or nothing, whatever Redis does meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import redis

from core.errors import CursorConflict, StoreUnavailable
from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store.increments import ApplyBatch, CountedPost, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.records import Published
from testkit import local as testing

pytestmark = pytest.mark.integration

START = 1_772_366_400
HORIZONS = Horizons(60, 172_800, 21_600, 86_400)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of its own: these tests change its settings."""
    directory: Path = tmp_path_factory.mktemp("redis")
    with testing.redis_server(directory) as started:
        yield started


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(server.url) as made:
        made.flushall()
        yield made
        made.config_set("maxmemory", 0)


@pytest_asyncio.fixture
async def store(server: RedisServer, client: object) -> AsyncIterator[RedisStore]:
    del client
    made = RedisStore(RedisSettings(url=server.url), HORIZONS)
    yield made
    await made.close()


def _batch(expected: int, posts: int = 200) -> ApplyBatch:
    """Return a batch that writes to every kind of key."""
    batch = ApplyBatch(POSTS, expected, expected + posts, START * 1000)
    counters = [posts, posts, 7 * posts]
    strata = {f"stratum-{n}|en|none": [1, 1, 7, 0] for n in range(posts)}
    authors = [f"an author with a long name {n}" for n in range(posts)]
    batch.panes = {START: [("all", counters, strata, authors)]}
    for n in range(posts):
        number = (expected + n).to_bytes(8, "big", signed=True)
        kept = CountedPost(START, f"stratum-{n}|en|none", [1, 1, 7, 0], ["all"])
        batch.kept.setdefault(n % 7, []).extend((bytes((0, n % 7)) + number, kept.packed()))
        batch.seen.setdefault((START // 3600, n % 5), []).append(str(expected + n))
    batch.totals["counted"] = posts
    return batch


def _everything(client: "redis.Redis[bytes]") -> dict[bytes, object]:
    """Return all keys with their serialised values."""
    return {key: client.dump(key) for key in client.scan_iter()}


async def test_apply_that_meets_a_full_memory_writes_nothing_or_everything(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    await store.apply(0, _batch(-1))
    cursor, refused, applied = 199, 0, 0
    for room in range(0, 200_000, 4_000):
        before = _everything(client)
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", used - 20_000 + room)
        try:
            await store.apply(0, _batch(cursor))
        except StoreUnavailable:
            client.config_set("maxmemory", 0)
            assert _everything(client) == before
            refused += 1
        else:
            client.config_set("maxmemory", 0)
            cursor += 200
            applied += 1
            pane = await store.pane([0], START)
            assert pane["all"].counters[0] == cursor + 1
            assert pane["all"].strata["stratum-3|en|none"][0] == (cursor + 1) // 200
            assert (await store.partition_state(0)).totals["counted"] == cursor + 1
    assert refused, "memory was never full: the test shows nothing"
    assert applied, "memory was always full: the test shows nothing"


async def test_of_two_writers_with_the_same_cursor_one_is_refused(store: RedisStore) -> None:
    answers = await asyncio.gather(
        *(store.apply(0, _batch(-1)) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(answer, CursorConflict) for answer in answers) == 3
    assert (await store.pane([0], START))["all"].counters[0] == 200


async def test_largest_batch_that_the_settings_allow_is_applied(store: RedisStore) -> None:
    await store.apply(0, _batch(-1, posts=4_096))
    pane = await store.pane([0], START)
    assert pane["all"].counters[0] == 4_096
    assert abs(pane["all"].authors - 4_096) < 4_096 * 0.03


async def test_scripts_that_redis_forgot_are_loaded_again(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    await store.apply(0, _batch(-1))
    client.script_flush()
    await store.apply(0, _batch(199))
    client.script_flush()
    await store.close_through([0], START + 60)
    client.script_flush()
    marks = await store.dirty([0])
    await store.clean(marks)
    assert list(marks) == [START]
    assert await store.dirty([0]) == {}


async def test_redis_that_is_gone_is_unavailable_and_serves_again_when_back(
    server: RedisServer, store: RedisStore
) -> None:
    await store.apply(0, _batch(-1))
    server.stop()
    try:
        with pytest.raises(StoreUnavailable):
            await store.apply(0, _batch(199))
    finally:
        server.restart()
    state = await store.partition_state(0)
    assert state.cursors[POSTS] == 199
    await store.apply(0, _batch(199))


async def test_partitions_with_state_are_found(store: RedisStore) -> None:
    assert await store.partitions() == []
    for partition in (0, 3, 17):
        await store.apply(partition, _batch(-1, posts=1))
    assert await store.partitions() == [0, 3, 17]


async def test_pane_is_summed_over_partitions(store: RedisStore) -> None:
    for partition in (0, 1):
        await store.apply(partition, _batch(-1, posts=10))
    pane = await store.pane([0, 1], START)
    assert pane["all"].counters == [20, 20, 140]
    assert pane["all"].strata["stratum-0|en|none"] == [2, 2, 14, 0]
    assert pane["all"].authors == 20


async def test_closing_never_goes_back(store: RedisStore) -> None:
    await store.apply(0, _batch(-1, posts=1))
    assert await store.close_through([0], START + 60) == 1
    assert await store.close_through([0], START) == 0
    assert (await store.partition_state(0)).closed_s == START + 60


async def test_revisions_of_a_closer_that_was_replaced_are_refused(store: RedisStore) -> None:
    first = await store.begin_closing()
    assert await store.set_revisions(first, {START: {"all": Published(0, "a", False)}})
    second = await store.begin_closing()
    assert not await store.set_revisions(first, {START: {"all": Published(1, "b", True)}})
    assert await store.set_revisions(second, {START: {"all": Published(0, "a", True)}})
    assert await store.revisions([START]) == {START: {"all": Published(0, "a", True)}}


async def test_revisions_of_forgotten_panes_are_forgotten(store: RedisStore) -> None:
    epoch = await store.begin_closing()
    for start in (START, START + 60):
        await store.set_revisions(epoch, {start: {"all": Published(0, "a", True)}})
    await store.forget_revisions(START + 60)
    found = await store.revisions([START, START + 60])
    assert found == {START: {}, START + 60: {"all": Published(0, "a", True)}}
