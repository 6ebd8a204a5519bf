"""Ingest as a process against a real broker: killed, and with the broker killed under it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.codec import dead_post_decoder, post_decoder, post_event_decoder
from core.errors import DecodeError
from core.settings import KafkaSettings
from services.cli.topics import topic_plans
from services.kafka_client import TopicAdmin, read_topic
from services.kafka_client.messages import Record
from services.local.kafka_server import KafkaServer
from testkit.local import kafka_server
from testkit.waiting import PATIENCE_S, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

POSTS = 20_000
REPLAYED = 8_000
SMALL_BUFFER = {"GROUNDSWELL__INGEST__MAX_BUFFERED_POSTS": "100"}
"""Of an ingest that waits for Kafka again and again: it is met in mid-stream by who comes late."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaServer]:
    with kafka_server(tmp_path / "kafka") as server:
        settings = KafkaSettings(bootstrap_servers=server.bootstrap)
        with TopicAdmin(settings) as admin:
            admin.create(topic_plans(settings))
        yield server


def start(
    broker: KafkaServer, directory: Path, *arguments: str, **settings: str
) -> subprocess.Popen[bytes]:
    with (directory / "ingest.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.ingest", "--cursor-dir", str(directory), *arguments],
            cwd=directory,
            stderr=log,
            env={
                "GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
                "GROUNDSWELL__KAFKA__REQUEST_TIMEOUT_S": "5",
                "PYTHONPATH": str(Path(__file__).parents[3]),
                **settings,
            },
        )


def fast(directory: Path) -> tuple[str, ...]:
    return (
        "--source", "synthetic", "--posts", str(POSTS), "--rate", "4000", "--speed", "0",
        "--start-at", "2026-03-01T12:00:00Z", "--malformed-share", "0.01",
        "--ledger", str(directory / "ledger.jsonl"),
        "--set", "engagement_share=0.05", "--set", "life_s=2",
    )  # fmt: skip


def wait_for_cursor(directory: Path, at_least: int, source: str = "synthetic") -> int:
    """Return the acknowledged items once there are so many."""
    path = directory / f"{source}.cursor.json"

    def items() -> int:
        found = json.loads(path.read_bytes())["totals"]["items_read"] if path.exists() else 0
        return found if found >= at_least else 0

    log = directory / "ingest.log"
    return wait_until(items, f"{at_least} items are acknowledged", why=log.read_text, every_s=0.01)


def records_of(broker: KafkaServer, topic: str) -> list[Record]:
    return list(read_topic(KafkaSettings(bootstrap_servers=broker.bootstrap), topic))


def numbers_by_author(broker: KafkaServer) -> dict[str, list[str]]:
    """Return author -> ids of the well-formed posts, in the order of their partition."""
    found: dict[str, list[str]] = defaultdict(list)
    for record in records_of(broker, "posts"):
        try:
            post = post_decoder.decode(record.value or b"")
        except DecodeError:  # malformed on purpose
            continue
        found[post.author].append(post.id)
    return found


def check_against_ledger(broker: KafkaServer, directory: Path) -> int:
    """Everything in the ledger is in Kafka, in an author's order; return how often posts repeat."""
    lines = {}
    for line in (directory / "ledger.jsonl").read_text().splitlines():
        kind, post_id, author, _key, number, detail, *_ = json.loads(line)
        lines[number] = (kind, post_id, author, detail)
    done = json.loads((directory / "synthetic.done.json").read_bytes())
    assert done["items_read"] == len(lines)
    assert done["posts_produced"] == POSTS
    expected: dict[str, list[str]] = defaultdict(list)
    for kind, post_id, author, _detail in lines.values():
        if kind in ("post", "duplicate"):
            expected[author].append(post_id)
    repeats = 0
    for author, ids in numbers_by_author(broker).items():
        wanted = expected.pop(author)
        repeats += len(ids) - len(wanted)
        assert dict.fromkeys(ids).keys() == dict.fromkeys(wanted).keys()
        if len(ids) == len(wanted):
            assert ids == wanted, "the order of an author's posts changed"
    assert not expected
    return repeats


def test_whole_run_is_in_kafka_exactly_as_the_ledger_says(
    broker: KafkaServer, tmp_path: Path
) -> None:
    process = start(broker, tmp_path, *fast(tmp_path))
    assert process.wait(PATIENCE_S) == 0, (tmp_path / "ingest.log").read_text()
    assert check_against_ledger(broker, tmp_path) == 0
    done = json.loads((tmp_path / "synthetic.done.json").read_bytes())
    posts = len(records_of(broker, "posts"))
    assert posts == (
        done["posts_produced"] + done["duplicates_produced"] + done["malformed_produced"]
    )
    dead = [dead_post_decoder.decode(r.value or b"") for r in records_of(broker, "dead-posts")]
    assert [one.reason for one in dead] == ["too_large"] * done["too_large"]
    assert len(records_of(broker, "post-events")) == done["events_produced"]


def test_killed_in_mid_stream_and_started_again_loses_nothing(
    broker: KafkaServer, tmp_path: Path
) -> None:
    kills = 0
    for _ in range(3):
        process = start(broker, tmp_path, *fast(tmp_path), **SMALL_BUFFER)
        wait_for_cursor(tmp_path, 2_000 * (kills + 1) + kills * 1_000)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait(PATIENCE_S)
    assert kills >= 2, "ingest ended before it was killed: this test has shown nothing"
    process = start(broker, tmp_path, *fast(tmp_path))
    assert process.wait(PATIENCE_S) == 0, (tmp_path / "ingest.log").read_text()
    repeats = check_against_ledger(broker, tmp_path)
    assert repeats <= kills * 12_000


def test_asked_to_stop_it_stores_the_cursor_and_repeats_nothing(
    broker: KafkaServer, tmp_path: Path
) -> None:
    process = start(broker, tmp_path, *fast(tmp_path), **SMALL_BUFFER)
    wait_for_cursor(tmp_path, 2_000)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert not (tmp_path / "synthetic.done.json").exists()
    process = start(broker, tmp_path, *fast(tmp_path))
    assert process.wait(PATIENCE_S) == 0
    assert check_against_ledger(broker, tmp_path) == 0


def test_broker_killed_and_back_loses_nothing_and_keeps_the_order(
    broker: KafkaServer, tmp_path: Path
) -> None:
    process = start(broker, tmp_path, *fast(tmp_path), **SMALL_BUFFER)
    before = wait_for_cursor(tmp_path, 3_000)
    broker.kill()
    assert process.poll() is None, "ingest ended before the broker was killed"
    assert before < POSTS
    broker.start()
    broker.wait_ready()
    assert process.wait(PATIENCE_S) == 0, (tmp_path / "ingest.log").read_text()
    check_against_ledger(broker, tmp_path)


def test_replay_that_is_killed_loses_no_count_and_no_post(
    broker: KafkaServer, tmp_path: Path
) -> None:
    path = tmp_path / "posts.csv"
    start_at = datetime(2026, 3, 1, tzinfo=UTC)
    lines = ["id,author,created_at,text,likes"]
    for n in range(REPLAYED):
        lines.append(f"{n},a{n % 97},{start_at + timedelta(seconds=40 * n)},post {n},{n}")
    path.write_text("\n".join(lines) + "\n")
    replayed = "--source", "replay", "--path", str(path)
    kills = 0
    for _ in range(2):
        process = start(broker, tmp_path, *replayed, **SMALL_BUFFER)
        wait_for_cursor(tmp_path, 3_000 * (kills + 1), "replay")
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait(PATIENCE_S)
    assert kills, "ingest ended before it was killed: this test has shown nothing"
    process = start(broker, tmp_path, *replayed)
    assert process.wait(PATIENCE_S) == 0, (tmp_path / "ingest.log").read_text()
    done = json.loads((tmp_path / "replay.done.json").read_bytes())
    assert done["posts_produced"] == done["events_produced"] == REPLAYED
    events = [post_event_decoder.decode(r.value or b"") for r in records_of(broker, "post-events")]
    assert {(e.post_id, e.author, e.likes) for e in events} == {
        (str(n), f"a{n % 97}", n) for n in range(REPLAYED)
    }
    assert sum(map(len, map(set, numbers_by_author(broker).values()))) == REPLAYED
