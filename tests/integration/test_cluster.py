"""The stream on a Redis Cluster: masters die in mid-stream, and every post is counted once."""

from collections.abc import Callable, Iterator

import pytest

from stream.store import keys
from stream.topics import POSTS
from testkit.redis_cluster import RedisClusterServers, redis_cluster
from testkit.sleeping import asleep
from tests.integration.test_exactly_once import expect_every_post_once, some_posts

pytestmark = pytest.mark.integration

KILLS = 5
POSTS_EACH = 5_000
POSTS_WHILE_AWAY = 400
"""Enough for every partition to have some."""


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServers]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def test_a_master_that_is_killed_five_times_loses_and_repeats_nothing(
    make_stream: Callable, cluster: RedisClusterServers
) -> None:
    stream = make_stream(cluster, worker={"max_batch_posts": 64})
    records = some_posts((KILLS + 1) * POSTS_EACH, seed=6)
    for name in ("w1", "w2"):
        stream.start_worker(name)
    stream.start_process("closer", "closer")
    killed: list[int] = []

    def produce(first: int, end: int) -> None:
        with asleep([stream.workers[name] for name in ("w1", "w2")]):
            stream.produce(POSTS, records[first:end])

    def waits() -> int:
        return sum(path.read_text().count("waiting") for path in stream.directory.glob("w?.log"))

    for number in range(KILLS):
        counted = number * POSTS_EACH
        # Chosen while nothing is counted, so that the kill falls among the counting.
        master = cluster.master_of(keys.cursor(number % len(stream.partitions)))
        replica = cluster.replica_of(master)
        produce(counted, counted + POSTS_EACH - POSTS_WHILE_AWAY)
        stream.wait_until(lambda counted=counted: stream.accounted() > counted, "counting on")
        before = waits()
        # Nobody takes over before a worker has missed the store, however quick the machine is.
        with asleep([replica]):
            master.kill()
            killed.append(master.port)
            produce(counted + POSTS_EACH - POSTS_WHILE_AWAY, counted + POSTS_EACH)
            stream.wait_until(lambda before=before: waits() > before, "missing the store")
        cluster.wait_promoted(replica)
        if number == 2:
            stream.workers["w1"].kill()
            stream.start_worker("w1")
        cluster.bring_back(master)
    produce(KILLS * POSTS_EACH, len(records))
    stream.wait_until(lambda: stream.accounted() >= len(records), "counting all posts")
    stream.wait_until(lambda: all(child.is_running for child in stream.workers.values()), "running")
    stream.stop_workers()
    assert len(killed) == KILLS
    expect_every_post_once(stream, records)
