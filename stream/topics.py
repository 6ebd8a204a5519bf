"""One table: every topic, what it is keyed by, how long it keeps, what it carries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is made.

    Attributes:
        name: the topic's name.
        key: what its records are keyed by, in words.
        partitions: a fixed number, or None for `kafka.partitions`.
        retention_ms: how long records are kept; -1 for ever (compacted topics).
        compacted: keep the last record of each key instead of the last days.
        schema: name in `core.schemas.SCHEMAS`.
    """

    name: str
    key: str
    partitions: int | None
    retention_ms: int
    compacted: bool
    schema: str


POSTS: Final = "posts"
POST_EVENTS: Final = "post-events"
SCORED_POSTS: Final = "scored-posts"
PROGRESS: Final = "progress"
WINDOWS: Final = "windows"
ALERTS: Final = "alerts"
DEAD_POSTS: Final = "dead-posts"
FORECASTS: Final = "forecasts"
EVENTS: Final = "events"
RESPONSES: Final = "responses"

SOURCE_PARTITION_HEADER: Final = "source-partition"
SOURCE_OFFSET_HEADER: Final = "source-offset"
SOURCE_TOPIC_HEADER: Final = "source-topic"
_MAX_OFFSET_DIGITS: Final = 19
"""Of 63 bits; Python refuses to read a number of thousands of digits."""

TOPICS: Final[dict[str, TopicSpec]] = {
    spec.name: spec
    for spec in (
        # Longer than the store's horizons, so that an emptied store can be rebuilt from here.
        TopicSpec(POSTS, "author", None, 7 * _DAY_MS, False, "post"),
        TopicSpec(POST_EVENTS, "author of the post", None, 7 * _DAY_MS, False, "post-event"),
        TopicSpec(SCORED_POSTS, "author", None, 3 * _DAY_MS, False, "scored-post"),
        # One partition elects one closer: see docs/decisions.
        TopicSpec(PROGRESS, "source partition", 1, _HOUR_MS, False, "progress"),
        TopicSpec(WINDOWS, "query|start", None, -1, True, "window"),
        # One partition: what is said of one query can be read beside what is said of another.
        TopicSpec(ALERTS, "query", 1, 90 * _DAY_MS, False, "alert"),
        TopicSpec(FORECASTS, "author", None, 3 * _DAY_MS, False, "forecast"),
        TopicSpec(EVENTS, "query", 1, 7 * _DAY_MS, False, "forecast-event"),
        # Of what people wrote it has ids alone, so nothing has to be taken back from a log.
        TopicSpec(RESPONSES, "post", 1, 7 * _DAY_MS, False, "response"),
        TopicSpec(DEAD_POSTS, "topic|partition|offset", 1, 30 * _DAY_MS, False, "dead-post"),
    )
}


def source_offset(headers: Iterable[tuple[str, bytes]]) -> int:
    """Return the offset that a record says it was made from, -1 if it is a stranger's.

    Example:
        >>> source_offset([("source-offset", b"12")]), source_offset([("source-offset", b"-3")])
        (12, -1)
    """
    found = dict(headers).get(SOURCE_OFFSET_HEADER, b"")
    return int(found) if found.isdigit() and len(found) <= _MAX_OFFSET_DIGITS else -1
