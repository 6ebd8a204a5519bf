"""Real servers for tests, each a context manager; `tests/conftest.py` makes fixtures of them.

The caller gives the directory (pytest's `tmp_path_factory`); ports are free ones of the loopback
interface, so several test runs can share a machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from services.local.triton_server import (
    DEFAULT_SERVER_PYTHON,
    TritonServer,
    build_model_repository,
)


@contextmanager
def kafka_server(directory: Path) -> Iterator[KafkaServer]:
    """A ready broker without topics; `.bootstrap` is its address."""
    with KafkaServer(directory) as server:
        yield server


@contextmanager
def redis_server(directory: Path) -> Iterator[RedisServer]:
    """A ready, empty Redis; `.url` is its address."""
    with RedisServer(directory) as server:
        yield server


@contextmanager
def triton_server(
    directory: Path, server_python: Path = DEFAULT_SERVER_PYTHON
) -> Iterator[TritonServer]:
    """A ready Triton with the shipped model, built first when needed; `.grpc_address`."""
    build_model_repository(server_python)
    with TritonServer(directory, server_python=server_python) as server:
        yield server
