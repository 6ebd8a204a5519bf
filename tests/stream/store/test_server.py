"""What these tests run on is what was asked for; a search path is easily another one."""

import os

import pytest
import redis

from services.local.redis_server import RedisServer, redis_program
from testkit.redis_cluster import RedisClusterServers
from testkit.redis_servers.command import EXPECTED_VARIABLE
from testkit.redis_servers.programs import version_of

pytestmark = pytest.mark.integration


def test_the_server_is_the_one_that_was_asked_for(
    redis_server: RedisServer | RedisClusterServers,
) -> None:
    program = redis_program()
    assert program is not None
    expected = os.environ.get(EXPECTED_VARIABLE) or version_of(program.parent)
    is_cluster = isinstance(redis_server, RedisClusterServers)
    for node in redis_server.nodes if is_cluster else [redis_server]:
        with redis.Redis(port=node.port) as client:
            said = client.info("server")
        is_valkey = said.get("server_name") == "valkey"
        name = "Valkey" if is_valkey else "Redis"
        assert f"{name} {said[f'{name.lower()}_version']}" == expected
