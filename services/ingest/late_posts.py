"""Recorded posts that come too late for the windows of a running stack: counted, and warned of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from core.codec import progress_decoder
from core.errors import BrokerUnavailable, DecodeError
from core.logs import get_logger
from core.schemas import Post
from core.settings import Settings
from services.ingest.sources.base import SourceItem
from services.kafka_client import read_topic

_PROGRESS: Final = "progress"
_LAST_RECORDS: Final = 500

Edge = Callable[[Sequence[SourceItem]], Sequence[SourceItem]]


def oldest_kept(settings: Settings) -> datetime | None:
    """Return since when a running stack still changes windows; None if it has counted nothing.

    As of its newest watermark less `windows.retention_s`, from the last records of `progress`.
    """
    newest: datetime | None = None
    try:
        for record in read_topic(settings.kafka, _PROGRESS, last=_LAST_RECORDS):
            try:
                watermark = progress_decoder.decode(record.value or b"").watermark
            except DecodeError:
                continue
            if watermark is not None:
                newest = watermark if newest is None else max(newest, watermark)
    except BrokerUnavailable:  # no such topic: nothing was counted
        return None
    return None if newest is None else newest - timedelta(seconds=settings.windows.retention_s)


class LatePosts:
    """Looks at what a recording delivers and warns, once at the end, of how much comes too late.

    Args:
        floor: Posts of before it go to `dead-posts` as `dropped_late`; None warns of nothing.
        edge: What is done to items besides.
    """

    def __init__(self, floor: datetime | None, edge: Edge) -> None:
        self._floor = floor
        self._edge = edge
        self.posts = 0
        self.late = 0

    def __call__(self, items: Sequence[SourceItem]) -> Sequence[SourceItem]:
        """Count, and return what the edge makes of the items."""
        if self._floor is not None:
            for record in (item.record for item in items):
                if isinstance(record, Post):
                    self.posts += 1
                    self.late += (record.claimed_at or record.ingested_at) < self._floor
        return self._edge(items)

    def warn(self) -> None:
        """Warn of the posts that came too late."""
        if self.late and self._floor is not None:
            get_logger(__name__).warning(
                "posts are older than the windows that this stack still keeps: they are not "
                "counted (dropped_late); begin with an empty stack: groundswell up --fresh",
                late=self.late, posts=self.posts, kept_since=self._floor.isoformat(),
            )  # fmt: skip
