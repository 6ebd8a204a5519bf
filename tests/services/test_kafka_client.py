from __future__ import annotations

import gc
import selectors
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import stamina
from aiokafka import AIOKafkaConsumer
from kafka import errors as kafka_errors
from kafka.partitioner import DefaultPartitioner

from core.errors import BrokerUnavailable, DecodeError, FatalError
from core.settings import KafkaSettings, Secret
from services.kafka_client import (
    PartitionConsumer,
    RecordProducer,
    TopicAdmin,
    TopicPlan,
    client_options,
    partition_of,
    read_topic,
)
from services.local.kafka_server import KafkaServer
from services.local.ports import reserved_port


@pytest.fixture
def settings(kafka: KafkaServer) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap)


@pytest.fixture
def topic(settings: KafkaSettings, request: pytest.FixtureRequest) -> str:
    name = f"io-{abs(hash(request.node.name))}"
    with TopicAdmin(settings) as admin:
        admin.create([TopicPlan(name, partitions=4, replication=1)])
    return name


@pytest.mark.parametrize(
    ("key", "hashed"),
    # Published with Java's client (UtilsTest): what its murmur2 gives, as signed integers.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"abc", 479470107),
    ],
)
def test_keys_are_placed_as_java_places_them(key: bytes, hashed: int) -> None:
    for partitions in (1, 3, 4, 12):
        assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


def test_sasl_and_tls_reach_the_client_and_the_password_only_there() -> None:
    settings = KafkaSettings(
        bootstrap_servers="a:1, b:2",
        security_protocol="SASL_SSL",
        sasl_username="ingest",
        sasl_password=Secret("hunter2"),
        ssl_ca_file="ca.pem",
    )
    options = client_options(settings)
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("ingest", "hunter2")
    assert options["ssl_cafile"] == "ca.pem"
    assert "hunter2" not in repr(settings)


@pytest.mark.slow
@pytest.mark.parametrize("client", [RecordProducer, TopicAdmin])
def test_broker_that_is_not_there_is_one_error_of_ours(client: Callable[..., Any]) -> None:
    with (
        reserved_port() as port,
        pytest.raises(BrokerUnavailable, match=r"^connecting"),
    ):
        client(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"))
    gc.collect()  # a socket left open would be told of here, and fail the test


def test_a_client_that_ends_closes_what_its_library_forgets() -> None:
    selector = client_options(KafkaSettings())["selector"]()
    ours, theirs = socket.socketpair()
    with theirs:
        selector.register(ours, selectors.EVENT_WRITE)
        selector.unregister(ours)  # as the library does with a write that it cancels
        selector.close()
        assert theirs.recv(1) == b""


@pytest.mark.integration
def test_topics_are_created_once_and_left_alone_after(settings: KafkaSettings) -> None:
    plans = [
        TopicPlan("once-a", partitions=3, replication=1, retention_ms=3_600_000),
        TopicPlan("once-b", partitions=1, replication=1, compacted=True),
    ]
    with TopicAdmin(settings) as admin:
        assert admin.create(plans) == ["once-a", "once-b"]
        assert admin.create(plans) == []
        assert admin.create([TopicPlan("once-a", partitions=9, replication=1)]) == []
        (state,) = admin.describe(["once-a", "never-made"])
    assert (state.name, state.partitions, state.replication, state.records) == ("once-a", 3, 1, 0)


@pytest.mark.integration
@pytest.mark.parametrize(
    "passing",
    [
        kafka_errors.InvalidReplicationFactorError,  # the broker is not registered yet
        kafka_errors.NotControllerError,
        kafka_errors.LeaderNotAvailableError,
        kafka_errors.KafkaTimeoutError,
    ],
)
def test_a_topic_is_created_once_what_was_in_the_way_has_passed(
    settings: KafkaSettings, passing: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"after-{passing.__name__}"
    with TopicAdmin(settings) as admin, stamina.set_testing(True, attempts=3):
        create, in_the_way = admin._client.create_topics, [passing("first"), passing("second")]

        def refuse_at_first(asked: dict[str, Any]) -> Any:
            if in_the_way:
                raise in_the_way.pop()
            return create(asked)

        monkeypatch.setattr(admin._client, "create_topics", refuse_at_first)
        assert admin.create([TopicPlan(name, partitions=1, replication=1)]) == [name]
        assert not in_the_way


@pytest.mark.integration
def test_a_topic_that_will_never_be_created_is_not_tried_again(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TopicAdmin(settings) as admin, stamina.set_testing(True, attempts=3):
        tries = 0

        def refuse(_asked: dict[str, Any]) -> Any:
            nonlocal tries
            tries += 1
            raise kafka_errors.InvalidTopicError("its name")

        monkeypatch.setattr(admin._client, "create_topics", refuse)
        with pytest.raises(FatalError, match=r"creating topic a:b: InvalidTopicError"):
            admin.create([TopicPlan("a:b", partitions=1, replication=1)])
        assert tries == 1


@pytest.mark.integration
def test_more_copies_than_brokers_is_said_once_patience_has_ended(settings: KafkaSettings) -> None:
    with (
        TopicAdmin(settings) as admin,
        stamina.set_testing(True, attempts=3),
        pytest.raises(BrokerUnavailable, match=r"three-copies: kafka.replication = 3: .* fewer"),
    ):
        admin.create([TopicPlan("three-copies", partitions=1, replication=3)])


@pytest.mark.integration
def test_records_come_back_whole_and_in_order_of_their_key(
    settings: KafkaSettings, topic: str
) -> None:
    producer = RecordProducer(settings)
    sent: dict[bytes, list[bytes]] = defaultdict(list)
    for number in range(500):
        key = f"author{number % 13}".encode()
        sent[key].append(str(number).encode())
        producer.send(topic, key, str(number).encode(), [("n", str(number).encode())])
    producer.flush(60)
    producer.close()
    received: dict[bytes, list[bytes]] = defaultdict(list)
    for record in read_topic(settings, topic):
        assert record.key is not None
        assert record.value is not None
        assert record.partition == partition_of(record.key, 4)
        assert record.headers == (("n", record.value),)
        received[record.key].append(record.value)
    assert received == sent


@pytest.mark.integration
def test_unpartitioned_client_would_choose_the_same_partition(
    settings: KafkaSettings, topic: str
) -> None:
    class Cluster:
        def topics(self) -> set[str]:
            return {topic}

        def partitions_for_topic(self, _topic: str) -> set[int]:
            return {0, 1, 2, 3}

        available_partitions_for_topic = partitions_for_topic

    for number in range(50):
        key = f"key-{number}".encode()
        chosen = DefaultPartitioner().partition(topic, key, key, None, None, Cluster())
        assert partition_of(key, 4) == chosen


@pytest.mark.integration
def test_reading_an_empty_topic_ends_and_a_missing_one_is_an_error(
    settings: KafkaSettings, topic: str
) -> None:
    assert list(read_topic(settings, topic)) == []
    with pytest.raises(BrokerUnavailable, match="no such topic"):
        list(read_topic(settings, "never-made"))


@pytest.mark.integration
def test_a_topic_is_read_to_a_time(settings: KafkaSettings, topic: str) -> None:
    producer = RecordProducer(settings)
    for number in range(20):
        producer.send(topic, b"a", str(number).encode())
        producer.flush(60)
    producer.close()
    whole = list(read_topic(settings, topic))
    middle_ms = whole[10].timestamp_ms
    before = [one for one in whole if one.timestamp_ms < middle_ms]
    assert list(read_topic(settings, topic, before_ms=middle_ms)) == before
    assert list(read_topic(settings, topic, last=3, before_ms=middle_ms)) == before[-3:]
    assert list(read_topic(settings, topic, before_ms=0)) == []
    after_all_ms = whole[-1].timestamp_ms + 1
    assert list(read_topic(settings, topic, before_ms=after_all_ms)) == whole


@pytest.mark.integration
@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "snappy", "zstd"])
async def test_every_compression_can_be_read_by_every_client(
    settings: KafkaSettings, topic: str, compression: str
) -> None:
    producer = RecordProducer(msgspec.structs.replace(settings, compression=compression))
    for number in range(50):
        producer.send(topic, b"a", b"the trains are late again %d" % number)
    producer.flush(60)
    producer.close()
    assert len(list(read_topic(settings, topic))) == 50
    # The workers' client is another one, with codecs of its own.
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        values = [(await anext(consumer)).value for _ in range(50)]
    assert values[0] == b"the trains are late again 0"


@pytest.mark.integration
def test_record_over_the_topics_limit_fails_alone_with_its_reason(
    settings: KafkaSettings,
) -> None:
    with TopicAdmin(settings) as admin:
        admin.create([TopicPlan("small", 1, 1, max_message_bytes=10_000)])
    producer = RecordProducer(settings, linger_ms=0)
    try:
        refused = producer.send("small", b"a", b"x" * 50_000)
        producer.flush(60)
        assert refused.failed()
        failure = producer.failure(refused)
        assert isinstance(failure, DecodeError)
        assert failure.reason == "too_large"
        # The gap in the client's sequence may fail what follows; a fresh connection heals it.
        producer.reconnect()
        taken = producer.send("small", b"a", b"small enough")
        producer.flush(60)
        assert taken.is_done
        assert not taken.failed()
    finally:
        producer.close()


@pytest.mark.integration
def test_group_of_consumers_shares_partitions_and_goes_on_from_its_commit(
    settings: KafkaSettings, topic: str
) -> None:
    producer = RecordProducer(settings)
    for number in range(100):
        producer.send(topic, f"k{number}".encode(), str(number).encode())
    producer.flush(60)
    producer.close()
    first = PartitionConsumer(settings, topic, "readers")
    records = _poll_until(first, 100)
    assert first.assignment() == {0, 1, 2, 3}
    ends = first.end_offsets()
    assert sum(ends.values()) == 100
    first.commit({partition: offset - 1 for partition, offset in ends.items() if offset})
    first.close()
    second = PartitionConsumer(settings, topic, "readers")
    again = _poll_until(second, sum(1 for offset in ends.values() if offset))
    second.seek(again[0].partition, 0)
    assert _poll_until(second, 1)[0].offset == 0
    second.close()
    assert len({(r.partition, r.offset) for r in records}) == 100
    assert {(r.partition, r.offset) for r in again} == {(p, o - 1) for p, o in ends.items() if o}


def _poll_until(consumer: PartitionConsumer, count: int) -> list:
    found: list = []
    for _ in range(120):
        found.extend(consumer.poll(0.5))
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} records after 60 s, expected {count}")


def test_kafka_python_is_imported_in_one_package_only() -> None:
    root = Path(__file__).parents[2]
    importers = {
        path.parent.relative_to(root).as_posix()
        for package in ("core", "stream", "models", "services")
        for path in (root / package).rglob("*.py")
        if any(
            line.startswith(("import kafka", "from kafka"))
            for line in path.read_text().splitlines()
        )
    }
    assert importers == {"services/kafka_client"}


@pytest.mark.integration
def test_topics_command_creates_describes_and_says_what_is_missing(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    environment = {
        "GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap, "PATH": "",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }  # fmt: skip

    def groundswell(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "services.cli.main", *arguments],
            capture_output=True, text=True, env=environment, cwd=tmp_path,
        )  # fmt: skip

    created = groundswell("topics", "create")
    assert created.returncode == 0, created.stderr
    assert "posts: " in created.stdout
    again = groundswell("topics", "create", "--partitions", "9")
    assert again.returncode == 0
    assert "created" not in again.stdout
    described = groundswell("topics", "describe", "--json", "topics.json")
    assert described.returncode == 0, described.stderr
    report = msgspec.json.decode((tmp_path / "topics.json").read_bytes())
    assert report["figures"]["posts.partitions"] == 4
    assert report["figures"]["progress.partitions"] == 1
    assert set(report) >= {"figures", "machine", "versions", "seed", "settings"}


def test_records_of_a_quiet_topic_live_a_tenth_longer_at_most():
    day_ms = 86_400_000
    kept = TopicPlan("t", 1, 1, retention_ms=30 * day_ms).configuration()
    assert (kept["retention.ms"], kept["segment.ms"]) == (str(30 * day_ms), str(3 * day_ms))
    assert "segment.ms" not in TopicPlan("t", 1, 1, -1, compacted=True).configuration()
