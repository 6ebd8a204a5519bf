"""Addresses of clusters: what is named, and what is refused by name."""

import pytest

from core.errors import ConfigError
from core.settings import RedisSettings
from stream.store.client import connect
from stream.store.scripts import Replication


def _nodes(url: str) -> set[str]:
    return set(connect(RedisSettings(url=url)).seeds)


@pytest.mark.parametrize(
    ("url", "nodes"),
    [
        ("redis+cluster://127.0.0.1:7000", {"127.0.0.1:7000"}),
        ("redis+cluster://127.0.0.1", {"127.0.0.1:6379"}),
        ("redis+cluster://10.0.0.1:1,10.0.0.2:2/0", {"10.0.0.1:1", "10.0.0.2:2"}),
        ("rediss+cluster://me@10.0.0.1:1,10.0.0.2:2", {"10.0.0.1:1", "10.0.0.2:2"}),
        ("redis+cluster://[::1]:7000,", {"::1:7000"}),
    ],
)
def test_nodes_are_those_that_are_named(url: str, nodes: set[str]) -> None:
    assert _nodes(url) == nodes


def test_user_and_encryption_are_of_every_node() -> None:
    client = connect(RedisSettings(url="rediss+cluster://me@10.0.0.1:1,10.0.0.2:2"))
    assert client.connection_kwargs["username"] == "me"
    assert client.connection_kwargs["connection_class"].__name__ == "SSLConnection"
    plain = connect(RedisSettings(url="redis+cluster://10.0.0.1:1", username="ana"))
    assert plain.connection_kwargs["username"] == "ana"


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://", "redis+cluster:///0", "redis+cluster://a:1/3", "redis+cluster://a:b",
        "redis+cluster://a:1,:2",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_cluster_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match=r"redis\.url"):
        connect(RedisSettings(url=url))


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://me:hunter2/x@a:1", "redis+cluster://me:hunter2@a:x",
        "redis+cluster://me:hunter2\u2100@a:1", "redis+cluster://me:hunter2@[::1",
        "redis://me:hunter2/x@a:1", "redis://me:hunter2@a:x", "redis://me:hunter2\u2100@a:1",
        "redis+cluster://me:hunter2@a:1?retry=4", "redis+cluster://me:hunter2@a:1?nonsense=1",
        "redis+cluster://me:hunter2@a:1?socket_timeout=x",
    ],
)  # fmt: skip
def test_a_refusal_tells_nothing_of_what_may_be_a_secret(url: str) -> None:
    with pytest.raises(ConfigError, match=r"redis\.url") as refused:
        connect(RedisSettings(url=url))
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_replicas_are_never_waited_for_without_an_end() -> None:
    asked = Replication.of(RedisSettings(wait_replicas=1, wait_timeout_s=0.0001))
    assert asked == Replication(1, 1)
