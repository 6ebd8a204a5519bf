"""Bluesky breaks off twenty times, ingest is killed three times: every post is in the panes once.

The short form runs 20,000 events; `GROUNDSWELL_LIVE_EVENTS=100000` runs the long one.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psutil
import pytest

from core.codec import scored_post_decoder
from services.bootstrap import make_store
from services.ingest.kafka_io import TopicAdmin, read_topic
from services.ingest.sources.bluesky.fake_journal import Conversation, recorded
from services.ingest.sources.bluesky.fake_server import FakeJetstream, Fault
from services.local.child import Child, Command
from stream.topics import POST_EVENTS, POSTS, SCORED_POSTS

pytestmark = pytest.mark.integration

EVENTS = int(os.environ.get("GROUNDSWELL_LIVE_EVENTS", "20000"))
SLICES = 80
DISCONNECTIONS = 20
KILLS = 3
KEY = "a key for tests"
REPOSITORY = Path(__file__).parents[2]


class Ingest:
    """`groundswell ingest --source bluesky` as a process that can be killed and started again."""

    def __init__(
        self, stream, server: FakeJetstream, home: Path, protocol: str, *more: str
    ) -> None:
        home.mkdir()
        self.home = home
        self._starts = 0
        flat = {f"{s}__{f}": v for s, fields in stream.tree.items() for f, v in fields.items()}
        flat |= {"ingest__author_key": KEY}
        self._env = {f"GROUNDSWELL__{key.upper()}": str(value) for key, value in flat.items()}
        self._env["PYTHONFAULTHANDLER"] = "1"
        limits = "{backoff_first_s = 0.05, backoff_max_s = 0.3, idle_min_s = 1.0}"
        self._argv = (
            sys.executable, "-m", "services.cli.main", "ingest", "--source", "bluesky",
            "--set", f'hosts=["{server.host}"]', "--set", f"protocol={protocol}",
            "--set", "start_s_ago=86000.0", "--set", "max_recent_events=4000",
            "--set", "max_held_posts=2000", "--set", f"limits={limits}",
            "--cursor-dir", str(home), *(word for one in more for word in ("--set", one)),
        )  # fmt: skip
        self.child: Child
        self.resident: list[list[int]] = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stop(10)

    def start(self) -> None:
        self._starts += 1
        command = Command(self._argv, self._env | {"PYTHONPATH": str(REPOSITORY)}, cwd=self.home)
        self.child = Child(command, self.home / f"ingest{self._starts}.log")
        self.resident.append([])

    def look(self) -> None:
        """Note how much memory it holds."""
        self.resident[-1].append(psutil.Process(self.child.pid).memory_info().rss)

    def cursor(self) -> dict:
        path = self.home / "bluesky.cursor.json"
        return msgspec.json.decode(path.read_bytes()) if path.exists() else {"cursor": ["", 0, 0]}

    def words(self) -> str:
        return "\n".join(path.read_text()[-5000:] for path in sorted(self.home.glob("*.log")))


def _behind(stream) -> int:
    """Return how many records of both topics the workers have not applied."""

    async def cursors() -> dict[str, int]:
        store = make_store(stream.settings)
        try:
            states = [await store.partition_state(p) for p in stream.partitions]
        finally:
            await store.close()
        return {t: sum(s.cursors[t] + 1 for s in states) for t in (POSTS, POST_EVENTS)}

    with TopicAdmin(stream.settings.kafka) as admin:
        ends = {state.name: sum(state.end_offsets) for state in admin.describe(None)}
    applied = asyncio.run(cursors())
    return sum(ends[topic] - applied[topic] for topic in applied)


def _wait(stream, ingest: Ingest, claim: Callable[[], bool], what: str) -> None:
    """Wait for `claim`; if it does not come true, say what ingest said last."""
    try:
        stream.wait_until(claim, 90, what)
    except BaseException as error:
        os.kill(ingest.child.pid, signal.SIGABRT)  # its log then ends with where it stood
        time.sleep(1)
        error.add_note(ingest.words())
        raise


def _wait_until_read(stream, ingest: Ingest, last_us: int) -> None:
    """Wait until Kafka has acknowledged everything up to the event of that time, the last."""

    def is_read() -> bool:
        ingest.look()
        return ingest.cursor()["cursor"][2] == last_us

    _wait(stream, ingest, is_read, "reading all")


def _disconnect(server: FakeJetstream, chance: random.Random) -> None:
    kind = chance.choice(("abort", "restart", "half_frame", "going_away", "repeat"))
    if kind == "restart":
        server.stop()
        server.start()
        return
    if kind != "abort":
        server.faults.append(Fault(kind, chance.randrange(40)))
    server.abort_all()


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_platform_that_breaks_off_and_a_killed_ingest_lose_and_repeat_nothing(
    protocol: str, make_stream: Callable, tmp_path: Path
):
    if protocol == "v2" and EVENTS > 20_000:
        pytest.skip("the long form is run once")
    chance = random.Random(11)
    stream = make_stream()
    stream.start_worker("w1")
    start = datetime.now(UTC) - timedelta(milliseconds=EVENTS * 20)
    conversation = Conversation(start, seed=5, posts_share=0.4, step_us=20_000)
    home = tmp_path / "ingest"
    places = chance.sample(range(5, SLICES - 10), DISCONNECTIONS + KILLS)
    kills = set(places[:KILLS])
    with FakeJetstream() as server, Ingest(stream, server, home, protocol) as ingest:
        for number in range(SLICES):
            sent = server.sent  # before: a quick server has sent the slice when append returns
            server.append(conversation.events(EVENTS // SLICES))
            _wait(stream, ingest, lambda: server.sent > sent, "reading")  # noqa: B023
            ingest.look()
            if number not in places:
                continue
            sessions = len(server.requests)
            if number in kills:
                ingest.child.kill()
                ingest.start()
            else:
                _disconnect(server, chance)
            # Each fault is met in an open session, and the next only in the session after it.
            _wait(stream, ingest, lambda: len(server.requests) > sessions, "reconnecting")  # noqa: B023
        _wait_until_read(stream, ingest, server.entries[-1].us)
        stream.wait_until(lambda: _behind(stream) == 0, 120, "applying all")
    assert len(server.requests) > DISCONNECTIONS + KILLS, "not every fault made a new session"
    _expect_every_post_once(stream, conversation, ingest)
    _expect_flat_memory(ingest)


RECORDED = {
    "jetstream.jsonl.gz": "v1",
    "jetstream_v1_server.jsonl.gz": "v1",
    "jetstream_v2_server.jsonl.gz": "v2",
}


def test_every_recorded_frame_has_its_outcome_in_kafka_and_in_the_panes(
    make_stream: Callable, data_dir: Path, tmp_path: Path
):
    stream = make_stream()
    stream.start_worker("w1")
    made: set[tuple[str, str]] = set()
    removed: set[tuple[str, str]] = set()
    for name, protocol in RECORDED.items():
        frames = gzip.decompress((data_dir / "connectors" / name).read_bytes()).splitlines()
        outcomes = Counter[str]()
        for commit in map(_commit_of, frames):
            post = (commit.get("did", ""), commit.get("rkey", ""))
            if commit.get("collection") == "app.bsky.feed.post":
                (removed if commit["operation"] == "delete" else set()).add(post)
                (made if commit["operation"] == "create" else set()).add(post)
            outcomes.update(_outcomes(commit))
        entries = recorded(frames)
        home = tmp_path / name.partition(".")[0]
        with FakeJetstream(entries) as server:
            asked = ("start_s_ago=3e8", "collections=[]")
            with Ingest(stream, server, home, protocol, *asked) as ingest:
                _wait_until_read(stream, ingest, entries[-1].us)
        totals = ingest.cursor()["totals"]
        assert {k: totals[k] for k in outcomes} == outcomes, name
        assert totals["unmappable"] == totals["gaps"] == totals["dropped"] == 0
    stream.wait_until(lambda: _behind(stream) == 0, 60, "applying all")
    panes = stream.windows()
    in_panes = sum(c["posts"] for (query, _), c in panes.items() if query == "all")
    assert in_panes == len(made - removed)
    scored = [
        scored_post_decoder.decode(record.value)
        for record in read_topic(stream.settings.kafka, SCORED_POSTS)
    ]
    found = {post.id.rpartition("/")[2] for post in scored if not post.edit}
    assert found >= {rkey for _, rkey in made - removed}


def _commit_of(frame: bytes) -> dict:
    told = msgspec.json.decode(frame)
    if "payload" in told:
        return told["payload"]
    return {"did": told["did"]} | told.get("commit", {})


def _outcomes(commit: dict) -> Counter[str]:
    """Count what one event becomes, in the words of the totals."""
    kind, operation = commit.get("collection", ""), commit.get("operation")
    if kind == "app.bsky.feed.post":
        if operation != "create":
            return Counter(events_produced=1)
        return Counter(posts_produced=1, events_produced=1 if "reply" in commit["record"] else 0)
    is_reaction = kind in ("app.bsky.feed.like", "app.bsky.feed.repost") and operation == "create"
    if is_reaction and "/app.bsky.feed.post/" in commit["record"]["subject"]["uri"]:
        return Counter(events_produced=1)
    return Counter(ignored=1)


def _expect_every_post_once(stream, conversation: Conversation, ingest: Ingest) -> None:
    totals = ingest.cursor()["totals"]
    assert totals["gaps"] == 0, "this server kept everything"
    assert totals["unmappable"] == totals["dropped"] == 0
    panes = stream.windows()
    in_panes = sum(c["posts"] for (query, _), c in panes.items() if query == "all")
    assert in_panes == len(conversation.posts) - len(conversation.deleted)
    found = {(post.author, post.id.rpartition("/")[2]) for post in stream.scored()}
    # A deletion may overtake its post, which then is not scored at all.
    kept = set(conversation.posts) - conversation.deleted
    keys = [rkey for _, rkey in found]
    assert {rkey for _, rkey in kept} <= set(keys) <= {rkey for _, rkey in conversation.posts}
    assert len(keys) == len(set(keys)), "one post under two ids"
    assert not [author for author, _ in found if author.startswith("did:")]


def _expect_flat_memory(ingest: Ingest) -> None:
    """In the longest life of the process, it holds no more at its end than in its middle."""
    life = max(ingest.resident, key=len)
    assert len(life) >= 8
    middle, end = life[len(life) // 3], life[-1]
    print(f"{EVENTS:,} events; resident {middle:,} to {end:,} bytes")  # noqa: T201
    assert end < 1.15 * middle, f"{middle:,} bytes became {end:,}"
