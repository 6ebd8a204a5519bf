"""Servers that tests may ask for: real ones, started once per run, on free loopback ports.

They are shared by all tests of a run, so a test uses topic names, key prefixes and consumer
groups of its own. A test that kills a server starts its own (`testkit.local`).
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from testkit import local as testing
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from services.local.triton_server import TritonServer

# How long an example takes says nothing about the code on a machine that others share.
settings.register_profile(
    "house", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka broker; `kafka.bootstrap` is its address. Topics are not created by use."""
    with testing.kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server; `redis_server.url` is its address."""
    with testing.redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A Triton with the shipped model; `triton.grpc_address` is where it serves."""
    with testing.triton_server(tmp_path_factory.mktemp("triton")) as server:
        yield server
