"""Named workers: who is back within its session keeps its partitions, and a name is one worker's.

Sessions outlast every test, so nothing here can come about by a session that ends.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from core.codec import encode
from stream.topics import POSTS
from testkit.builders import make_post

pytestmark = pytest.mark.integration

SESSION_S = 600
ALL = 8
"""Partitions of `posts` and `post-events`."""


def _posts(first: int, count: int) -> list[tuple[bytes, bytes]]:
    posts = [make_post(number, author=f"a{number % 97}") for number in range(first, first + count)]
    return [(post.author.encode(), encode(post)) for post in posts]


def _assignments(stream, name: str) -> list[str]:
    """Return what each assignment in a worker's log gave it; the worker may have been restarted."""
    log: Path = stream.directory / f"{name}.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.partition("partitions=")[2] for line in lines if "partitions assigned" in line]


def _share(stream, *names: str) -> None:
    """Wait until these workers, started together, have settled on a share for each."""

    def shared() -> bool:
        last = [found[-1] for name in names if (found := _assignments(stream, name))]
        return len(last) == len(names) and "".join(last).count("('") == ALL

    stream.wait_until(shared, f"sharing between {names}")


def _count(stream, posts: int) -> None:
    stream.wait_until(lambda: stream.accounted() == posts, f"counting {posts} posts")


def _stream(make_stream: Callable):
    return make_stream(
        kafka={"session_timeout_s": SESSION_S},
        worker={"leave_at_end": False},
    )


def test_a_worker_that_is_back_has_its_partitions_and_no_other_worker_moves(
    make_stream: Callable,
) -> None:
    stream = _stream(make_stream)
    for name in ("w1", "w2"):
        stream.start_worker(name)
    _share(stream, "w1", "w2")
    settled = {name: _assignments(stream, name) for name in ("w1", "w2")}
    stream.produce(POSTS, _posts(0, 500))
    _count(stream, 500)

    stream.workers["w1"].kill()
    stream.start_worker("w1")
    stream.produce(POSTS, _posts(500, 500))
    _count(stream, 1_000)

    stream.workers["w1"].ask_to_stop()
    stream.wait_until(lambda: not stream.workers["w1"].is_running, "the end of w1")
    assert stream.workers["w1"].exit_status == 0
    stream.start_worker("w1")
    stream.produce(POSTS, _posts(1_000, 500))
    _count(stream, 1_500)

    assert _assignments(stream, "w2") == settled["w2"]
    assert _assignments(stream, "w1") == settled["w1"] + 2 * settled["w1"][-1:]


def test_a_worker_that_leaves_hands_over_at_once(make_stream: Callable) -> None:
    stream = _stream(make_stream)
    stream.start_worker("w1", worker__leave_at_end=True)
    stream.start_worker("w2")
    _share(stream, "w1", "w2")
    stream.workers["w1"].ask_to_stop()
    stream.wait_until(lambda: _assignments(stream, "w2")[-1].count("('") == ALL, "handing over")
    stream.produce(POSTS, _posts(0, 500))
    _count(stream, 500)


def test_a_worker_whose_name_another_has_taken_ends_and_says_so(make_stream: Callable) -> None:
    stream = _stream(make_stream)
    asleep = stream.start_worker("w1")
    _share(stream, "w1")
    os.kill(asleep.pid, signal.SIGSTOP)
    try:
        stream.start_worker("taker", worker__instance="w1")
        stream.produce(POSTS, _posts(0, 500))
        _count(stream, 500)
    finally:
        os.kill(asleep.pid, signal.SIGCONT)
    stream.wait_until(lambda: not asleep.is_running, "the end of who woke up")
    assert asleep.exit_status == 1
    last = (stream.directory / "w1.log").read_text().splitlines()[-1]
    assert "worker.instance = 'w1'" in last
    assert "give each worker its own" in last
    stream.produce(POSTS, _posts(500, 500))
    _count(stream, 1_000)
    in_panes = sum(c["posts"] for (query, _), c in stream.windows().items() if query == "all")
    assert in_panes == 1_000
