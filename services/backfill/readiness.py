"""Waiting until every worker counts a new query: from then on there is a past to be added."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from core.clock import Clock
from core.codec import progress_decoder
from core.errors import DecodeError, GroundswellError
from services.kafka_client.messages import Record
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS

LOOK_EVERY_S: Final = 1.0
QUIET_S: Final = 60.0
"""A partition in which nothing waits has no batch that began before the file changed."""


class NotTakenUp(GroundswellError):
    """Some partition is still counted without the query."""


class Workers:
    """What is known of the queries that workers match with.

    Args:
        store: The store.
        read_progress: Returns the latest records of the topic `progress`.
        ends: Returns topic -> offset after the last record of a partition.
        file: The query file.
        clock: The pauses.
    """

    def __init__(
        self,
        store: RedisStore,
        read_progress: Callable[[], Iterable[Record]],
        ends: Callable[[int], dict[str, int]],
        file: Path,
        clock: Clock,
    ) -> None:
        self._store = store
        self._read_progress = read_progress
        self._ends = ends
        self._file = file
        self._clock = clock

    async def wait(self, digest: str, limit_s: float) -> None:
        """Return once all partitions are counted with the queries of `digest`.

        Raises:
            NotTakenUp: Some are not after `limit_s`.
            StoreUnavailable, BrokerUnavailable: Try again.
        """
        until_s = self._clock.monotonic() + limit_s
        while behind := await self._behind(digest):
            if self._clock.monotonic() >= until_s:
                listed = ", ".join(map(str, behind))
                raise NotTakenUp(
                    f"partitions {listed} are not counted with the queries of {self._file} after "
                    f"{limit_s:g} s; expected their workers to have taken it up: do they run, and "
                    "do they read this file?"
                )
            await self._clock.sleep(LOOK_EVERY_S)

    async def _behind(self, digest: str) -> list[int]:
        """Return the partitions of which it is not known that they are counted so."""
        latest: dict[int, str] = {}
        for record in self._read_progress():
            try:
                progress = progress_decoder.decode(record.value or b"")
            except DecodeError:
                continue
            latest[progress.partition] = progress.queries
        age_s = time.time() - self._file.stat().st_mtime
        behind: list[int] = []
        for partition in await self._store.partitions():
            if latest.get(partition) == digest:
                continue
            if age_s < QUIET_S or not await self._is_quiet(partition):
                behind.append(partition)
        return behind

    async def _is_quiet(self, partition: int) -> bool:
        state, ends = await self._store.partition_state(partition), self._ends(partition)
        return all(state.cursors[topic] + 1 >= ends[topic] for topic in (POSTS, POST_EVENTS))
