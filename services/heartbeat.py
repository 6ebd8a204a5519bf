"""The heartbeat: a post of our own to every partition each few seconds.

The posts go through ingest's own loop, so they pass whatever a post passes. The exporter says how
old the last counted one is (`services.heartbeat_watch`). One heartbeat process is enough for a
deployment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import msgspec
import stamina

from core.clock import epoch_ms, from_epoch_ms
from core.errors import BrokerUnavailable
from core.logs import get_logger
from core.schemas import Post
from core.settings import KafkaSettings, Settings
from services.ingest.launch import run_ingest
from services.ingest.sources.base import Cursor, Source, SourceContext, SourceItem
from services.kafka_client import TopicProbe, partition_of
from stream import heartbeat
from stream.topics import POSTS

_log = get_logger(__name__)


class HeartbeatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and to how many partitions."""

    every_s: int
    partitions: int


def authors(partitions: int) -> list[str]:
    """Return for each partition an author whose posts go there.

    Example:
        >>> [partition_of(author.encode(), 4) for author in authors(4)]
        [0, 1, 2, 3]
    """
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        author = f"{heartbeat.SOURCE}-{number}"
        found.setdefault(partition_of(author.encode(), partitions), author)
        number += 1
    return [found[partition] for partition in range(partitions)]


class HeartbeatSource(Source[HeartbeatOptions]):
    """One post for each partition at every full multiple of `every_s`.

    Those missed while the process was down are not made up for: what would they show? So the
    cursor, the time of a heartbeat in seconds, is for people.
    """

    name: ClassVar[str] = heartbeat.SOURCE
    Options = HeartbeatOptions

    def __init__(self, options: HeartbeatOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._authors = authors(options.partitions)
        self._due: deque[SourceItem] = deque()
        self._last_s = 0

    def open(self, cursor: Cursor | None) -> None:
        """Begin with the next multiple: that of now may have been sent before a restart."""
        del cursor
        self._last_s = self._multiple_s()

    def poll(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        """Return the heartbeats that are due; see `Source.poll`."""
        at_s = self._multiple_s()
        if at_s > self._last_s:
            self._last_s = at_s
            self._due.extend(self._beats(at_s))
        elif not self._due:
            self.context.wait(timeout_s)
        return [self._due.popleft() for _ in range(min(max_items, len(self._due)))]

    @property
    def exhausted(self) -> bool:
        """Never."""
        return False

    def _multiple_s(self) -> int:
        now_s = epoch_ms(self.context.clock.now()) // 1000
        return now_s // self.options.every_s * self.options.every_s

    def _beats(self, at_s: int) -> Iterable[SourceItem]:
        at = from_epoch_ms(at_s * 1000)
        now = self.context.clock.now()
        for partition, author in enumerate(self._authors):
            post = Post(
                id=heartbeat.post_id(partition, at_s),
                source=heartbeat.SOURCE,
                author=author,
                claimed_at=at,
                ingested_at=now,
                # Another text each time: the model's cache must not answer in its place.
                text=f"Heartbeat of partition {partition} at {at:%H:%M:%S} on {at:%d %B %Y}.",
                lang="en",
            )
            yield SourceItem(record=post, cursor=at_s)


def count_partitions(settings: KafkaSettings) -> int:
    """Return how many partitions `posts` has, waiting for the broker and for the topic."""

    def is_worth_another(error: Exception) -> bool:
        if isinstance(error, BrokerUnavailable):
            _log.warning("waiting for the topic", topic=POSTS, error=str(error))
            return True
        return False

    for attempt in stamina.retry_context(
        on=is_worth_another, attempts=None, timeout=None,
        wait_initial=0.1, wait_max=2.0, wait_jitter=0.5,
    ):  # fmt: skip
        with attempt:
            probe = TopicProbe(settings, POSTS)
            try:
                count = len(probe.ends())
            finally:
                probe.close()
            if not count:
                raise BrokerUnavailable(f"there is no topic {POSTS}")
            return count
    raise AssertionError("unreachable: it is tried for ever")


def main(settings: Settings) -> int:
    """Send heartbeats until SIGTERM or SIGINT; return the exit status."""
    options = HeartbeatOptions(
        every_s=settings.heartbeat.every_s, partitions=count_partitions(settings.kafka)
    )
    context = SourceContext(Path(settings.ingest.cursor_dir))
    return run_ingest(settings, HeartbeatSource(options, context))
