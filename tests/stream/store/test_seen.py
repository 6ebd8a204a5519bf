"""Where `seen.lua` draws the line between an answer about ids and the news of another writer."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.errors import CursorConflict
from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from tests.stream.store.servers import raw_client, with_database

pytestmark = pytest.mark.integration

DATABASE = 9
HOUR = 492_324
CURSOR = 9
"""The last applied offset: ten posts were applied."""


@pytest_asyncio.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    url = with_database(redis_server.url, DATABASE)
    with raw_client(url) as client:
        client.flushdb()
    made = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    batch = ApplyBatch(POSTS, -1, CURSOR, HOUR * 3_600_000)
    batch.seen = {(HOUR, 3): ["-7", "11"], (HOUR + 1, 5): ["12"]}
    await made.apply(0, batch)
    yield made
    await made.close()


async def test_the_record_at_the_stored_cursor_was_applied_and_the_next_one_was_not(
    store: RedisStore,
) -> None:
    with pytest.raises(CursorConflict) as conflict:
        await store.seen(0, [("11", 3, [HOUR])], first=CURSOR)
    assert conflict.value.stored == CURSOR
    assert await store.seen(0, [("11", 3, [HOUR])], first=CURSOR + 1) == [True]


async def test_a_store_that_holds_just_what_is_known_to_be_applied_did_not_go_back(
    store: RedisStore,
) -> None:
    asked = [("11", 3, [HOUR])]
    assert await store.seen(0, asked, first=CURSOR + 1, applied=CURSOR) == [True]
    with pytest.raises(CursorConflict) as conflict:
        await store.seen(0, asked, first=CURSOR + 2, applied=CURSOR + 1)
    assert conflict.value.stored == CURSOR


async def test_the_first_record_of_a_new_partition_is_none_that_was_applied(
    store: RedisStore,
) -> None:
    assert await store.seen(1, [("11", 3, [HOUR])], first=0) == [False]


async def test_ids_of_no_record_are_answered_wherever_the_cursor_is(store: RedisStore) -> None:
    assert await store.seen(0, [("11", 3, [HOUR])], applied=CURSOR + 5) == [True]


async def test_each_id_is_looked_for_in_its_own_hours_and_shard_and_answered_in_order(
    store: RedisStore,
) -> None:
    asked = [
        ("-7", 3, [HOUR]),
        ("-7", 4, [HOUR]),
        ("12", 5, [HOUR]),
        ("12", 5, [HOUR, HOUR + 1]),
        ("13", 3, [HOUR - 1, HOUR, HOUR + 1]),
        ("11", 3, [HOUR - 1, HOUR]),
    ]
    assert await store.seen(0, asked) == [True, False, False, True, False, True]
    assert await store.seen(0, []) == []
