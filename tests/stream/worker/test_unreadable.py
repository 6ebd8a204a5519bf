"""A worker on a store that holds rubbish: one partition waits, the others count; ours ends it."""

import asyncio
import itertools
import random
from datetime import UTC, datetime

import pytest
import redis

from core.codec import dead_post_decoder, encode
from core.errors import FatalError, StateUnreadable
from core.metrics import Metrics
from stream.store import keys
from stream.topics import POSTS
from stream.windows.layout import named
from stream.worker.steps import count
from testkit.builders import make_post
from testkit.stream import ListSink, MemoryPartition, count_plainly, decode_scored, feed
from tests.stream.worker.test_flows import make_flows, store

pytestmark = pytest.mark.integration
__all__ = ["store"]

_partitions = itertools.count(5_000)


def _topic(number: int, posts: int = 60) -> MemoryPartition:
    texts = [make_post(id=f"{number}-{n}", text=f"trains are late {n}") for n in range(posts)]
    return MemoryPartition([encode(post) for post in texts])


async def _cursor(store, number: int) -> int:
    try:
        return (await store.partition_state(number)).cursors[POSTS]
    except StateUnreadable:
        return -2


async def _until(store, number: int, cursor: int, feeding: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(60):
        while await _cursor(store, number) < cursor:
            if feeding.done():
                feeding.result()
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("wrong", ["a list", "a field", "the quarantine"])
async def test_partition_that_cannot_be_read_waits_and_goes_on_when_repaired(
    store, redis_server, wrong
):
    broken, sound = next(_partitions), next(_partitions)
    topics = {(POSTS, broken): _topic(broken), (POSTS, sound): _topic(sound)}
    sink, metrics = ListSink(), Metrics()
    flows = make_flows(store, sink, random.Random(1), metrics=metrics)
    with redis.Redis.from_url(redis_server.url) as client:
        if wrong == "a list":
            client.lpush(keys.cursor(broken), "x")
        elif wrong == "a field":
            client.hset(keys.cursor(broken), "counted", "1.5")
        else:
            client.lpush(keys.quarantine(broken), "x")
    feeding = asyncio.create_task(feed(flows, topics, random.Random(2)))
    try:
        await _until(store, sound, 59, feeding)
        flows.raise_if_failed()
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.exists(f"{keys.prefix(broken)}starts") == 0
        await store.repairs.reset_partition(broken, {POSTS: 60})
        await _until(store, broken, 59, feeding)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await flows.drain(60)
    assert await store.quarantine([broken]) == []
    for number in (broken, sound):
        (start,) = await store.pane_starts([number])
        pane = await store.pane([number], start)
        posts = [
            p for p in decode_scored(sink.values("scored-posts")) if p.id.startswith(f"{number}-")
        ]
        for (query, _), counters in count_plainly(posts).items():
            found = {k: v for k, v in named(pane[query].counters).items() if v}
            assert found == {k: v for k, v in counters.items() if v}


async def test_partition_in_which_nothing_comes_any_more_is_counted_again_when_repaired(store):
    number = next(_partitions)
    flows = make_flows(store, ListSink(), random.Random(1))
    topics = {(POSTS, number): _topic(number)}
    feeding = asyncio.create_task(feed(flows, topics, random.Random(2)))
    try:
        await _until(store, number, 59, feeding)
        await store.repairs.reset_partition(number, {POSTS: 60})
        assert await _cursor(store, number) == -1
        async with asyncio.timeout(60):
            while flows.cursor(POSTS, number) == 59:
                await flows.check()
                await asyncio.sleep(0.005)
        await _until(store, number, 59, feeding)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await flows.drain(60)
    assert (await store.partition_state(number)).totals == {"counted": 60}


async def test_post_from_a_year_to_come_is_a_dead_letter_and_moves_no_watermark(store):
    number, sink = next(_partitions), ListSink()
    right = _topic(number, 3)
    year = datetime(9999, 1, 1, tzinfo=UTC)
    wrong = encode(make_post(id=f"{number}-x", claimed_at=year, ingested_at=year))
    topic = MemoryPartition([wrong, *(record.value or b"" for record in right.records)])
    flows = make_flows(store, sink, random.Random(1))
    feeding = asyncio.create_task(feed(flows, {(POSTS, number): topic}, random.Random(2)))
    try:
        await _until(store, number, 3, feeding)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await flows.drain(60)
    state = await store.partition_state(number)
    assert state.totals == {"counted": 3, "dead:posts": 1}
    (letter,) = map(dead_post_decoder.decode, sink.values("dead-posts"))
    assert letter.reason == "out_of_range"
    assert "yet to come" in letter.detail


async def test_batch_that_is_no_sum_of_integers_ends_the_worker_by_name(store, monkeypatch):
    number = next(_partitions)
    right = count.group_increments

    def half(*arguments):
        found = right(*arguments)
        for increments in found.values():
            increments[0][1][2] += 0.5
        return found

    monkeypatch.setattr(count, "group_increments", half)
    metrics = Metrics()
    flows = make_flows(store, ListSink(), random.Random(1), metrics=metrics)
    feeding = asyncio.create_task(feed(flows, {(POSTS, number): _topic(number)}, random.Random(2)))
    with pytest.raises(
        FatalError, match=r"flow of posts\[\d+\] ended: .*pane \d+ of all, counter 3"
    ):
        async with asyncio.timeout(60):
            await feeding
    await flows.drain(60)
    assert await _cursor(store, number) == -1
    assert metrics.registry.get_sample_value("groundswell_increments_refused_total") == 1
