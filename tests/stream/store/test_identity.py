"""A store knows of which Kafka cluster its cursors are, and says so to who comes from another."""

import pytest
import redis

from core.errors import ConfigError, StoreUnavailable
from core.settings import RedisSettings
from services.local.ports import reserved_port
from services.local.redis_server import RedisServer
from stream.store import keys
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore
from tests.stream.store.servers import set_everywhere, with_database

pytestmark = pytest.mark.integration

DATABASE = 12
HORIZONS = Horizons(60, 172_800, 21_600, 86_400)


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return with_database(redis_server.url, DATABASE)


async def test_the_first_cluster_has_the_store_and_another_is_refused_by_name(
    store: RedisStore,
) -> None:
    await store.identity.claim("g-one")
    await store.identity.claim("g-one")
    with pytest.raises(ConfigError, match=r"'g-one'.*'g-two'.*--fresh.*\{closer\}:cluster"):
        await store.identity.claim("g-two")
    await store.identity.claim("g-one")  # it was not overwritten


async def test_a_store_that_was_filled_before_is_adopted(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    client.hset(keys.cursor(0), "posts", 7)
    await store.identity.claim("g-one")
    with pytest.raises(ConfigError):
        await store.identity.claim("g-two")
    assert (await store.partition_state(0)).cursors["posts"] == 7


async def test_an_emptied_store_is_of_who_comes_first(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    await store.identity.claim("g-one")
    client.flushdb()
    await store.identity.claim("g-two")
    with pytest.raises(ConfigError):
        await store.identity.claim("g-one")


async def test_a_broker_that_does_not_tell_its_cluster_is_not_compared(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    await store.identity.claim("")
    assert not client.exists(keys.CLUSTER)


async def test_what_is_no_cluster_id_is_refused(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    client.set(keys.CLUSTER, b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"xff"):
        await store.identity.claim("g-one")


async def test_a_store_that_is_away_or_full_is_asked_again_later(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    with reserved_port() as port:
        away = RedisStore(RedisSettings(url=f"redis://127.0.0.1:{port}/0"), HORIZONS)
        with pytest.raises(StoreUnavailable):
            await away.identity.claim("g-one")
        await away.close()
    await store.identity.claim("g-one")
    set_everywhere(client, "maxmemory", 1)
    try:
        await store.identity.claim("g-one")  # reading is possible while memory is full
        client.delete(keys.CLUSTER)
        with pytest.raises(StoreUnavailable):
            await store.identity.claim("g-one")
    finally:
        set_everywhere(client, "maxmemory", 0)
