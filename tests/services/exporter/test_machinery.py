"""Lag, integrity and Redis as the exporter sees them, on real servers."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.clock import Clock, ManualClock, SystemClock, epoch_ms
from core.metrics import Metrics
from core.settings import KafkaSettings, RedisSettings, WindowSettings, WorkerSettings
from services.exporter.machinery import LagProbe, StateExporter, integrity_gap
from services.heartbeat_watch import HeartbeatWatch
from services.kafka_client import (
    RecordProducer,
    TopicAdmin,
    TopicPlan,
    partition_of,
    read_topic,
)
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from stream.store.health import HORIZONS, read_health
from stream.store.increments import ApplyBatch, Horizons, PartitionState
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from stream.windows.layout import WIDTH

pytestmark = pytest.mark.integration


def store_at(url: str) -> RedisStore:
    return RedisStore(RedisSettings(url=url), Horizons.of(WindowSettings(), WorkerSettings()))


class Bench:
    """Everything that the exporter asks, and what it then says."""

    def __init__(self, kafka: KafkaSettings, clock: Clock | None = None) -> None:
        self.metrics = Metrics()
        clock = clock or SystemClock()
        self.lag = LagProbe(kafka, self.metrics, clock)
        self.exporter = StateExporter(
            self.metrics, self.lag, HeartbeatWatch(self.metrics, clock, 5)
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}", labels)

    async def look_until_it_has_an_age(
        self, cursors: dict[int, int], where: dict[str, str]
    ) -> None:
        """Look again while the broker is too slow to say when the oldest record was written."""
        states = {n: PartitionState({POSTS: at}, 0, -1, {}) for n, at in cursors.items()}
        before = self.value("lag_seconds", **where)
        async with asyncio.timeout(60):
            while self.value("lag_seconds", **where) == before:
                await self.lag.look(states)

    def known(self, name: str, **labels: str) -> float:
        value = self.value(name, **labels)
        assert value is not None, name
        return value


@pytest.mark.parametrize(
    ("totals", "gap"),
    [
        ({"counted": 7, "dead:posts": 2, "heartbeats": 1}, 0),
        ({"counted": 6, "dead:posts": 2, "heartbeats": 1}, 1),
        ({"counted": 8, "dead:posts": 2, "heartbeats": 1}, -1),
    ],
)
def test_integrity_is_off_by_what_was_lost_or_doubled(totals: dict[str, int], gap: int) -> None:
    assert integrity_gap(POSTS, PartitionState({POSTS: 9}, 0, -1, totals)) == gap


def test_a_full_disk_of_redis_and_a_missing_log_show() -> None:
    good = {"aof_enabled": 1, "aof_last_write_status": "ok", "db0": {"keys": 3}}
    assert read_health([good]).log_ok
    assert read_health([good]).keys == 3
    assert not read_health([good | {"aof_last_write_status": "err"}]).log_ok
    assert not read_health([good | {"aof_enabled": 0}]).log_ok


@pytest.fixture
def posts_topic(kafka: KafkaServer) -> KafkaSettings:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    with TopicAdmin(settings) as admin:
        admin.create([TopicPlan(POSTS, 4, 1), TopicPlan(POST_EVENTS, 4, 1)])
    return settings


async def test_lag_is_what_lies_after_the_cursor_and_its_age(posts_topic: KafkaSettings) -> None:
    producer = RecordProducer(posts_topic)
    clock = ManualClock(datetime.now(UTC) + timedelta(seconds=100))
    bench = Bench(posts_topic, clock)
    number = partition_of(b"somebody", 4)
    where = {"topic": POSTS, "partition": str(number)}
    try:
        for text in (b"1", b"2", b"3"):
            producer.send(POSTS, b"somebody", text)
        producer.flush(60)
        (*_, first, _, last) = [
            record for record in read_topic(posts_topic, POSTS) if record.partition == number
        ]
        await bench.look_until_it_has_an_age({number: first.offset - 1}, where)
        assert bench.value("lag_posts", **where) == 3
        oldest_s = epoch_ms(clock.now()) / 1000 - first.timestamp_ms / 1000
        assert bench.value("lag_seconds", **where) == pytest.approx(oldest_s)
        clock.advance(1000)
        await bench.look_until_it_has_an_age({number: last.offset - 1}, where)
        assert bench.value("lag_posts", **where) == 1
        youngest_s = epoch_ms(clock.now()) / 1000 - last.timestamp_ms / 1000
        assert bench.value("lag_seconds", **where) == pytest.approx(youngest_s)
        await bench.lag.look({number: PartitionState({POSTS: last.offset}, 0, -1, {})})
        assert bench.value("lag_posts", **where) == bench.value("lag_seconds", **where) == 0
        assert bench.value("broker_up") == 1
    finally:
        producer.close()
        await bench.lag.close()


async def test_without_a_broker_there_is_no_lag_rather_than_an_old_one() -> None:
    bench = Bench(KafkaSettings(bootstrap_servers="127.0.0.1:1", request_timeout_s=1))
    bench.metrics.lag_posts.labels(POSTS, "0").set(5)
    await bench.lag.look({})
    assert bench.value("broker_up") == 0
    assert bench.value("lag_posts", topic=POSTS, partition="0") is None
    await bench.lag.close()


async def test_redis_shows_its_memory_its_commands_and_our_horizons(
    redis_server: RedisServer, posts_topic: KafkaSettings
) -> None:
    bench, store = Bench(posts_topic), store_at(redis_server.url)
    partition = 700
    batch = ApplyBatch(POSTS, -1, 4, watermark_ms=7_200_000)
    batch.panes = {7200: [("all", [1] * WIDTH, {}, ["a"])], 7260: [("all", [1] * WIDTH, {}, ["a"])]}
    batch.totals = {"counted": 4}
    try:
        before = await store.horizon_entries([partition])
        assert before == dict.fromkeys(HORIZONS, 0)
        await store.apply(partition, batch)
        await bench.exporter.look(store)
        await bench.exporter.look(store)
        commands = bench.known("store_commands_total")
        await bench.exporter.look(store)
        # What was added is what a look asks, not Redis's whole count once more.
        assert 0 < bench.known("store_commands_total") - commands < commands
        assert (await store.horizon_entries([partition]))["panes"] == 2
        assert bench.known("store_entries", horizon="panes") >= 2
        assert bench.known("store_memory_bytes") > 100_000
        assert bench.value("store_up") == bench.value("store_log_ok") == 1
        gap = bench.value("integrity_gap_posts", topic=POSTS, partition=str(partition))
        assert gap == 1  # five records applied, four accounted for
    finally:
        await store.close()
        await bench.lag.close()
