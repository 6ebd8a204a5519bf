"""When `apply.lua` forgets: at which hour, at which pane, and what it must keep until then."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import redis

from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store.increments import DELETED, ApplyBatch, CountedPost, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from tests.stream.store.servers import raw_client, with_database

pytestmark = pytest.mark.integration

DATABASE = 11
HOUR_S = 3_600
HOUR = 492_324
NOON = HOUR * HOUR_S
PANE_S, RETENTION_S, KEPT_S, SEEN_S = 60, 7_200, 2 * HOUR_S, 3 * HOUR_S
ID = b"\0\1\0\2\0\3\0\4"
"""Its contribution is in shard 1."""


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis[bytes]"]:
    with raw_client(with_database(redis_server.url, DATABASE)) as made:
        made.flushdb()
        yield made


@pytest_asyncio.fixture
async def store(redis_server: RedisServer, client: object) -> AsyncIterator[RedisStore]:
    del client
    url = with_database(redis_server.url, DATABASE)
    made = RedisStore(RedisSettings(url=url), Horizons(PANE_S, RETENTION_S, KEPT_S, SEEN_S))
    yield made
    await made.close()


class Writer:
    """Applies batches to partition 0, one after the other."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._cursors = {POSTS: -1, POST_EVENTS: -1}

    async def posts(self, watermark_s: int, *starts: int) -> ApplyBatch:
        batch = self._batch(POSTS, watermark_s * 1000)
        for start in starts:
            increment = ("all", [1, 1, 5], {"s|en|none": [1, 1, 5, 0]}, ["author"])
            batch.panes[start] = [increment]
        await self._store.apply(0, batch)
        return batch

    async def kept(self, watermark_s: int) -> None:
        batch = self._batch(POSTS, watermark_s * 1000)
        kept = CountedPost(NOON, "s|en|none", [1, 1, 5, 0], ["all"])
        batch.kept = {1: [ID, kept.packed()]}
        batch.seen = {(watermark_s // HOUR_S, 7): ["5"]}
        await self._store.apply(0, batch)

    async def deleted(self, told_s: int = -1, post_id: bytes = ID) -> None:
        batch = self._batch(POST_EVENTS, -1)
        batch.told_ms = told_s * 1000
        batch.operations = [(post_id, DELETED)]
        await self._store.apply(0, batch)

    def _batch(self, topic: str, watermark_ms: int) -> ApplyBatch:
        before = self._cursors[topic]
        self._cursors[topic] = before + 1
        return ApplyBatch(topic, before, before + 1, watermark_ms)


@pytest.fixture
def writer(store: RedisStore) -> Writer:
    return Writer(store)


def _hours(client: "redis.Redis[bytes]", name: str) -> list[int]:
    return [int(hour) for hour in client.zrange(f"{{0}}:{name}-hours", 0, -1)]


@pytest.mark.parametrize(("name", "horizon_s"), [("kept", KEPT_S), ("seen", SEEN_S)])
async def test_an_hour_is_forgotten_when_the_horizon_has_passed_the_whole_of_it(
    writer: Writer, client: "redis.Redis[bytes]", name: str, horizon_s: int
) -> None:
    await writer.kept(NOON)
    shards = [key.decode() for key in client.scan_iter(f"{{0}}:{name}:*")]
    assert shards == [f"{{0}}:{name}:{HOUR}:{1 if name == 'kept' else 7}"]
    await writer.posts(NOON + horizon_s + HOUR_S - 1)
    assert _hours(client, name) == [HOUR]
    assert client.exists(*shards) == 1
    await writer.posts(NOON + horizon_s + HOUR_S)
    assert _hours(client, name) == []
    assert client.exists(*shards) == 0


async def test_every_shard_of_a_forgotten_hour_is_gone_the_first_and_the_last(
    store: RedisStore, client: "redis.Redis[bytes]", writer: Writer
) -> None:
    batch = ApplyBatch(POSTS, -1, 0, NOON * 1000)
    batch.seen = {(HOUR, 0): ["5"], (HOUR, 1_023): ["6"]}
    kept = CountedPost(NOON, "s|en|none", [1, 1, 5, 0], ["all"]).packed()
    batch.kept = {0: [b"\0\0aaaaaa", kept], 4_095: [b"\x0f\xffaaaaaa", kept]}
    await store.apply(0, batch)
    writer._cursors[POSTS] = 0
    await writer.posts(NOON + 9 * HOUR_S)
    await writer.posts(NOON + 9 * HOUR_S)
    assert not [k for k in client.scan_iter() if b":seen" in k or b":kept" in k]


async def test_one_hour_is_forgotten_with_each_apply_the_oldest_first(
    writer: Writer, client: "redis.Redis[bytes]"
) -> None:
    for hours in range(3):
        await writer.kept(NOON + hours * HOUR_S)
    await writer.posts(NOON + 9 * HOUR_S)
    assert _hours(client, "kept") == _hours(client, "seen") == [HOUR + 1, HOUR + 2]


async def test_what_overtook_its_post_is_kept_for_the_horizon_and_then_forgotten(
    writer: Writer, client: "redis.Redis[bytes]"
) -> None:
    await writer.posts(NOON)
    await writer.deleted()
    assert client.zscore("{0}:ahead-due", ID) == HOUR
    await writer.posts(NOON + KEPT_S + HOUR_S - 1)
    assert client.hget("{0}:ahead", ID) == b""
    await writer.posts(NOON + KEPT_S + HOUR_S)
    assert client.exists("{0}:ahead", "{0}:ahead-due") == 0


async def test_what_overtook_its_post_is_due_by_the_later_of_the_clocks(
    writer: Writer, client: "redis.Redis[bytes]"
) -> None:
    """While a store is filled again, the watermark is unknown or far behind those who delete."""
    other = b"\0\1\0\2\0\3\0\5"
    await writer.deleted(told_s=NOON)
    assert client.zscore("{0}:ahead-due", ID) == HOUR
    await writer.posts(NOON + 2 * HOUR_S)
    await writer.deleted(told_s=NOON, post_id=other)
    assert client.zscore("{0}:ahead-due", other) == HOUR + 2


async def test_a_pane_is_forgotten_when_retention_has_passed_its_end(
    writer: Writer, store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    await writer.posts(NOON, NOON)
    await store.close_through([0], NOON + PANE_S)
    await store.clean(await store.dirty([0]))
    await writer.posts(NOON + PANE_S + RETENTION_S - 1)
    assert await store.pane_starts([0]) == [NOON]
    assert (await store.partition_state(0)).forgotten_s == -1
    await writer.posts(NOON + PANE_S + RETENTION_S)
    assert await store.pane_starts([0]) == []
    assert (await store.partition_state(0)).forgotten_s == NOON
    assert [key for key in client.scan_iter("{0}:*:*")] == []


@pytest.mark.parametrize("closed_s", [None, NOON])
async def test_a_pane_that_was_never_closed_is_kept_however_old_it_is(
    writer: Writer, store: RedisStore, closed_s: int | None
) -> None:
    await writer.posts(NOON, NOON)
    if closed_s is not None:
        await store.close_through([0], closed_s)
    await writer.posts(NOON + 9 * RETENTION_S)
    assert await store.pane_starts([0]) == [NOON]


async def test_a_pane_that_is_not_published_as_it_is_keeps_itself_and_all_after_it(
    writer: Writer, store: RedisStore
) -> None:
    await writer.posts(NOON, NOON, NOON + PANE_S, NOON + 2 * PANE_S)
    await store.close_through([0], NOON + 3 * PANE_S)
    marks = await store.dirty([0])
    await store.clean({start: mark for start, mark in marks.items() if start != NOON + PANE_S})
    await writer.posts(NOON + 9 * RETENTION_S)
    assert await store.pane_starts([0]) == [NOON + PANE_S, NOON + 2 * PANE_S]
    assert (await store.partition_state(0)).forgotten_s == NOON


async def test_what_a_post_added_is_remembered_in_the_hour_of_the_watermark(
    writer: Writer, client: "redis.Redis[bytes]"
) -> None:
    await writer.kept(NOON + HOUR_S - 1)
    await writer.kept(NOON)  # late: the watermark of the partition stays
    assert _hours(client, "kept") == [HOUR]
    assert (await writer._store.partition_state(0)).watermark_ms == (NOON + HOUR_S - 1) * 1000
    await writer.kept(NOON + HOUR_S)
    assert _hours(client, "kept") == [HOUR, HOUR + 1]


async def test_a_batch_that_changes_nothing_of_a_total_leaves_it_unwritten(
    writer: Writer, client: "redis.Redis[bytes]"
) -> None:
    await writer.posts(NOON)
    assert set(client.hgetall("{0}:cursor")) == {b"posts", b"watermark"}
    assert client.exists("{0}:kept-hours", "{0}:seen-hours", "{0}:dirty") == 0
