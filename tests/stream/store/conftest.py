"""A store in a database of its own: a file of tests says which by a fixture `url`.

What holds for one Redis holds for a cluster: every test here that asks for `redis_server` is told
to run on both, but for those that are about one server.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import redis

from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store.redis_store import RedisStore
from testkit import local as testing
from testkit.redis_cluster import RedisClusterServers, redis_cluster
from tests.stream.store.servers import raw_client
from tests.stream.store.worlds import HORIZONS


@pytest.fixture(scope="session", params=["one", "cluster"])
def redis_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer | RedisClusterServers]:
    """A Redis, and a cluster of three masters and their replicas; `.url` is its address."""
    if request.param == "one":
        with testing.redis_server(tmp_path_factory.mktemp("redis")) as server:
            yield server
    else:
        with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
            yield cluster


@pytest.fixture
def client(url: str) -> Iterator["redis.Redis[bytes]"]:
    with raw_client(url) as made:
        made.flushdb()
        yield made


@pytest_asyncio.fixture
async def store(url: str, client: object) -> AsyncIterator[RedisStore]:
    del client
    made = RedisStore(RedisSettings(url=url), HORIZONS)
    yield made
    await made.close()
