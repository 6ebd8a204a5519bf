"""Heartbeats: posts of our own that show that the stream is alive, and the rule that hides them.

A heartbeat is a post like any other to Kafka, the decoder, the dedupe, the scorer, `scored-posts`
and the apply. It differs in four ways, all of them here:

- it matches one query only, `QUERY`, which no reader of panes is shown (`RedisStore.panes`), and
  not `all`: nobody's counts, mix or authors have it;
- it says nothing about event time, so it moves no watermark: else one would make a replay of last
  year late. It falls into the pane where the stream is;
- it is no sign of life of its partition's posts, so it keeps no idle partition from being idle
  (`Outcome.is_only_heartbeats`, `activity`);
- it is accounted for by a total of its own, `TOTAL`.

Why so: docs/decisions, "Heartbeats".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from core.schemas import Post
from stream.store.increments import PartitionState
from stream.topics import POSTS
from stream.windows.records import HEARTBEAT_QUERY
from stream.windows.watermark import PartitionWatermark
from stream.worker.intake import AcceptedPosts, id_hash

SOURCE: Final = "heartbeat"
"""`Post.source` of heartbeats; no source may be registered under it."""

QUERY: Final = HEARTBEAT_QUERY
"""The query that heartbeats match; a catalog refuses the name."""

TOTAL: Final = "heartbeats"
"""The partition's running total of heartbeats applied."""


def post_id(partition: int, at_s: int) -> str:
    """Return the id of a partition's heartbeat: whoever knows its time can look for it.

    Example:
        >>> post_id(3, 1_700_000_000)
        '3-1700000000'
    """
    return f"{partition}-{at_s}"


def hashed(beat_id: str) -> bytes:
    """Return the hash under which the store remembers a heartbeat."""
    return id_hash(SOURCE, beat_id)


def count(posts: Sequence[Post]) -> int:
    """Return how many of the posts are heartbeats."""
    return sum(post.source == SOURCE for post in posts)


def activity(state: PartitionState) -> int:
    """Return a number that rises with the records of `posts`, but not with heartbeats."""
    return state.cursors[POSTS] - state.totals.get(TOTAL, 0)


def advance(run: AcceptedPosts, watermark: PartitionWatermark) -> dict[int, bool]:
    """Move the watermark by the posts of a run, and place its heartbeats where the stream is then.

    Which pane that is depends on the records before a heartbeat only, so a replay of the partition
    finds the same one, whatever the batches.

    Returns:
        Row of each heartbeat -> whether it has a pane: before the first post there is none.
    """
    placed: dict[int, bool] = {}
    for row, event_ms in enumerate(run.event_ms):
        if run.posts[row].source != SOURCE:
            # A claim of the future (clamped to a minute ahead) is no sign that the present is over.
            watermark.advance(min(event_ms, run.ingested_ms[row]))
            continue
        placed[row] = watermark.newest_ms >= 0
        if placed[row]:
            run.event_ms[row] = watermark.newest_ms
    return placed


def set_apart(
    matches: Sequence[tuple[int, ...]], names: Sequence[str], placed: Mapping[int, bool]
) -> tuple[list[tuple[int, ...]], tuple[str, ...]]:
    """Return matches and names in which heartbeats match `QUERY` alone, or nothing without a pane.

    Args:
        matches: (B,) indices into `names` for each post.
        names: of the queries that people watch.
        placed: as `advance` returned it.

    Example:
        >>> set_apart([(0, 1), (0,)], ("all", "trains"), {1: True})
        ([(0, 1), (2,)], ('all', 'trains', 'heartbeat'))
    """
    kept = list(matches)
    for row, has_pane in placed.items():
        kept[row] = (len(names),) if has_pane else ()
    return kept, (*names, QUERY)
