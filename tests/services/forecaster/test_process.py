"""Forecasters on a real broker and a real store, with plain forecasts in them."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from core.clock import SystemClock
from core.codec import encode
from core.config import build
from core.metrics import Metrics
from core.schemas import ScoredPost
from core.settings import Settings
from services.bootstrap import make_store
from services.cli.topics import topic_plans
from services.forecaster.asking import PatientModel
from services.forecaster.labels import BoundedLabels
from services.forecaster.partitions import ForecastParts
from services.forecaster.process import ForecasterLoop
from services.forecaster.publishing import KafkaForecasts
from services.forecaster.reading import ForecastReader
from services.kafka_client import RecordProducer, TopicAdmin, partition_of, read_topic
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from services.pacing import Pacer
from stream.store import keys
from stream.topics import FORECASTS, POST_EVENTS, SCORED_POSTS
from testkit.builders import NOON, make_event
from testkit.waiting import PATIENCE_S
from tests.services.forecaster.fakes import FakeModel, PlainForecasts

pytestmark = pytest.mark.integration

PARTITIONS = 2


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker of its own for each test: topics have fixed names."""
    with KafkaServer(tmp_path / "kafka") as server:
        yield server


class World:
    """Topics and a store that hold nothing yet, and what was said to them."""

    def __init__(self, kafka: KafkaServer, url: str, group: str) -> None:
        self.settings: Settings = build(
            {
                "kafka": {
                    "bootstrap_servers": kafka.bootstrap, "partitions": PARTITIONS,
                    "session_timeout_s": 6,
                },
                "redis": {"url": url},
                "forecasts": {"batch_posts": 16, "group": group, "shed_after_s": 1e6},
                "windows": {"allowed_lateness_s": 0},
            }
        )  # fmt: skip
        with TopicAdmin(self.settings.kafka) as admin:
            admin.create(topic_plans(self.settings.kafka))
        self.offsets: Counter[int] = Counter()
        self.clients: list[_Client] = []
        with redis.Redis.from_url(url) as client:
            client.flushdb()

    def say(self, *records: tuple[str, str, bytes, tuple[tuple[str, bytes], ...]]) -> None:
        producer = RecordProducer(self.settings.kafka)
        try:
            for topic, author, value, headers in records:
                producer.send(topic, author.encode(), value, headers)
            producer.flush(30)
        finally:
            producer.close()

    def scored(self, number: int, at_s: float, author: str = "") -> tuple[str, str, bytes, Any]:
        author = author or f"a{number % 5}"
        partition = partition_of(author.encode(), PARTITIONS)
        post = ScoredPost(
            id=f"p{number}", source="synthetic", author=author, model_version="m", rated=False,
            event_at=NOON + timedelta(seconds=at_s), ingested_at=NOON + timedelta(seconds=at_s),
            scores={}, queries=["all"], stratum="s|en|none", shape=(5, *[0] * 7),
        )  # fmt: skip
        offset = self.offsets[partition]
        self.offsets[partition] += 1
        headers = (
            ("source-topic", b"posts"),
            ("source-partition", b"%d" % partition),
            ("source-offset", b"%d" % offset),
        )
        return SCORED_POSTS, author, encode(post), headers


@dataclass
class _Client:
    """A running forecaster."""

    forecaster: ForecasterLoop
    metrics: Metrics
    task: "asyncio.Task[None]"
    made: list[PlainForecasts] = field(default_factory=list)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"groundswell_{name}", labels) or 0.0


@asynccontextmanager
async def running(world: World) -> AsyncIterator[_Client]:
    """Run a forecaster; at its end it has left its group and finished nothing."""
    metrics, clock, rng = Metrics(role="forecaster"), SystemClock(), random.Random(1)
    store, reader = make_store(world.settings), ForecastReader(world.settings)
    sources = BoundedLabels(8)
    publisher = KafkaForecasts(
        world.settings.kafka, world.settings.forecasts.ages_s, metrics, sources
    )
    made: list[PlainForecasts] = []

    def make(settings: Any) -> Any:
        made.append(PlainForecasts(settings))
        return made[-1]

    parts = ForecastParts(
        world.settings.forecasts, store.forecasts, PatientModel(FakeModel(), clock, metrics, rng),
        publisher, clock, metrics, sources, make, lambda tries: 0.1,
        Pacer(clock, metrics.forecaster_gave_way_seconds.inc),
    )  # fmt: skip
    forecaster = ForecasterLoop(world.settings, parts, store, reader, clock, metrics)
    stop = asyncio.Event()
    client = _Client(forecaster, metrics, asyncio.create_task(forecaster.run(stop)), made)
    try:
        yield client
    finally:
        stop.set()
        await asyncio.gather(client.task, return_exceptions=True)
        await reader.close()
        await publisher.close()
        await store.close()


async def until(claim: Callable[[], Awaitable[bool]], *clients: _Client) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await claim():
            for client in clients:
                if client.task.done():
                    await client.task
            await asyncio.sleep(0.05)


async def totals(world: World) -> Counter[str]:
    """Return the running totals with the posts that wait, over the partitions."""
    store = make_store(world.settings)
    found: Counter[str] = Counter()
    try:
        for partition in range(PARTITIONS):
            stored = await store.forecasts.load(partition, ("pending",), lambda *_: "")
            found.update(stored.totals)
            found["pending"] += len(stored.records["pending"])
    finally:
        await store.close()
    return found


async def has(world: World, **expected: int) -> bool:
    found = await totals(world)
    return all(found[name] == number for name, number in expected.items())


@pytest.fixture
def world(broker: KafkaServer, redis_server: RedisServer) -> World:
    return World(broker, redis_server.url.removesuffix("/0") + "/8", "forecasters")


async def test_posts_are_forecast_and_settled_and_who_comes_next_goes_on(world: World) -> None:
    world.say(*(world.scored(n, n) for n in range(60)))
    async with running(world) as first:
        await until(lambda: has(world, tracked=60, pending=60), first)
    world.say(*(world.scored(n, 4000 + n) for n in range(60, 90)))
    async with running(world) as second:
        await until(lambda: has(world, tracked=90, settled=60, pending=30), second)
        assert sum(len(one.seen) for one in second.made) == 30
    ids = [record.value for record in read_topic(world.settings.kafka, FORECASTS)]
    assert len(ids) == 90


async def test_partitions_move_between_forecasters_and_every_post_is_kept_once(
    world: World,
) -> None:
    async with running(world) as first:
        world.say(*(world.scored(n, n) for n in range(40)))
        await until(lambda: has(world, tracked=40), first)
        async with running(world) as second:

            async def shared() -> bool:
                owned = [set(one.forecaster.owned.partitions) for one in (first, second)]
                return sorted(map(len, owned)) == [1, 1]

            await until(shared, first, second)
            world.say(*(world.scored(n, n) for n in range(40, 80)))
            await until(lambda: has(world, tracked=80), first, second)
        world.say(*(world.scored(n, n) for n in range(80, 120)))
        await until(lambda: has(world, tracked=120, pending=120), first)


async def test_an_emptied_store_is_a_gap_that_is_counted_and_it_goes_on(world: World) -> None:
    async with running(world) as client:
        world.say(*(world.scored(n, n) for n in range(30)))
        await until(lambda: has(world, tracked=30), client)
        with redis.Redis.from_url(world.settings.redis.url) as store:
            store.flushdb()
        world.say(*(world.scored(n, n) for n in range(30, 50)))
        await until(lambda: has(world, tracked=50, pending=50), client)
        refused = sum(
            client.value("forecaster_applies_refused_total", partition=str(p)) for p in range(2)
        )
        assert refused >= 1
        gap = sum(
            client.value(
                "forecaster_offset_gap_records_total", topic="scored-posts", partition=str(p)
            )
            for p in range(2)
        )
        assert gap >= 1


async def test_counts_wait_for_the_posts_time_and_go_on_once_no_post_can_come(
    world: World,
) -> None:
    world.say(*(world.scored(n, n) for n in range(10)))
    late = NOON + timedelta(hours=3)
    gone = [
        (POST_EVENTS, event.author, encode(event), ())
        for event in (
            make_event("delete", n, author=f"a{n % 5}", claimed_at=late, ingested_at=late)
            for n in range(10)
        )
    ]
    world.say(*gone)
    async with running(world) as client:
        await until(lambda: has(world, tracked=10, pending=10), client)

        async def all_wait() -> bool:
            partitions = client.forecaster.owned.partitions.values()
            return sum(one.merge.events for one in partitions) == 10

        await until(all_wait, client)
        with redis.Redis.from_url(world.settings.redis.url) as store:
            for partition in range(PARTITIONS):
                end = world.offsets[partition]
                store.hset(keys.cursor(partition), "posts", end - 1)
        # `posts` itself is empty here: whoever has a cursor at its end has scored all of it.
        await until(lambda: has(world, tracked=10, settled=10, pending=0), client)


async def test_a_partition_whose_state_is_overwritten_goes_on_from_the_end(
    world: World,
) -> None:
    async with running(world) as client:
        world.say(*(world.scored(n, n) for n in range(30)))
        await until(lambda: has(world, tracked=30), client)
        with redis.Redis.from_url(world.settings.redis.url) as store:
            for partition in range(PARTITIONS):
                store.delete(keys.forecast(partition))
                store.set(keys.forecast(partition), "a stranger's")
        world.say(*(world.scored(n, n) for n in range(30, 50)))

        async def is_refused() -> bool:
            return client.value("forecast_state_refused_total", kind="cursor") >= PARTITIONS

        await until(is_refused, client)
        world.say(*(world.scored(n, n) for n in range(50, 60)))

        async def books() -> bool:
            found = await totals(world)
            return found["pending"] == found["tracked"] >= 40

        await until(books, client)
