"""The dashboard *sources*: does every source speak, how late are we, and what was missed.

Sessions and gaps are of sources that read a network; recorded and made-up ones have none.
"""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, timeseries
from prometheus_client import Counter

from dashboards.names import METRICS, quantile, rate, series
from dashboards.shapes import COUNT, PER_SECOND, SECONDS, SHARE, board, lines, number

_OF_PEOPLE: Final = 'source!="heartbeat"'
_BY_SOURCE: Final = "{{source}}"
_BY_CAUSE: Final = "{{source}}: {{cause}}"


def _per_source(counter: Counter) -> str:
    return rate(counter, "source", _OF_PEOPLE)


def delivering() -> stat.Panel:
    return number(
        "Delivering",
        "1 while ingest polls the source.",
        COUNT,
        (f"min by (source) ({series(METRICS.source_up, _OF_PEOPLE)})", _BY_SOURCE),
        bad_below=1,
        span=6,
    )


def connected() -> stat.Panel:
    return number(
        "Connected",
        "1 while a session with the platform is open; 0 between two.",
        COUNT,
        (f"min by (source) ({series(METRICS.source_connected)})", _BY_SOURCE),
        bad_below=1,
        span=6,
    )


def behind() -> stat.Panel:
    return number(
        "Behind the platform",
        "How far the stream's own time is behind the present where we read.",
        SECONDS,
        (f"max by (source) ({series(METRICS.source_position_lag_seconds)})", _BY_SOURCE),
        bad_above=60,
        span=6,
    )


def missed() -> stat.Panel:
    return number(
        "Missed today",
        "Time of the streams that was missed for good in the last day.",
        SECONDS,
        (f"sum by (source) (increase({series(METRICS.source_gap_seconds)}[1d]))", _BY_SOURCE),
        bad_above=1,
        span=6,
    )


def posts() -> timeseries.Panel:
    return lines(
        "Items taken",
        "Posts, events and broken items that ingest takes from each source.",
        PER_SECOND,
        (_per_source(METRICS.posts_in), _BY_SOURCE),
    )


def messages() -> timeseries.Panel:
    return lines(
        "Messages of the platform",
        "Received; of those none of ours, and come again after a reconnect.",
        PER_SECOND,
        (_per_source(METRICS.source_messages), f"{_BY_SOURCE}: received"),
        (_per_source(METRICS.source_items_ignored), f"{_BY_SOURCE}: none of ours"),
        (_per_source(METRICS.source_duplicates), f"{_BY_SOURCE}: again"),
    )


def acknowledged() -> timeseries.Panel:
    return lines(
        "Acknowledged by Kafka",
        "Posts that are safe; the cursor of a source follows them.",
        PER_SECOND,
        (_per_source(METRICS.posts_acknowledged), _BY_SOURCE),
    )


def lateness() -> timeseries.Panel:
    return lines(
        "Age of posts",
        "Ingest time less the time that the author's platform claims, of the last post.",
        SECONDS,
        (f"max by (source) ({series(METRICS.source_lag_seconds, _OF_PEOPLE)})", _BY_SOURCE),
    )


def position() -> timeseries.Panel:
    return lines(
        "Position in the stream",
        "How far we are behind; falls after a reconnect while the source catches up.",
        SECONDS,
        (f"max by (source) ({series(METRICS.source_position_lag_seconds)})", _BY_SOURCE),
    )


def buffers() -> timeseries.Panel:
    return lines(
        "Buffers",
        "Items read and not taken, posts sent and not acknowledged.",
        COUNT,
        (f"max by (source) ({series(METRICS.source_buffered_items)})", f"{_BY_SOURCE}: read"),
        (f"sum({series(METRICS.ingest_buffered_posts)})", "sent"),
    )


def gaps() -> timeseries.Panel:
    return lines(
        "Gaps",
        "Times that something was missed for good, and items that found no room, a second.",
        PER_SECOND,
        (rate(METRICS.source_gaps, "source, cause"), _BY_CAUSE),
        (_per_source(METRICS.source_gap_items), f"{_BY_SOURCE}: items without room"),
    )


def reconnects() -> timeseries.Panel:
    return lines(
        "Sessions ended",
        "By why; each is followed by another, from the cursor.",
        PER_SECOND,
        (rate(METRICS.source_reconnects, "source, cause"), _BY_CAUSE),
    )


def patience() -> timeseries.Panel:
    return lines(
        "Patience",
        "Silence after which a session is given up; it follows the rhythm of the stream.",
        SECONDS,
        (f"max by (source) ({series(METRICS.source_idle_limit_seconds)})", _BY_SOURCE),
    )


def slowed() -> timeseries.Panel:
    return lines(
        "Slowed",
        "Times the reader stopped, or the source was not polled, for want of room.",
        PER_SECOND,
        (_per_source(METRICS.source_reader_waits), f"{_BY_SOURCE}: reader"),
        (_per_source(METRICS.ingest_waits), f"{_BY_SOURCE}: polling"),
    )


def unmappable() -> timeseries.Panel:
    taken = _per_source(METRICS.posts_in)
    return lines(
        "Unmappable",
        "Share of items that could not become a post; the bytes are in dead-posts.",
        SHARE,
        (f"{_per_source(METRICS.source_items_unmappable)} / {taken}", _BY_SOURCE),
    )


def copies() -> timeseries.Panel:
    return lines(
        "Near-duplicates",
        "Share of posts that repeat another of the same source, to the letter or nearly.",
        SHARE,
        (
            f"{_per_source(METRICS.source_near_duplicates)} / {_per_source(METRICS.posts_in)}",
            _BY_SOURCE,
        ),
    )


def languages() -> timeseries.Panel:
    return lines(
        "Languages",
        "Texts whose language the source told, we detected, or nobody knows.",
        PER_SECOND,
        (
            rate(METRICS.source_languages, "source, found", _OF_PEOPLE),
            f"{_BY_SOURCE}: {{{{found}}}}",
        ),
    )


def removal() -> timeseries.Panel:
    return lines(
        "Removal of deleted posts",
        "From taking a deletion to the removal of what its post added. At most 5 s (p99).",
        SECONDS,
        *((quantile(q, METRICS.removal_latency_seconds), f"p{q * 100:.0f}") for q in (0.5, 0.99)),
    )


ROWS: Final = {
    "Now": (delivering, connected, behind, missed),
    "Flow": (posts, messages, acknowledged, lateness, position, buffers),
    "Holes": (gaps, reconnects, patience),
    "Content": (unmappable, copies, languages),
    "Pressure and deletions": (slowed, removal),
}
"""Row -> its panels, from left to right."""


def make() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = board(
        "Groundswell sources",
        "groundswell-sources",
        "Does every source speak, how late are we, and what was missed.",
    )
    for title, panels in ROWS.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel())
    return made
