"""What an expression would have counted in the last hours, without adding it to anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from core.settings import Settings
from services.backfill.matching import PastMatcher
from services.backfill.run import open_ranges
from services.backfill.topics import PartitionTopics, Range, Ranges
from services.kafka_client.messages import Record
from services.repair.history import MARGIN_S
from stream.queries import Query
from stream.windows.layout import STRATUM_WIDTH, add_into
from stream.windows.records import PaneSum

AT_ONCE: Final = 2_000
NEVER_A_NAME: Final = "(preview)"
"""The name of the query: none that is watched can have it."""
_EVERYTHING: Final = (1 << 53) - 1


@dataclass(slots=True)
class QueryPreview:
    """What was found.

    Attributes:
        begin_s: The start of the first pane that is whole, seconds since 1970.
        looked_at: Posts that were looked at.
        panes: Start (s) -> what the query would have in it.
    """

    begin_s: int
    looked_at: int = 0
    panes: dict[int, PaneSum] = field(default_factory=dict[int, PaneSum])


def preview(
    topics: Mapping[int, PartitionTopics], matcher: PastMatcher, begin_s: int
) -> QueryPreview:
    """Fold what the topics hold: what a window would have, were the query there.

    Args:
        topics: Partition -> its topics, from where they are to be read on.
        matcher: The expression.
        begin_s: Panes that start before this are left out.
    """
    found, authors = QueryPreview(begin_s), dict[int, set[str]]()
    for partition in topics.values():
        partition.update()
        scorings = partition.scorings(-1, _EVERYTHING)
        while some := list(islice(scorings, AT_ONCE)):
            found.looked_at += len(some)
            texts = partition.texts(some)
            added = matcher.past_posts(some, texts, partition.history, _EVERYTHING, begin_s)
            for _, post in added:
                pane = found.panes.setdefault(post.start_s, PaneSum())
                if post.author:
                    authors.setdefault(post.start_s, set()).add(post.author)
                if post.counts:
                    add_into(pane.counters, post.counters)
                    row = pane.strata.setdefault(post.stratum, [0] * STRATUM_WIDTH)
                    add_into(row, post.counters[:STRATUM_WIDTH])
    for start_s, who in authors.items():
        found.panes[start_s].authors = len(who)
    return found


class TimedRange(Range, Protocol):
    """A partition that knows when its records were written."""

    def since(self, at_ms: int) -> int:
        """Return the offset of the first record of a time or later; the end if there is none."""
        ...


class Since:
    """A partition of a topic from an offset on; satisfies `services.backfill.topics.Range`."""

    def __init__(self, whole: Range, start: int) -> None:
        self._whole, self._start = whole, start

    def bounds(self) -> tuple[int, int]:
        """See `Range`."""
        begin, end = self._whole.bounds()
        return min(max(begin, self._start), end), end

    def read(self, start: int, stop: int) -> Iterator[Record]:
        """See `Range`."""
        return self._whole.read(max(start, self._start), stop)


def _begin(posts: Sequence[TimedRange], begin_ms: int, most: int) -> tuple[int, bool]:
    """Return from when on all partitions are looked at (ms since 1970), and whether that is all.

    Args:
        posts: The partitions of the topic.
        begin_ms: Not before, ms since 1970.
        most: So many posts of each are looked at, at most.
    """
    firsts = [max(one.since(begin_ms), one.bounds()[1] - most) for one in posts]
    some = (next(one.read(at, at + 1), None) for one, at in zip(posts, firsts, strict=True))
    written = [record.timestamp_ms for record in some if record is not None]
    if any(at > 0 for at in firsts):
        return max([begin_ms, *written]), False
    return min(written, default=begin_ms), True  # nothing was written before: all panes are whole


async def preview_now(
    settings: Settings, query: Query, partitions: int, now_ms: int, last_s: int, most: int
) -> QueryPreview:
    """Return what a query would have had in the last seconds, or posts, whichever are fewer.

    Args:
        settings: Where the topics are.
        query: Its name is no matter.
        partitions: How many partitions the topics have.
        now_ms: The present time, ms since 1970.
        last_s: So far back, seconds.
        most: So many posts are looked at, at most.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    pane_s = settings.windows.pane_s
    begin_ms = now_ms - 1000 * (last_s + MARGIN_S)
    async with AsyncExitStack() as held:
        found = [open_ranges(settings, number, held) for number in range(partitions)]
        begin_ms, is_all = _begin([posts for posts, *_ in found], begin_ms, most // partitions)
        topics = {
            number: PartitionTopics(
                Ranges(*(Since(one, one.since(begin_ms)) for one in ranges)),
                settings.windows.correction_horizon_s,
            )
            for number, ranges in enumerate(found)
        }
        begin_s = (begin_ms // 1000 + MARGIN_S) // pane_s * pane_s + pane_s
        if is_all:
            begin_s = (begin_ms // 1000 - MARGIN_S) // pane_s * pane_s
        matcher = PastMatcher(replace(query, name=NEVER_A_NAME), settings.ingest.author_key)
        return preview(topics, matcher, begin_s)
