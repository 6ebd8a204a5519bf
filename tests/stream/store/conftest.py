"""A store in a database of its own: a file of tests says which by a fixture `url`.

What holds for one Redis holds for a cluster: tests that ask for `redis_server` run on both. What
takes minutes there (rubbish in stored values, many histories) does so by hand only:
`GROUNDSWELL_CLUSTER_TESTS=all python -m pytest tests/stream/store`.
"""

import os
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

_ONE_ONLY = ("test_cluster_refused", "test_redis_store")
_LONG = (
    "test_rubbish", "test_rubbish_within", "test_records_are_as_small_as_promised",
    "test_store_agrees_with_its_twin",
)  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a server on one Redis, and on a cluster."""
    if "redis_server" not in metafunc.fixturenames:
        return
    names = {metafunc.module.__name__.rpartition(".")[2], metafunc.function.__name__}
    kinds = ["one", "cluster"]
    if not names.isdisjoint(_ONE_ONLY):
        kinds = ["one"]
    elif metafunc.function.__name__.startswith("test_cluster_"):
        kinds = ["cluster"]
    elif not names.isdisjoint(_LONG) and os.environ.get("GROUNDSWELL_CLUSTER_TESTS") != "all":
        kinds = ["one"]
    metafunc.parametrize("redis_server", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
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
