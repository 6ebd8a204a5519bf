"""The command on a real broker and store: killed twice, a post deleted meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.settings import KafkaSettings
from services.kafka_client import RecordProducer, TopicAdmin, TopicPlan
from services.local.kafka_server import KafkaServer
from stream.queries.matcher import Matcher
from stream.topics import POST_EVENTS, POSTS, PROGRESS, SCORED_POSTS
from stream.windows.layout import named
from testkit import local as testing
from testkit.builders import make_event, make_post
from testkit.stream import count_plainly, decode_scored
from tests.services.backfill.stream_with_a_new_query import LATE, OLD, World

pytestmark = pytest.mark.integration
PAST, PRESENT = 4_000, 500
CATALOG = """
[queries.late]
expression = "late OR flood*"
[queries.old]
expression = "trains"
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaServer]:
    with testing.kafka_server(tmp_path / "kafka") as server:
        yield server


def posts(first: int, number: int) -> list[Any]:
    words = ("late", "trains", "nothing", "a flood of trains")
    return [make_post(n, text=f"{words[n % 4]} {n}") for n in range(first, first + number)]


class Topics:
    """Puts into Kafka what a world's topics have, as far as it is not there yet."""

    def __init__(self, world: World, broker: KafkaServer) -> None:
        self.settings = settings_of(broker)
        self._world = world
        self._sent: dict[str, int] = {
            name: 0 for name in (POSTS, POST_EVENTS, SCORED_POSTS, PROGRESS)
        }
        with TopicAdmin(self.settings) as admin:
            admin.create([TopicPlan(name, 1, 1) for name in self._sent])

    def send(self) -> None:
        world = self._world
        producer = RecordProducer(self.settings)
        progress = [one for _, one in world.sink.records.get(PROGRESS, [])]
        for topic, records in (
            (POSTS, world.posts), (POST_EVENTS, world.events), (SCORED_POSTS, world.scored),
            (PROGRESS, progress),
        ):  # fmt: skip
            for one in records[self._sent[topic] :]:
                producer.send(topic, one.key or b"k", one.value or b"", one.headers)
            self._sent[topic] = len(records)
        producer.flush(30)
        producer.close()


def settings_of(broker: KafkaServer) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=1)


class Command:
    """Runs the command and kills it, or lets it end."""

    def __init__(self, world: World, broker: KafkaServer, folder: Path) -> None:
        (folder / "queries.toml").write_text(CATALOG)
        self._argv = [sys.executable, "-m", "services.cli.main", "queries"]
        self._env = os.environ | {
            "GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
            "GROUNDSWELL__KAFKA__PARTITIONS": "1",
            "GROUNDSWELL__REDIS__URL": world.url,
            "GROUNDSWELL__QUERIES__PATH": str(folder / "queries.toml"),
            "GROUNDSWELL_HOME": str(folder / "home"),
        }

    def killed(self) -> int:
        """Start a back-fill, kill it after its first few hundred posts; return its status."""
        with subprocess.Popen(
            [*self._argv, "backfill", "late", "--share", "0.01"],
            env=self._env, stderr=subprocess.PIPE, text=True,
        ) as child:  # fmt: skip
            assert child.stderr is not None
            said = list[str]()
            for line in child.stderr:
                said.append(line)
                if ", 500 of " in line:
                    break
            child.send_signal(signal.SIGKILL)
            assert said[-1].startswith("late: adding the past, 500 of "), said
        return child.returncode

    def ended(self, *arguments: str) -> str:
        found = subprocess.run(
            [*self._argv, *arguments], env=self._env, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        return found.stdout


def test_a_command_that_is_killed_twice_ends_with_the_numbers_of_a_plain_program(
    broker: KafkaServer, redis_server: Any, tmp_path: Path
) -> None:
    world = World(redis_server.url, 11, [OLD])
    topics, command = Topics(world, broker), Command(world, broker, tmp_path)
    deleted = {5, 7, PAST + 1}

    async def take(*arguments: Any, seed: int) -> None:
        await world.take(*arguments, seed=seed)
        await world.store.close()
        topics.send()

    asyncio.run(take(posts(0, PAST), [], seed=1))
    world.matcher = Matcher([LATE, OLD])
    asyncio.run(take(posts(PAST, 1), [], seed=2))  # the worker has taken the query up
    assert command.killed() == -signal.SIGKILL
    asyncio.run(take(posts(PAST + 1, PRESENT - 1), [make_event("delete", 5)], seed=3))
    assert command.killed() == -signal.SIGKILL
    later = [make_event("delete", number) for number in sorted(deleted - {5})]
    asyncio.run(take([], later, seed=4))
    assert "posts added" in command.ended("backfill", "late")
    assert "late: 0 posts added, 0 looked at" in command.ended("backfill", "late")

    plain = {}
    scored = decode_scored([one.value or b"" for one in world.scored])
    for post, text in zip(scored, posts(0, PAST + PRESENT), strict=True):
        assert post.id == text.id
        if int(post.id[1:]) not in deleted and ("late" in text.text or "flood" in text.text):
            post.queries[:] = ["late"]
            for (_, start), counters in count_plainly([post]).items():
                sums = plain.setdefault(start, {})
                for name, value in counters.items():
                    sums[name] = sums.get(name, 0) + value

    async def panes() -> Any:
        found = await world.panes("late")
        await world.store.close()
        return found

    stored = {
        start: {name: value for name, value in named(counters).items() if value}
        for start, (counters, _, _) in asyncio.run(panes()).items()
    }
    assert stored == {
        start: {name: value for name, value in sums.items() if value}
        for start, sums in plain.items()
    }
    assert "since" in command.ended("preview", "flood*", "--last", "1d")
