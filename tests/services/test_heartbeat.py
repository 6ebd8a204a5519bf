"""What the heartbeat process sends, and how the exporter finds what became of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import ManualClock, epoch_ms
from core.errors import StoreUnavailable
from core.metrics import Metrics
from core.settings import RedisSettings, WindowSettings, WorkerSettings
from services.heartbeat import HeartbeatOptions, HeartbeatSource, authors
from services.heartbeat_watch import LOOK_BACK, HeartbeatWatch
from services.ingest.sources.base import SourceContext
from services.kafka_client import partition_of
from stream import heartbeat
from stream.store.ids import lookup
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOON_S = epoch_ms(NOON) // 1000


class Bench:
    """A source on a clock that its own waiting moves."""

    def __init__(self, partitions: int = 3) -> None:
        self.clock = ManualClock(NOON)
        context = SourceContext(Path(), clock=self.clock, wait=self.clock.advance)
        self.source = HeartbeatSource(HeartbeatOptions(every_s=5, partitions=partitions), context)
        self.source.open(None)

    def ids_until(self, seconds: float, max_items: int = 100) -> list[str]:
        ids = []
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            ids += [item.record.id for item in self.source.poll(max_items, 0.5)]
        return ids


def test_every_partition_has_an_author_of_its_own() -> None:
    for partitions in (1, 4, 64):
        found = [partition_of(author.encode(), partitions) for author in authors(partitions)]
        assert found == list(range(partitions))


def test_each_partition_gets_one_at_every_full_multiple() -> None:
    bench = Bench(partitions=2)
    assert bench.ids_until(11) == [
        heartbeat.post_id(partition, NOON_S + after) for after in (5, 10) for partition in (0, 1)
    ]


def test_a_heartbeat_says_when_it_was_due_and_no_two_have_the_same_text() -> None:
    bench = Bench()
    bench.clock.advance(7)
    posts = [item.record for item in bench.source.poll(100, 0)]
    assert {post.claimed_at for post in posts} == {datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)}
    assert {post.ingested_at for post in posts} == {bench.clock.now()}
    assert {post.source for post in posts} == {heartbeat.SOURCE}
    bench.clock.advance(5)
    posts += [item.record for item in bench.source.poll(100, 0)]
    assert len({post.text for post in posts}) == len(posts) == 6


def test_more_than_is_asked_for_waits_for_the_next_poll() -> None:
    assert len(Bench(partitions=3).ids_until(6, max_items=1)) == 3


def test_what_was_missed_is_not_made_up_for() -> None:
    bench = Bench(partitions=1)
    bench.clock.advance(3600)
    assert len(bench.source.poll(100, 0)) == 1


def test_a_restart_repeats_none() -> None:
    bench = Bench(partitions=1)
    before = bench.ids_until(6)
    bench.source.open(NOON_S + 5)
    assert not set(before) & set(bench.ids_until(6))


@pytest.fixture
async def store(redis_server):
    store = RedisStore(
        RedisSettings(url=redis_server.url), Horizons.of(WindowSettings(), WorkerSettings())
    )
    yield store
    await store.close()


async def count_beat(store, partition, at_s):
    """Remember a heartbeat as an apply does."""
    state = await store.partition_state(partition)
    batch = ApplyBatch(POSTS, state.cursors[POSTS], state.cursors[POSTS] + 1)
    decimal, shard, (hour,) = lookup(
        heartbeat.hashed(heartbeat.post_id(partition, at_s)), (at_s // 3600,)
    )
    batch.seen[hour, shard] = [decimal]
    await store.apply(partition, batch)


def age(metrics, partition):
    return metrics.registry.get_sample_value(
        "groundswell_heartbeat_age_seconds", {"partition": str(partition)}
    )


async def test_the_age_is_that_of_the_last_one_counted_and_grows_by_itself(store):
    clock, metrics = ManualClock(NOON), Metrics()
    watch = HeartbeatWatch(metrics, clock, 5)
    partition = 8001
    for before_s in (40, 20, 15):
        await count_beat(store, partition, NOON_S - before_s)
    await watch.look(store, [partition, 8002])
    assert age(metrics, partition) == 15
    assert age(metrics, 8002) is None  # never had one
    clock.advance(12)
    assert age(metrics, partition) == 27
    await count_beat(store, partition, NOON_S + 10)
    await watch.look(store, [partition])
    assert age(metrics, partition) == 2


async def test_the_age_grows_on_while_the_store_is_away_or_none_is_found(store):
    clock, metrics = ManualClock(NOON), Metrics()
    watch = HeartbeatWatch(metrics, clock, 5)
    partition = 8003
    await count_beat(store, partition, NOON_S)
    await watch.look(store, [partition])
    clock.advance(2 * LOOK_BACK * 5)
    await watch.look(store, [partition])
    away = RedisStore(
        RedisSettings(url="redis://127.0.0.1:1/0"),
        Horizons.of(WindowSettings(), WorkerSettings()),
    )
    with pytest.raises(StoreUnavailable):
        await watch.look(away, [partition])
    await away.close()
    assert age(metrics, partition) == 2 * LOOK_BACK * 5
