"""Heartbeats: posts of our own that show that the stream is alive, and the rule that hides them.

A heartbeat is a post like any other to Kafka, the decoder, the dedupe, the scorer, `scored-posts`
and the apply. It differs in four ways:

- it matches one query only, `QUERY`, which no reader of panes is shown (`RedisStore.panes`), and
  not `all`: nobody's counts, mix or authors have it;
- it says nothing about event time, so it moves no watermark: else one would make a replay of last
  year late. It falls into the pane where the stream is;
- it is no sign of life of its partition's posts, so it keeps no idle partition from being idle
  (`activity`, and `SendProgress` of the worker's chain);
- it is accounted for by a total of its own, `TOTAL`.

Why so: docs/decisions, "Heartbeats".
"""

from __future__ import annotations

from typing import Final

from stream.store.ids import id_hash
from stream.store.increments import PartitionState
from stream.topics import POSTS
from stream.windows.records import HEARTBEAT_QUERY

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


def activity(state: PartitionState) -> int:
    """Return a number that rises with the records of `posts`, but not with heartbeats."""
    return state.cursors[POSTS] - state.totals.get(TOTAL, 0)
