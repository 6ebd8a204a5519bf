"""The stream on a Redis Cluster: masters die in mid-stream, and every post is counted once."""

from collections.abc import Callable, Iterator

import pytest

from stream.store import keys
from stream.topics import POSTS
from testkit.redis_cluster import RedisClusterServers, redis_cluster
from tests.integration.test_exactly_once import asleep, expect_every_post_once, some_posts

pytestmark = pytest.mark.integration

KILLS = 5
POSTS_EACH = 5_000


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
    unapplied_at_kill: list[int] = []
    killed: list[int] = []

    def produce(number: int) -> None:
        with asleep([stream.workers[name] for name in ("w1", "w2")]):
            stream.produce(POSTS, records[number * POSTS_EACH : (number + 1) * POSTS_EACH])

    def waits() -> int:
        return sum(path.read_text().count("waiting") for path in stream.directory.glob("w?.log"))

    for number in range(KILLS):
        produce(number)
        counted = number * POSTS_EACH
        stream.wait_until(lambda counted=counted: stream.accounted() > counted, "counting on")
        # Of the partition that is furthest behind: it has most to lose.
        states = stream.states()
        behind = min(states, key=lambda p: states[p])
        master = cluster.master_of(keys.cursor(behind))
        before = waits()
        unapplied_at_kill.append(counted + POSTS_EACH - stream.accounted())
        cluster.fail_over(master)
        killed.append(master.port)
        stream.wait_until(lambda before=before: waits() > before, "missing the store")
        if number == 2:
            stream.workers["w1"].kill()
            stream.start_worker("w1")
        cluster.bring_back(master)
    produce(KILLS)
    stream.wait_until(lambda: stream.accounted() >= len(records), "counting all posts")
    stream.wait_until(lambda: all(child.is_running for child in stream.workers.values()), "running")
    stream.stop_workers()
    assert len(killed) == KILLS
    assert sum(left > 0 for left in unapplied_at_kill) >= 3, (
        f"idle when killed: {unapplied_at_kill}"
    )
    expect_every_post_once(stream, records)
