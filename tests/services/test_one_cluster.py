"""Processes keep to one Kafka cluster, and to the store that was filled from it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from kafka import KafkaAdminClient

from core.settings import KafkaSettings
from services.cli.topics import topic_plans
from services.kafka_client import TopicAdmin
from services.local.child import Child, Command
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from stream.store import keys
from testkit.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
DATABASE = 13
DEADLINE_S = 120.0
"""Far beyond what it takes; only a failing test waits so long."""


@pytest.fixture
def client(redis_server: RedisServer) -> "redis.Redis[bytes]":
    with redis.Redis.from_url(redis_server.url.replace("/0", f"/{DATABASE}")) as made:
        made.flushdb()
        return made


@pytest.fixture
def process(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> Callable[..., Command]:
    """Return a function that makes the command of a process, with further settings."""
    with TopicAdmin(KafkaSettings(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.create(topic_plans(KafkaSettings(bootstrap_servers=kafka.bootstrap)))

    def make(*words: str, **settings: Any) -> Command:
        given = {
            "kafka__bootstrap_servers": kafka.bootstrap,
            "redis__url": redis_server.url.replace("/0", f"/{DATABASE}"),
            "scorer__kind": "fake",
            "worker__data_dir": str(tmp_path / "worker"),
            "worker__group": "workers-of-one-cluster",
            "closer__group": "closers-of-one-cluster",
            "ingest__cursor_dir": str(tmp_path / "ingest"),
        } | settings
        variables = {f"GROUNDSWELL__{name}".upper(): value for name, value in given.items()}
        argv = (sys.executable, "-m", "services.cli.main", *words)
        return Command(argv, variables | {"PYTHONPATH": str(REPOSITORY)}, REPOSITORY)

    return make


def outcome(command: Command) -> tuple[int, list[str]]:
    """Return the exit status of a process that ends by itself, and its lines for people."""
    ended = subprocess.run(
        command.argv, env=command.environment(), cwd=command.cwd, timeout=DEADLINE_S,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in ended.stderr.splitlines() if line.startswith("groundswell: ")]
    assert "Traceback" not in ended.stderr
    return ended.returncode, said


def wait_beside(child: Child, reached: Callable[[], bool]) -> None:
    """Wait for something while a process must be running."""
    wait_until(
        reached,
        "what the process is to do",
        why=lambda: child.log_path.read_text(),
        can_still=lambda: child.is_running,
        patience_s=DEADLINE_S,
    )


@pytest.mark.parametrize("role", ["worker", "closer", "forecaster", "responder run"])
def test_the_state_of_another_cluster_is_refused_by_name(
    process: Callable[..., Command], client: "redis.Redis[bytes]", kafka: KafkaServer, role: str
) -> None:
    client.set(keys.CLUSTER, "g-another")
    status, said = outcome(process(*role.split()))
    assert status == 2
    (line,) = said
    assert "'g-another'" in line
    assert repr(kafka.cluster_id) in line
    assert "groundswell up --fresh" in line


def test_what_another_cluster_filled_is_not_repaired_from_this_one(
    process: Callable[..., Command], client: "redis.Redis[bytes]", kafka: KafkaServer
) -> None:
    client.set(keys.CLUSTER, "g-another")
    client.hset(keys.cursor(0), "posts", "x")
    before = {key: client.dump(key) for key in client.scan_iter()}
    status, (line,) = outcome(process("windows", "repair", "--partition", "0"))
    assert status == 2
    assert "'g-another'" in line
    assert repr(kafka.cluster_id) in line
    assert {key: client.dump(key) for key in client.scan_iter()} == before


@pytest.mark.parametrize(
    "words",
    [
        ("worker",),
        ("closer",),
        ("exporter",),
        ("forecaster",),
        ("responder", "run"),
        ("heartbeat",),
        ("ingest", "--source", "synthetic", "--posts", "3"),
        ("topics", "create"),
    ],
)
def test_the_broker_of_another_cluster_is_refused_by_name(
    process: Callable[..., Command],
    client: "redis.Redis[bytes]",
    kafka: KafkaServer,
    words: tuple[str, ...],
) -> None:
    status, said = outcome(process(*words, kafka__cluster_id="g-meant"))
    assert status == 2
    assert len(said) == 1
    assert "'g-meant'" in said[0]
    assert repr(kafka.cluster_id) in said[0]
    assert not client.exists(keys.CLUSTER)


def test_groups_carry_the_cluster_and_a_store_that_is_swapped_stops_the_worker(
    process: Callable[..., Command],
    client: "redis.Redis[bytes]",
    kafka: KafkaServer,
    tmp_path: Path,
) -> None:
    children = {
        role: Child(process(role), tmp_path / f"{role}.log") for role in ("worker", "closer")
    }
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        for role, child in children.items():
            group = f"{role}s-of-one-cluster-{kafka.cluster_id}"
            wait_beside(
                child, lambda group=group: group in {g["group_id"] for g in admin.list_groups()}
            )
        worker = children["worker"]
        assert client.get(keys.CLUSTER) == kafka.cluster_id.encode()
        client.flushdb()  # emptied: whoever runs says again whose it is
        wait_beside(worker, lambda: client.get(keys.CLUSTER) == kafka.cluster_id.encode())
        client.set(keys.CLUSTER, "g-another")  # as if another's Redis had taken its address
        wait_until(
            lambda: not any(child.is_running for child in children.values()),
            "both end",
            patience_s=DEADLINE_S,
        )
        assert [child.exit_status for child in children.values()] == [2, 2]
        assert "'g-another'" in worker.log_path.read_text()
    finally:
        admin.close()
        for child in children.values():
            child.kill()


def test_a_worker_that_waits_for_its_store_still_ends_when_it_is_told_to(
    process: Callable[..., Command], tmp_path: Path
) -> None:
    waits = Child(process("worker", redis__url="redis://127.0.0.1:1/0"), tmp_path / "log")
    try:
        wait_beside(waits, lambda: "waiting" in waits.log_path.read_text())
        os.kill(waits.pid, signal.SIGTERM)
        wait_until(lambda: not waits.is_running, "it ends", patience_s=DEADLINE_S)
        assert waits.exit_status == 0
    finally:
        waits.kill()
