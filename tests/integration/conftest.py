"""A stream on real parts for tests that kill them: own broker, own store, own worker processes."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.codec import dead_post_decoder, scored_post_decoder
from core.config import build
from core.schemas import DeadPost, ScoredPost
from core.settings import Settings
from services.bootstrap import make_store
from services.cli.topics import topic_plans
from services.kafka_client import RecordProducer, TopicAdmin, read_topic
from services.local.child import Child, Command
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from stream.topics import DEAD_POSTS, POSTS, SCORED_POSTS
from stream.windows.layout import named
from testkit.redis_cluster import RedisClusterServers
from testkit.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]


class Stream:
    """A broker, a store and as many workers as asked for, all real processes.

    Attributes:
        settings: what every process is given.
        kafka, redis: the servers, to be killed and started.
        workers: running worker processes by name.
    """

    def __init__(
        self,
        directory: Path,
        kafka: KafkaServer,
        redis: RedisServer | RedisClusterServers,
        tables: dict[str, dict],
    ) -> None:
        self.directory = directory
        self.kafka = kafka
        self.redis = redis
        tree = {
            "redis": {"url": redis.url, "timeout_s": 5},
            "scorer": {"kind": "fake"},
            **tables,
            "kafka": {
                "bootstrap_servers": kafka.bootstrap,
                "session_timeout_s": 6,
                **tables.get("kafka", {}),
            },
        }
        self.tree = tree
        self.settings: Settings = build(tree)
        self.workers: dict[str, Child] = {}
        with TopicAdmin(self.settings.kafka) as admin:
            admin.create(topic_plans(self.settings.kafka))

    @property
    def partitions(self) -> range:
        """Partitions of `posts`."""
        return range(self.settings.kafka.partitions)

    def start_worker(self, name: str, **changes: object) -> Child:
        """Start a worker process; `changes` are settings as `section__field`."""
        return self.start_process("worker", name, **changes)

    def start_process(self, role: str, name: str, *words: str, **changes: object) -> Child:
        """Start a process of a role; `changes` are settings as `section__field`."""
        flat = {f"{s}__{f}": v for s, fields in self.tree.items() for f, v in fields.items()}
        own = {"worker__data_dir": str(self.directory / name), "worker__instance": name}
        flat |= own | changes
        env = {f"GROUNDSWELL__{key.upper()}": str(value) for key, value in flat.items()}
        argv = (sys.executable, "-m", "services.cli.main", role, *words)
        command = Command(argv, env | {"PYTHONPATH": str(REPOSITORY)}, cwd=REPOSITORY)
        self.workers[name] = Child(command, self.directory / f"{name}.log")
        return self.workers[name]

    def stop_workers(self) -> None:
        """Stop every worker; their next start goes on from the stored cursors."""
        for child in self.workers.values():
            child.ask_to_stop()
        for child in self.workers.values():
            child.stop(30)
        self.workers.clear()

    def produce(self, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Produce (key, value) records and wait for their acknowledgements."""
        producer = RecordProducer(self.settings.kafka)
        try:
            for key, value in records:
                producer.send(topic, key, value)
            producer.flush(60)
        finally:
            producer.close()

    def totals(self) -> Counter[str]:
        """Return the running totals of the store, over all partitions; empty while it is away."""

        async def read() -> Counter[str]:
            store = make_store(self.settings)
            try:
                total: Counter[str] = Counter()
                for partition in self.partitions:
                    total.update((await store.partition_state(partition)).totals)
                return total
            except Exception:
                return Counter()
            finally:
                await store.close()

        return asyncio.run(read())

    def states(self) -> dict[int, int]:
        """Return partition -> the stored cursor of `posts`."""

        async def read() -> dict[int, int]:
            store = make_store(self.settings)
            try:
                found, _ = await store.readable_states(self.partitions)
                return {partition: state.cursors[POSTS] for partition, state in found.items()}
            finally:
                await store.close()

        return asyncio.run(read())

    def accounted(self) -> int:
        """Posts counted plus messages of `posts` that were dead-lettered, by the store."""
        totals = self.totals()
        return totals["counted"] + totals["dead:posts"]

    def wait_until(self, claim: Callable[[], bool], what: str) -> None:
        """Wait for `claim`; fail with the workers' last words if it does not come true."""
        wait_until(claim, what, why=self.last_words, every_s=0.1)

    def last_words(self) -> str:
        """Return the ends of the workers' logs and what the store holds."""
        logs = [
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.directory.glob("*.log"))
        ]
        return "\n".join([str(self.totals()), *logs])

    def windows(self) -> dict[tuple[str, int], dict[str, int]]:
        """Return (query, start) -> counters without zeros, as the store has them."""

        async def read() -> dict[tuple[str, int], dict[str, int]]:
            store = make_store(self.settings)
            found: dict[tuple[str, int], dict[str, int]] = {}
            try:
                for start in await store.pane_starts(self.partitions):
                    for query, pane in (await store.pane(list(self.partitions), start)).items():
                        counters = {k: v for k, v in named(pane.counters).items() if v}
                        if counters:
                            found[query, start] = counters
                return found
            finally:
                await store.close()

        return asyncio.run(read())

    def dead(self) -> list[DeadPost]:
        """Return dead letters, each position once."""
        letters = [
            dead_post_decoder.decode(record.value)
            for record in read_topic(self.settings.kafka, DEAD_POSTS)
        ]
        return list({(d.topic, d.partition, d.offset): d for d in letters}.values())

    def scored(self) -> list[ScoredPost]:
        """Return scored posts, each source position once, the last scoring first in line."""
        by_position: dict[tuple[str, str], ScoredPost] = {}
        for record in read_topic(self.settings.kafka, SCORED_POSTS):
            headers = {name: value.decode() for name, value in record.headers}
            position = (headers["source-partition"], headers["source-offset"])
            by_position[position] = scored_post_decoder.decode(record.value)
        return list(by_position.values())


@pytest.fixture
def make_stream(tmp_path: Path) -> Iterator[Callable[..., Stream]]:
    """Return a function that starts a stream: its settings, and a store unless one is given."""
    with ExitStack() as stack:
        made = 0

        def make(redis: RedisServer | RedisClusterServers | None = None, **tables: dict) -> Stream:
            nonlocal made
            made += 1
            home = tmp_path / str(made)
            kafka = stack.enter_context(KafkaServer(home / "kafka"))
            redis = redis or stack.enter_context(RedisServer(home / "redis"))
            stream = Stream(home / "workers", kafka, redis, tables)
            stack.callback(stream.stop_workers)
            return stream

        yield make


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return where the real data is; the tests that use it fail without it, they do not skip."""
    place = Path(os.environ.get("GROUNDSWELL_DATA", REPOSITORY.parent / "shared" / "data"))
    assert place.is_dir(), f"real data not found at {place}: set GROUNDSWELL_DATA"
    return place
