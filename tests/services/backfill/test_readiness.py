"""A back-fill begins once every worker counts the query, and says whom it waits for."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from core.codec import encode
from core.schemas import Progress
from services.backfill.readiness import NotTakenUp, Workers
from services.kafka_client.messages import Record
from stream.store.increments import PartitionState
from stream.topics import POST_EVENTS, POSTS
from testkit.builders import NOON


@dataclass
class Stream:
    """Two partitions: what they have applied, where their topics end, what was told."""

    told: list[Record] = field(default_factory=list)
    ends_at: int = 10

    async def partitions(self) -> list[int]:
        return [0, 1]

    async def partition_state(self, _: int) -> PartitionState:
        return PartitionState({POSTS: 9, POST_EVENTS: 9}, -1, -1, {})

    def ends(self, _: int) -> dict[str, int]:
        return {POSTS: self.ends_at, POST_EVENTS: 10}

    def tell(self, partition: int, queries: str) -> None:
        said = Progress(
            partition=partition, cursor=9, event_cursor=9, applied_at=NOON, queries=queries
        )
        self.told.append(Record(0, len(self.told), None, encode(said)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "queries.toml"
    path.touch()
    return path


def workers(stream: Any, file: Path) -> Workers:
    return Workers(stream, lambda: stream.told, stream.ends, file, ManualClock(NOON))


async def test_partitions_that_are_counted_with_other_queries_are_waited_for(file: Path) -> None:
    stream = Stream()
    stream.told.append(Record(0, 0, None, b"rubbish"))
    stream.tell(0, "new")
    stream.tell(1, "new")
    stream.tell(1, "old")
    with pytest.raises(NotTakenUp, match="partitions 1 are not counted"):
        await workers(stream, file).wait("new", 5.0)
    stream.tell(1, "new")
    await workers(stream, file).wait("new", 5.0)


async def test_a_quiet_partition_is_ready_when_the_file_is_old_and_nothing_waits(
    file: Path,
) -> None:
    stream = Stream()
    with pytest.raises(NotTakenUp, match="partitions 0, 1"):
        await workers(stream, file).wait("new", 0.0)
    os.utime(file, (0, 0))
    await workers(stream, file).wait("new", 0.0)
    stream.ends_at = 11  # one that waits may be in a batch of before
    with pytest.raises(NotTakenUp):
        await workers(stream, file).wait("new", 0.0)
