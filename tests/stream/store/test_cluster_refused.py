"""A node of a Redis Cluster has only a part of the keys: it is refused by name, not halfway."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from core.errors import ConfigError
from core.settings import RedisSettings
from services.local.child import Command
from services.local.ports import any_free_port
from services.local.redis_server import RedisServer
from services.local.server import ServerFailed
from stream.store import keys
from stream.store.client import connect, redis_faults
from stream.store.redis_store import RedisStore
from tests.stream.store.worlds import HORIZONS

pytestmark = pytest.mark.integration

DATABASE = 12
HIGHEST_WITH_A_BUS = 65_535 - 10_000
"""Redis 6 has the bus of a cluster ten thousand above the port of clients."""


class ClusterNode(RedisServer):
    """A server in cluster mode, without slots and without other nodes."""

    def command(self) -> Command:
        command = super().command()
        with (self.directory / "redis.conf").open("a") as file:
            file.write("cluster-enabled yes\n")
        return command


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterNode]:
    tried: list[int] = []
    with ExitStack() as running:
        while True:
            port = any_free_port(tried)
            tried.append(port)
            if port > HIGHEST_WITH_A_BUS:
                continue
            try:  # another may have the port of the bus, which nobody can reserve
                made = running.enter_context(ClusterNode(tmp_path_factory.mktemp("node"), port))
                break
            except ServerFailed:
                if len(tried) > 50:
                    raise
        yield made


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return redis_server.url.replace("/0", f"/{DATABASE}")


@pytest.mark.parametrize("cluster_id", ["g-one", ""])
async def test_a_node_of_a_cluster_is_refused_at_start_and_nothing_is_written(
    node: ClusterNode, cluster_id: str
) -> None:
    store = RedisStore(RedisSettings(url=node.url), HORIZONS)
    said = r"redis\.url.*Redis Cluster.*cluster_enabled.*expected one"
    with pytest.raises(ConfigError, match=said):
        await store.identity.claim(cluster_id)
    await store.close()
    with redis.Redis.from_url(node.url) as client:
        assert client.dbsize() == 0


async def test_one_redis_is_not_refused(store: RedisStore, client: Any) -> None:
    await store.identity.claim("g-one")
    assert client.get(keys.CLUSTER) == b"g-one"


@pytest.mark.parametrize("answer", ["MOVED 42 127.0.0.1:6381", "ASK 42 127.0.0.1:6381"])
@pytest.mark.parametrize("in_pipeline", [False, True])
async def test_a_reader_that_is_sent_elsewhere_names_the_setting(
    url: str, answer: str, in_pipeline: bool
) -> None:
    client = connect(RedisSettings(url=url))
    asked: Any = client.pipeline(transaction=False) if in_pipeline else client
    answer_of = asked.eval(f"return redis.error_reply('{answer}')", 0)
    with pytest.raises(ConfigError, match=r"redis\.url.*slot 42 is not its own"):
        async with redis_faults():
            await (asked.execute() if in_pipeline else answer_of)
    await client.aclose()
