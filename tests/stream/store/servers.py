"""One Redis or a cluster for the same tests: whatever a test asks of the server itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.cluster import ClusterNode, RedisCluster

CLUSTER = "redis+cluster://"


def with_database(url: str, database: int) -> str:
    """Return the address of a database of a Redis; a cluster has one alone."""
    return url if url.startswith(CLUSTER) else url.removesuffix("/0") + f"/{database}"


@contextmanager
def raw_client(url: str) -> Iterator[Any]:
    """Give a client of the library for a server or a cluster, emptied by `flushdb`."""
    if not url.startswith(CLUSTER):
        with redis.Redis.from_url(url) as client:
            yield client
        return
    nodes = [one.split(":") for one in url.removeprefix(CLUSTER).split(",")]
    made = RedisCluster(startup_nodes=[ClusterNode(host, int(port)) for host, port in nodes])
    try:
        yield made
    finally:
        made.close()


def set_everywhere(client: Any, name: str, value: int) -> None:
    """Set a setting of a server, of a cluster on every node."""
    options = {"target_nodes": "all"} if isinstance(client, RedisCluster) else {}
    client.config_set(name, value, **options)
