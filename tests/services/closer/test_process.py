"""The closer as a process, with a real broker and a real store."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from core.clock import from_epoch_ms
from core.codec import encode, window_decoder
from core.schemas import Progress, Window
from core.settings import KafkaSettings, RedisSettings
from services.kafka_client import RecordProducer, TopicAdmin, TopicPlan, read_topic
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS, PROGRESS, WINDOWS
from testkit import local as testing
from testkit.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DATABASE = 10
START = 1_772_366_400
DEADLINE_S = 120.0
"""Far beyond what it takes; only a failing test waits so long."""


class Bench:
    """Stands for the workers: applies posts, tells of progress, reads what is published."""

    def __init__(self, kafka: KafkaServer, url: str, logs: Path) -> None:
        self.kafka = KafkaSettings(bootstrap_servers=kafka.bootstrap)
        self._url = url
        self.logs = logs
        self._producer = RecordProducer(self.kafka, linger_ms=0)
        self._cursors: dict[int, int] = {}
        self._started = 0

    async def post(self, partition: int, start_s: int, query: str = "all") -> None:
        store = RedisStore(RedisSettings(url=self._url), Horizons(60, 172_800, 21_600, 86_400))
        cursor = self._cursors.get(partition, -1)
        batch = ApplyBatch(
            POSTS, cursor, cursor + 1, start_s * 1000,
            panes={start_s: [(query, [1, 1, 5], {"s|en|none": [1, 1, 5, 0]}, ["a"])]},
        )  # fmt: skip
        await store.apply(partition, batch)
        self._cursors[partition] = cursor + 1
        state = await store.partition_state(partition)
        await store.close()
        progress = Progress(
            partition=partition,
            cursor=cursor + 1,
            event_cursor=-1,
            applied_at=datetime.now(UTC),
            watermark=from_epoch_ms(state.watermark_ms),
        )
        self._producer.send(PROGRESS, b"%d" % partition, encode(progress))
        self._producer.flush(DEADLINE_S)

    @contextmanager
    def closer(self) -> Iterator[subprocess.Popen[bytes]]:
        self._started += 1
        variables = {
            "GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "GROUNDSWELL__KAFKA__SESSION_TIMEOUT_S": "6",
            "GROUNDSWELL__REDIS__URL": self._url,
            "GROUNDSWELL__CLOSER__GROUP": "closers-of-the-test",
            "GROUNDSWELL__CLOSER__TICK_S": "0.1",
            "GROUNDSWELL__LOG__FORMAT": "json",
        }
        log = self.logs / f"closer-{self._started}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.main", "closer"],
                env=os.environ | variables, stdout=out, stderr=out,
            )  # fmt: skip
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def windows(self) -> list[Window]:
        records = read_topic(self.kafka, WINDOWS)
        return [window_decoder.decode(record.value or b"") for record in records]

    def wait_for(self, holds: Callable[[list[Window]], bool]) -> list[Window]:
        """Read `windows` until they satisfy `holds`."""
        found: list[Window] = []

        def is_reached() -> bool:
            found[:] = self.windows()
            return holds(found)

        def why() -> str:
            logs = sorted(self.logs.glob("closer-*.log"))
            return "\n".join([str(found), *(log.read_text()[-3000:] for log in logs)])

        wait_until(is_reached, "the windows are right", why=why, every_s=0.2, patience_s=DEADLINE_S)
        return found

    def close(self) -> None:
        self._producer.close()


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker of its own: the process uses the topics' real names."""
    with testing.kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def bench(own_kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    url = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap)
    with TopicAdmin(settings) as admin:
        admin.create([TopicPlan(PROGRESS, 1, 1), TopicPlan(WINDOWS, 4, 1)])
    made = Bench(own_kafka, url, tmp_path)
    yield made
    made.close()


def _posts(windows: list[Window], query: str, start_s: int) -> list[tuple[int, int]]:
    """Return (revision, posts) as published for a window.

    What is published again as it was, by a closer that takes over from one that had not yet noted
    that it is out, is left out: readers know it by its revision.
    """
    published = (
        (window.revision, window.counters["posts"])
        for window in windows
        if window.query == query and window.start == from_epoch_ms(start_s * 1000)
    )
    return list(dict.fromkeys(published))


async def test_closer_publishes_corrects_hands_over_when_killed_and_ends_on_sigterm(
    bench: Bench,
) -> None:
    with bench.closer() as first, bench.closer() as second:
        await bench.post(0, START)
        await bench.post(1, START, query="rail")
        await bench.post(0, START + 60)
        await bench.post(1, START + 60)
        found = bench.wait_for(
            lambda windows: all(_posts(windows, query, START) for query in ("all", "rail"))
        )
        assert _posts(found, "all", START) == [(0, 1)]
        assert _posts(found, "rail", START) == [(0, 1)]

        await bench.post(0, START)  # late
        found = bench.wait_for(lambda windows: len(_posts(windows, "all", START)) >= 2)
        assert _posts(found, "all", START) == [(0, 1), (1, 2)]

        active, standing_by = _roles(bench, first, second)
        active.send_signal(signal.SIGKILL)
        await bench.post(0, START + 120)
        await bench.post(1, START + 120)
        found = bench.wait_for(lambda windows: bool(_posts(windows, "all", START + 60)))
        # Both partitions had one post in it; it is published once, by whoever took over.
        assert _posts(found, "all", START + 60) == [(0, 2)]

        standing_by.send_signal(signal.SIGTERM)
        assert standing_by.wait(timeout=DEADLINE_S) == 0


def _roles(
    bench: Bench, first: subprocess.Popen[bytes], second: subprocess.Popen[bytes]
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """Return (active, standing by): the last to say that it closes is active."""
    logs = sorted(bench.logs.glob("closer-*.log"))
    epochs = [log.read_text().count('"closing"') for log in logs]
    assert sum(epochs) >= 1
    last = max(
        (
            (line.split('"timestamp": "')[1], number)
            for number, log in enumerate(logs)
            for line in log.read_text().splitlines()
            if '"event": "closing"' in line
        ),
    )[1]
    return (first, second) if last == 0 else (second, first)
