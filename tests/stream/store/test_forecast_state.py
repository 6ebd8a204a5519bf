"""What the forecaster keeps: one compared step, packed, and readable whatever else stands there."""

import os

import pytest
import redis

from core.errors import CursorConflict, StateUnreadable
from services.local.redis_server import RedisServer
from stream.store import keys
from stream.store.forecast_records import ForecastApply, ReadUpTo
from stream.store.redis_store import RedisStore
from tests.stream.store.servers import with_database

pytestmark = pytest.mark.integration

KINDS = ("authors", "pending", "sources")
AUTHOR, POST = b"author-1", b"author-1post"
RECORDS = {
    "authors": {AUTHOR: b"a" * 304},
    "pending": {POST: b"p" * 51, b"author-1tsop": b"q" * 53},
    "sources": {b"s": b"anything"},
}
FIRST = ForecastApply(ReadUpTo(), ReadUpTo(9, 4, {"posts": 12}), "one", RECORDS, {"tracked": 2})
Client = redis.Redis


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return with_database(redis_server.url, 7)


def right(kind: str, field: bytes, record: bytes) -> str:
    return "" if kind != "pending" or len(record) >= 51 else f"{len(record)} bytes"


async def test_what_is_kept_is_found_again_and_what_is_deleted_is_gone(store: RedisStore) -> None:
    assert await store.forecasts.apply(0, FIRST) == []
    found = await store.forecasts.load(0, KINDS, right)
    assert (found.upto, found.records, found.totals) == (FIRST.new, RECORDS, {"tracked": 2})
    assert found.refused == {}
    second = ForecastApply(
        FIRST.new, ReadUpTo(11, 4, {"posts": 14, "post-events": 3}), "two",
        {"pending": {POST: None, b"author-2post": b"r" * 51}}, {"tracked": 1, "gone": 1},
    )  # fmt: skip
    await store.forecasts.apply(0, second)
    found = await store.forecasts.load(0, KINDS, right)
    assert set(found.records["pending"]) == {b"author-1tsop", b"author-2post"}
    assert found.upto == second.new
    assert found.totals == {"tracked": 3, "gone": 1}


@pytest.mark.parametrize(
    "expected", [ReadUpTo(), ReadUpTo(8, 4), ReadUpTo(9, 3), ReadUpTo(10, 4), ReadUpTo(9, 5)]
)
async def test_a_writer_that_expects_other_offsets_is_refused_and_writes_nothing(
    store: RedisStore, client: Client, expected: ReadUpTo
) -> None:
    await store.forecasts.apply(0, FIRST)
    before = {key: client.hgetall(key) for key in client.scan_iter()}
    late = ForecastApply(expected, ReadUpTo(50, 50), "late", {"pending": {POST: None}}, {"gone": 1})
    with pytest.raises(CursorConflict):
        await store.forecasts.apply(0, late)
    assert {key: client.hgetall(key) for key in client.scan_iter()} == before


async def test_the_same_apply_twice_is_one(store: RedisStore) -> None:
    await store.forecasts.apply(0, FIRST)
    await store.forecasts.apply(0, FIRST)
    assert (await store.forecasts.load(0, KINDS, right)).totals == {"tracked": 2}


async def test_nothing_else_of_the_partition_is_touched_by_either_side(
    store: RedisStore, client: Client
) -> None:
    client.hset("{0}:cursor", mapping={"posts": 7, "watermark": 5})
    client.hset("{0}:dirty", mapping={"60": "x"})
    await store.forecasts.apply(0, FIRST)
    assert client.hgetall("{0}:cursor") == {b"posts": b"7", b"watermark": b"5"}
    assert (await store.partition_state(0)).cursors["posts"] == 7
    await store.repairs.reset_partition(0, {"posts": 8})
    assert not client.exists("{0}:dirty")
    assert (await store.forecasts.load(0, KINDS, right)).records == RECORDS
    assert await store.partitions() == [0]


async def test_partitions_do_not_meet(store: RedisStore) -> None:
    await store.forecasts.apply(1, FIRST)
    await store.forecasts.apply(11, FIRST)
    assert (await store.forecasts.load(0, KINDS, right)).upto == ReadUpTo()
    with pytest.raises(CursorConflict):
        await store.forecasts.apply(11, FIRST.__class__(ReadUpTo(), ReadUpTo(1, 1), "other"))


@pytest.mark.parametrize("by", ["list", "string", "zset"])
async def test_a_shard_of_another_type_is_set_aside_and_the_rest_is_found(
    store: RedisStore, client: Client, by: str
) -> None:
    await store.forecasts.apply(0, FIRST)
    (key,) = [k for k in client.scan_iter("{0}:forecast:authors:*")]
    client.delete(key)
    _overwrite(client, key, by)
    found = await store.forecasts.load(0, KINDS, right)
    assert (found.refused, found.records["authors"]) == ({"authors": 1}, {})
    assert found.records["pending"] == RECORDS["pending"]
    assert client.type(keys.aside(0, key.decode())) == by.encode()
    again = await store.forecasts.load(0, KINDS, right)
    assert again.refused == {}


async def test_an_apply_sets_a_shard_of_another_type_aside_and_says_so(
    store: RedisStore, client: Client
) -> None:
    await store.forecasts.apply(0, FIRST)
    (key,) = [k.decode() for k in client.scan_iter("{0}:forecast:authors:*")]
    client.delete(key)
    client.set(key, "a stranger's")
    aside = await store.forecasts.apply(
        0, ForecastApply(FIRST.new, ReadUpTo(10, 4), "two", {"authors": {AUTHOR: b"b" * 304}})
    )
    assert aside == [key.removeprefix("{0}:forecast:")]
    assert client.hgetall(key) == {AUTHOR: b"b" * 304}
    assert client.get(keys.aside(0, key)) == b"a stranger's"


@pytest.mark.parametrize("record", [b"", b"short", bytes(range(200, 250))])
async def test_a_record_that_cannot_be_one_is_set_aside_by_name(
    store: RedisStore, client: Client, record: bytes
) -> None:
    await store.forecasts.apply(0, FIRST)
    (key,) = [
        k.decode() for k in client.scan_iter("{0}:forecast:pending:*") if client.hexists(k, POST)
    ]
    client.hset(key, POST, record)
    found = await store.forecasts.load(0, KINDS, right)
    assert found.refused == {"pending": 1}
    assert set(found.records["pending"]) == {b"author-1tsop"}
    assert client.hgetall(keys.aside(0, key) + ":fields") == {POST: record}
    assert (await store.forecasts.load(0, KINDS, right)).refused == {}


@pytest.mark.parametrize("value", ["", "1.0", "1e3", "-2", "x", "9" * 25, "nan"])
async def test_lost_offsets_are_said_and_nothing_is_applied_on_them(
    store: RedisStore, client: Client, value: str
) -> None:
    await store.forecasts.apply(0, FIRST)
    client.hset("{0}:forecast", "scored-posts", value)
    with pytest.raises((StateUnreadable, CursorConflict)):
        await store.forecasts.apply(0, ForecastApply(FIRST.new, ReadUpTo(10, 4), "two"))
    found = await store.forecasts.load(0, KINDS, right)
    assert (found.upto, found.refused) == (None, {"cursor": 1})
    assert found.records == RECORDS
    await store.forecasts.apply(0, ForecastApply(ReadUpTo(), ReadUpTo(99, 9), "three"))
    assert (await store.forecasts.load(0, KINDS, right)).upto == ReadUpTo(99, 9)


async def test_records_without_offsets_are_no_new_partition(
    store: RedisStore, client: Client
) -> None:
    await store.forecasts.apply(0, FIRST)
    client.delete("{0}:forecast")
    assert (await store.forecasts.load(0, KINDS, right)).upto is None


@pytest.mark.parametrize("name", ["tracked", "scored-posts"])
async def test_what_is_no_number_is_refused_by_name_before_anything_is_written(
    store: RedisStore, client: Client, name: str
) -> None:
    await store.forecasts.apply(0, FIRST)
    client.hset("{0}:forecast", name, "many")
    before = {key: client.hgetall(key) for key in client.scan_iter()}
    wanted = ForecastApply(
        FIRST.new, ReadUpTo(10, 4), "two", {"pending": {POST: None}}, {"tracked": 1}
    )
    with pytest.raises(StateUnreadable, match=name):
        await store.forecasts.apply(0, wanted)
    assert {key: client.hgetall(key) for key in client.scan_iter()} == before


@pytest.mark.slow
async def test_records_are_as_small_as_promised(store: RedisStore, client: Client) -> None:
    posts = {os.urandom(12): os.urandom(51) for _ in range(60_000)}
    authors = {os.urandom(8): os.urandom(304) for _ in range(20_000)}
    await store.forecasts.apply(
        0, ForecastApply(ReadUpTo(), ReadUpTo(1, 1), "a", {"pending": posts, "authors": authors})
    )
    for kind, count, most in (("pending", len(posts), 96), ("authors", len(authors), 400)):
        shards = list(client.scan_iter(f"{{0}}:forecast:{kind}:*", count=5_000))
        pipe = client.pipeline(transaction=False)
        for key in shards:
            pipe.memory_usage(key, samples=0)
        assert {client.object("encoding", key) for key in shards[:50]} <= {b"ziplist", b"listpack"}
        assert sum(pipe.execute()) / count <= most
    assert len(next(iter(posts))) + 51 <= 64


def _overwrite(client: Client, key: bytes, by: str) -> None:
    if by == "list":
        client.lpush(key, "x")
    elif by == "string":
        client.set(key, "x")
    else:
        client.zadd(key, {"x": 1})
