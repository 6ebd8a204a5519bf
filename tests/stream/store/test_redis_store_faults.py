"""Which answers of Redis are waited out and which are our own mistakes, and what readers count."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis import exceptions as redis_errors

from core.errors import CursorConflict, StoreUnavailable
from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream import heartbeat
from stream.store.client import redis_faults
from stream.store.health import HORIZONS
from stream.store.increments import ApplyBatch, CountedPost, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from stream.windows.records import PaneSum, Published
from tests.stream.store.servers import raw_client, with_database

DATABASE = 14
START = 1_772_366_400


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ConnectionError("gone"),
        redis_errors.TimeoutError("slow"),
        OSError("no route"),
        redis_errors.OutOfMemoryError("command not allowed"),
        redis_errors.ReadOnlyError("replica"),
        redis_errors.ResponseError("OOM command not allowed when used memory > 'maxmemory'"),
        redis_errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis_errors.ResponseError("LOADING Redis is loading the dataset in memory"),
        redis_errors.ResponseError("CLUSTERDOWN The cluster is down"),
        redis_errors.ResponseError("Error running script: @user_script: -OOM command not allowed"),
        redis_errors.ResponseError("MASTERDOWN Link with MASTER is down"),
        redis_errors.ResponseError("TRYAGAIN Multiple keys request during rehashing of slot"),
        redis_errors.ResponseError("BUSY Redis is busy running a script"),
    ],
)
async def test_what_passes_by_itself_or_by_an_operators_hand_is_unavailable(
    error: Exception,
) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        async with redis_faults():
            raise error
    assert raised.value.__cause__ is error
    assert str(error) in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ResponseError("WRONGTYPE Operation against a key"),
        redis_errors.ResponseError("ERR unknown command 'LOADINGS'"),
        redis_errors.ResponseError("ERR BUSYKEY Target key name already exists"),
        ValueError("a mistake of ours"),
    ],
)
async def test_a_mistake_of_ours_passes_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        async with redis_faults():
            raise error
    assert raised.value is error


async def test_a_long_answer_is_told_in_short() -> None:
    with pytest.raises(StoreUnavailable) as raised:
        async with redis_faults():
            raise redis_errors.ResponseError("OOM " + "x" * 5_000)
    assert len(str(raised.value)) < 300


@pytest_asyncio.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    url = with_database(redis_server.url, DATABASE)
    with raw_client(url) as client:
        client.flushdb()
    made = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    yield made
    await made.close()


def _batch(expected: int, start: int, query: str = "all", topic: str = POSTS) -> ApplyBatch:
    batch = ApplyBatch(topic, expected, expected + 1, start * 1000)
    batch.panes = {start: [(query, [2, 1, 5], {"s|en|none": [2, 1, 5, 0]}, ["ana", "ben"])]}
    batch.seen = {(start // 3600, 3): ["7"]}
    batch.totals["counted"] = 2
    return batch


@pytest.mark.integration
async def test_every_horizon_is_counted_over_the_partitions(
    store: RedisStore, redis_server: RedisServer
) -> None:
    for partition in (0, 2):
        batch = _batch(-1, START)
        batch.kept = {1: [b"\0\1aaaaaa", CountedPost(START, "s", [1] * 4, ["all"]).packed()]}
        batch.operations = [(b"\0\2bbbbbb", b"")]
        await store.apply(partition, batch)
    await store.close_through([0], START + 60)
    found = await store.horizon_entries([0, 1, 2])
    assert found == {
        "panes": 2, "unpublished_panes": 1, "seen_hours": 2, "kept_hours": 2, "ahead": 2,
    }  # fmt: skip
    assert set(await store.horizon_entries([])) == set(HORIZONS)
    with raw_client(redis_server.url) as client:
        keys = len(set(client.scan_iter()))
    assert (await store.health()).keys == keys, "of database 0, which is not this one"


@pytest.mark.integration
async def test_a_partitions_state_is_apart_from_its_totals(store: RedisStore) -> None:
    assert (await store.partition_state(5)).cursors == {POSTS: -1, POST_EVENTS: -1}
    await store.apply(0, _batch(-1, START))
    await store.apply(0, _batch(-1, START, topic=POST_EVENTS))
    await store.close_through([0], START + 60)
    state = await store.partition_state(0)
    assert state.cursors == {POSTS: 0, POST_EVENTS: 0}
    assert (state.watermark_ms, state.closed_s) == (START * 1000, START + 60)
    assert state.forgotten_s == -1
    assert state.totals == {"counted": 4}


@pytest.mark.integration
async def test_heartbeats_are_in_no_pane_that_is_read(store: RedisStore) -> None:
    await store.apply(0, _batch(-1, START))
    await store.apply(0, _batch(0, START, heartbeat.QUERY))
    await store.apply(0, _batch(1, START, "rail"))
    await store.apply(3, _batch(-1, START + 60))
    one = PaneSum([2, 1, 5], {"s|en|none": [2, 1, 5, 0]}, 2)
    assert await store.panes([0, 3], [START, START + 60, START + 120]) == {
        START: {"all": one, "rail": one}, START + 60: {"all": one}, START + 120: {},
    }  # fmt: skip
    assert await store.pane([0], START) == {"all": one, "rail": one}
    assert await store.pane_starts([3, 0]) == [START, START + 60]
    assert await store.panes([], [START]) == {START: {}}


@pytest.mark.integration
async def test_dirty_panes_are_told_by_partition_and_only_what_did_not_change_is_cleaned(
    store: RedisStore,
) -> None:
    for partition in (0, 1):
        await store.apply(partition, _batch(-1, START))
        await store.apply(partition, _batch(0, START + 60))
    assert await store.close_through([0, 1], START + 60) == 2
    assert await store.close_through([0, 1], START + 60) == 0
    assert await store.close_through([0, 1], START + 120) == 2
    marks = await store.dirty([0, 1])
    assert marks == {
        START: {0: b"closed", 1: b"closed"}, START + 60: {0: b"closed", 1: b"closed"},
    }  # fmt: skip
    await store.apply(1, _batch(1, START))
    await store.clean(marks)
    assert await store.dirty([0, 1]) == {START: {1: b"posts:2"}}
    await store.clean({})


@pytest.mark.integration
async def test_revisions_are_forgotten_a_few_at_a_time_the_oldest_first(
    store: RedisStore,
) -> None:
    epoch = await store.begin_closing()
    one = {"all": Published(3, "d", False), "rail": Published(0, "e", True)}
    starts = [START + 60 * n for n in range(5)]
    assert await store.set_revisions(epoch, dict.fromkeys(starts, one))
    assert await store.revisions(starts) == dict.fromkeys(starts, one)
    await store.forget_revisions(START)
    assert (await store.revisions(starts))[START] == one
    await store.forget_revisions(START + 180, at_most=2)
    assert [bool(by) for by in (await store.revisions(starts)).values()] == [
        False, False, True, True, True,
    ]  # fmt: skip
    await store.forget_revisions(START + 180)
    await store.forget_revisions(START + 180)
    assert [bool(by) for by in (await store.revisions(starts)).values()] == [
        False, False, False, True, True,
    ]  # fmt: skip


@pytest.mark.integration
async def test_a_refusal_says_what_was_expected_and_what_is_stored(store: RedisStore) -> None:
    await store.apply(4, _batch(-1, START))
    with pytest.raises(CursorConflict) as refused:
        await store.apply(4, _batch(7, START))
    assert (refused.value.expected, refused.value.stored) == (7, 0)
    with pytest.raises(CursorConflict) as applied:
        await store.seen(4, [("7", 3, [0])], first=0)
    assert (applied.value.expected, applied.value.stored) == (-1, 0)
