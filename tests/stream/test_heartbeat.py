"""Heartbeats go the way of every post, are accounted for, and are seen by nobody."""

import asyncio
import itertools
import random
from datetime import timedelta

import pytest

from core.clock import ManualClock, epoch_ms
from core.codec import encode, progress_decoder
from core.metrics import Metrics
from core.settings import RedisSettings, WindowSettings, WorkerSettings
from services.closer.closing import Closer
from stream import heartbeat
from stream.store.ids import lookup
from stream.store.increments import Horizons, PartitionState
from stream.store.redis_store import RedisStore
from stream.topics import POSTS, PROGRESS, SCORED_POSTS
from stream.windows.layout import named
from stream.windows.watermark import PartitionWatermark
from stream.worker.batch import PartitionPosition, PostBatch
from stream.worker.steps.decode_posts import DECODED, EVENT_MS, INGESTED_MS
from stream.worker.steps.place_in_time import PlaceInTime
from testkit.builders import NOON, make_post
from testkit.stream import (
    ListSink,
    MemoryPartition,
    MemoryRecord,
    count_plainly,
    decode_scored,
    feed,
    make_flows,
    make_tools,
)

_partitions = itertools.count(7000)
"""Far from those of other tests: the store is shared."""
YEARS = timedelta(days=3650)
"""A heartbeat is now; the posts here are of a replay of long ago."""


def beat(number, partition, at):
    at_s = int(at.timestamp())
    return make_post(
        number,
        id=heartbeat.post_id(partition, at_s),
        source=heartbeat.SOURCE,
        author="heartbeat-0",
        claimed_at=at,
        ingested_at=at,
    )


def flows_on(store, sink):
    worker = WorkerSettings(max_batch_posts=8, max_batch_age_ms=5)
    clock = ManualClock(NOON + 50 * YEARS)  # some heartbeats here come from years ahead
    tools = make_tools(store, sink, worker=worker, clock=clock)
    return make_flows(tools, random.Random(1), worker)


@pytest.fixture
async def store(redis_server):
    store = RedisStore(
        RedisSettings(url=redis_server.url), Horizons.of(WindowSettings(), WorkerSettings())
    )
    yield store
    await store.close()


async def apply_all(store, posts, number):
    """Bring the posts through flows and return what it produced."""
    sink = ListSink()
    flows = flows_on(store, sink)
    topics = {(POSTS, number): MemoryPartition([encode(post) for post in posts])}
    feeding = asyncio.create_task(feed(flows, topics, random.Random(3)))
    try:
        async with asyncio.timeout(60):
            while (await store.partition_state(number)).cursors[POSTS] < len(posts) - 1:
                if feeding.done():
                    feeding.result()
                await asyncio.sleep(0.005)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        # Progress is told after the apply that ended the wait.
        has_ended = await flows.drain(60)
    assert has_ended
    return sink


async def shown(store, number):
    return {
        (query, start): {k: v for k, v in named(pane.counters).items() if v}
        for start in await store.pane_starts([number])
        for query, pane in (await store.pane([number], start)).items()
    }


async def test_heartbeats_change_nothing_that_people_see(store):
    without, among = next(_partitions), next(_partitions)
    posts = [make_post(i * 4) for i in range(60)]
    beats = [beat(i, among, NOON + YEARS + timedelta(seconds=5 * i)) for i in range(20)]
    mixed = [post for i, post in enumerate(posts) for post in (beats[i // 3], post)[i % 3 > 0 :]]
    assert len(mixed) == len(posts) + len(beats)
    await apply_all(store, posts, without)
    sink = await apply_all(store, mixed, among)
    assert await shown(store, among) == await shown(store, without) != {}
    before, after = [await store.partition_state(n) for n in (without, among)]
    assert after.watermark_ms == before.watermark_ms == epoch_ms(posts[-1].claimed_at) - 30_000
    assert after.totals["counted"] == len(posts)
    assert after.totals[heartbeat.TOTAL] == len(beats)
    scored = decode_scored(sink.values(SCORED_POSTS))
    assert len(scored) == len(mixed)  # they went to the scorer like the others
    assert all((p.queries == ["all"]) == (p.source != "heartbeat") for p in scored)


async def test_a_heartbeat_is_counted_in_the_pane_where_the_stream_is(store):
    number = next(_partitions)
    posts = [make_post(0), beat(1, number, NOON + YEARS), make_post(90), make_post(5)]
    posts.append(beat(2, number, NOON + YEARS + timedelta(seconds=5)))
    sink = await apply_all(store, posts, number)
    scored = [p for p in decode_scored(sink.values(SCORED_POSTS)) if p.source == "heartbeat"]
    starts = [int(p.pane_start.timestamp()) - int(NOON.timestamp()) for p in scored]
    assert starts == [0, 60]
    counted = count_plainly(scored)
    assert [counters["posts"] for counters in counted.values()] == [1, 1]
    raw = store._redis  # readers are not shown what is looked at here
    for _, start in counted:
        assert await raw.hexists(f"{{{number}}}:pane:{start}", heartbeat.QUERY)


async def test_a_heartbeat_that_was_counted_is_found_by_its_time(store):
    number = next(_partitions)
    at = NOON + YEARS
    await apply_all(store, [beat(1, number, at)], number)
    asked = [int(at.timestamp()) + seconds for seconds in (0, 5)]
    lookups = [
        lookup(heartbeat.hashed(heartbeat.post_id(number, at_s)), (at_s // 3600,)) for at_s in asked
    ]
    assert await store.seen(number, lookups) == [True, False]


async def test_before_the_first_post_a_heartbeat_makes_no_pane(store):
    number = next(_partitions)
    sink = await apply_all(store, [beat(i, number, NOON + YEARS * i) for i in range(3)], number)
    state = await store.partition_state(number)
    assert (state.totals[heartbeat.TOTAL], state.totals.get("counted", 0)) == (3, 0)
    assert state.watermark_ms == -1
    assert await store.pane_starts([number]) == []
    assert sink.values(PROGRESS) == []


async def test_a_partition_that_has_heartbeats_only_is_idle_to_the_closer(store):
    number = next(_partitions)
    posts = [make_post(0), *(beat(i, number, NOON + YEARS * i) for i in range(1, 40))]
    sink = await apply_all(store, posts, number)
    state = await store.partition_state(number)
    assert heartbeat.activity(state) == 0
    assert state.cursors[POSTS] == 39
    told = [progress_decoder.decode(value).cursor for value in sink.values(PROGRESS)]
    assert told  # of the post, perhaps with heartbeats that shared its batch
    assert max(told) < 8


@pytest.mark.parametrize(("beats", "is_idle"), [(0, False), (10, True)])
def test_the_closer_does_not_wait_for_a_partition_that_only_beats(beats, is_idle) -> None:
    clock = ManualClock(NOON)
    closer = Closer(WindowSettings(idle_after_s=30), None, None, clock, Metrics())
    closer._note({0: PartitionState({POSTS: 5}, 1000, -1, {heartbeat.TOTAL: 2})})
    clock.advance(31)
    closer._note({0: PartitionState({POSTS: 15}, 1000, -1, {heartbeat.TOTAL: 2 + beats})})
    assert closer._watermark.idle(clock.monotonic()) == ({0} if is_idle else set())


def test_placing_depends_on_what_came_before_only() -> None:
    def placed(cuts: list[int]) -> list[int]:
        position = PartitionPosition(POSTS, 0, -1, PartitionWatermark(30_000))
        found = []
        for first, last in itertools.pairwise(cuts):
            batch = PostBatch(position, [MemoryRecord(first, b"")])
            posts = [beat(i, 0, NOON) if i % 4 == 3 else make_post(i) for i in range(first, last)]
            batch[DECODED] = posts
            batch[EVENT_MS] = [
                10**12 if i % 4 == 3 else 10**9 + i * 1000 for i in range(first, last)
            ]
            batch[INGESTED_MS] = list(batch[EVENT_MS])
            PlaceInTime(60).run(batch)
            found += batch[EVENT_MS]
        return found

    whole = placed([0, 24])
    assert placed([0, 3, 4, 9, 24]) == whole
    assert whole[3::4] == [10**9 + 1000 * (i - 1) for i in range(3, 24, 4)]
