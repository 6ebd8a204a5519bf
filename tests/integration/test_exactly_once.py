"""Kill -9 anything: every accepted post is in the windows exactly once."""

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from core.codec import encode
from services.local.child import Child
from stream.topics import POSTS
from testkit.builders import make_post
from testkit.sleeping import asleep
from testkit.stream import count_plainly

pytestmark = pytest.mark.integration

POSTS_WHILE_AWAY = 400
"""What is produced while the store is away: enough for every partition to have some."""

WORDS = [
    "the",
    "united",
    "flight",
    "was",
    "late",
    "again",
    "and",
    "nobody",
    "at",
    "the",
    "gate",
    "told",
    "us",
    "why",
    "or",
    "when",
]


def some_posts(count: int, seed: int) -> list[tuple[bytes, bytes]]:
    """Return posts of the last half hour by many authors, a few of them malformed or copies."""
    chance = random.Random(seed)
    base = datetime.now(UTC) - timedelta(minutes=30)
    records: list[tuple[bytes, bytes]] = []
    for i in range(count):
        at = base + timedelta(milliseconds=i * 30)
        post = make_post(
            i,
            author=f"a{chance.randrange(2000)}",
            claimed_at=at,
            ingested_at=at + timedelta(seconds=1),
            text=" ".join(chance.choices(WORDS, k=12)),
        )
        key, value = post.author.encode(), encode(post)
        if i % 500 == 499:
            value = value[: len(value) // 2]  # cut in the middle: not JSON
        elif i % 700 == 699:
            key, value = records[-1]  # a copy of the post before
        records.append((key, value))
    return records


def expect_every_post_once(stream, records: list[tuple[bytes, bytes]]) -> None:
    windows = stream.windows()
    in_panes = sum(c["posts"] for (query, _), c in windows.items() if query == "all")
    dead = stream.dead()
    assert in_panes + len(dead) == len(records)
    distinct = {value for _, value in records if value.endswith(b"}")}
    assert in_panes == len(distinct)
    scored = [post for post in stream.scored() if post.pane_start is not None]
    expected = count_plainly({(p.source, p.id): p for p in scored}.values())
    assert windows == {k: {n: v for n, v in c.items() if v} for k, c in expected.items()}


def test_a_killed_worker_and_a_killed_store_lose_and_repeat_nothing(
    make_stream: Callable,
):
    stream = make_stream(worker={"max_batch_posts": 64})
    records = some_posts(50_000, seed=4)
    for name in ("w1", "w2"):
        stream.start_worker(name)
    unapplied_at_kill: list[int] = []
    step = len(records) // 5

    produced = 0

    def count_beyond(posts: int) -> None:
        stream.wait_until(lambda: stream.accounted() > posts, f"post {posts + 1}")

    def waits() -> int:
        """Return how often workers have said that they wait for a server that is away."""
        return sum(path.read_text().count("waiting") for path in stream.directory.glob("*.log"))

    def kill(name: str) -> Child:
        stream.workers[name].kill()
        assert not stream.workers[name].is_running
        unapplied_at_kill.append(produced - stream.accounted())
        return stream.start_worker(name)

    for number in range(5):
        produced = (number + 1) * step
        # A slow producer beside quick workers would leave nothing unapplied to be hit.
        until = produced - POSTS_WHILE_AWAY if number == 1 else produced
        with asleep(stream.workers.values()):
            stream.produce(POSTS, records[number * step : until])
        # Counting again, whatever was killed last: at least one post of the new ones is in.
        count_beyond(number * step)
        match number:
            case 0 | 2 | 3:
                kill("w1" if number != 2 else "w2")
            case 1:
                unapplied_at_kill.append(produced - stream.accounted())
                before = waits()
                stream.redis.kill()
                # Workers that had counted all before would not miss it.
                stream.produce(POSTS, records[until:produced])
                stream.wait_until(lambda before=before: waits() > before, "missing the store")
                stream.redis.start()
                stream.redis.wait_ready()
    stream.wait_until(lambda: stream.accounted() >= len(records), "counting all posts")
    stream.stop_workers()
    assert len(unapplied_at_kill) == 4
    assert sum(left > 0 for left in unapplied_at_kill) >= 2, "the kills came between the parts"
    expect_every_post_once(stream, records)


def test_an_emptied_store_is_rebuilt_from_the_topic(make_stream: Callable):
    stream = make_stream()
    records = some_posts(3_000, seed=9)
    stream.produce(POSTS, records)
    stream.start_worker("w1")
    stream.wait_until(lambda: stream.accounted() >= len(records), "counting all posts")
    before = stream.windows()
    stream.redis.kill()
    shutil.rmtree(stream.redis.directory / "stored")
    stream.redis.start()
    stream.redis.wait_ready()
    extra = some_posts(3_100, seed=9)[3_000:]
    stream.produce(POSTS, extra)
    stream.wait_until(
        lambda: stream.accounted() >= len(records) + len(extra),
        "counting all posts again",
    )
    stream.stop_workers()
    after = stream.windows()
    assert sum(c["posts"] for (q, _), c in after.items() if q == "all") >= sum(
        c["posts"] for (q, _), c in before.items() if q == "all"
    )
    expect_every_post_once(stream, [*records, *extra])


def test_a_worker_that_is_asked_to_stop_applies_what_is_in_flight_and_exits_with_0(
    make_stream: Callable,
):
    stream = make_stream()
    records = some_posts(5_000, seed=2)
    worker = stream.start_worker("w1")
    stream.produce(POSTS, records)
    stream.wait_until(lambda: stream.accounted() > 0, "counting")
    worker.ask_to_stop()
    stream.wait_until(lambda: not worker.is_running, "the end of the worker")
    assert worker.exit_status == 0
    stream.start_worker("w2")
    stream.wait_until(lambda: stream.accounted() >= len(records), "counting the rest")
    stream.stop_workers()
    expect_every_post_once(stream, records)
