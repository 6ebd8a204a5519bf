"""The dashboard *pipeline*: is every post on its way, how late is it, and what holds it up."""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, timeseries

from dashboards import servers
from dashboards.names import METRICS, quantile, rate, series
from dashboards.shapes import COUNT, PER_SECOND, SECONDS, board, lines, number

_OF_PEOPLE: Final = 'source!="heartbeat"'
_LEVELS: Final = (0.5, 0.95, 0.99)
_PLACE: Final = "{{topic}} {{partition}}"


def heartbeat_age() -> stat.Panel:
    return number(
        "Heartbeat age",
        "Seconds since a post of our own was last counted, in the slowest partition.",
        SECONDS,
        (f"max({series(METRICS.heartbeat_age_seconds)})", ""),
        bad_above=30,
    )


def oldest_unapplied() -> stat.Panel:
    return number(
        "Lag",
        "Age of the oldest record that is written and not yet applied.",
        SECONDS,
        (f"max({series(METRICS.lag_seconds)})", ""),
        bad_above=60,
    )


def integrity() -> stat.Panel:
    return number(
        "Integrity",
        "Records lost or counted twice, over all partitions. Anything but 0 is a defect.",
        COUNT,
        (f"sum(abs({series(METRICS.integrity_gap_posts)}))", ""),
        bad_above=1,
    )


def dead_per_minute() -> stat.Panel:
    return number(
        "Dead letters a minute",
        "Messages that could not be used.",
        COUNT,
        (f"60 * {rate(METRICS.dead_posts)}", ""),
    )


def answering() -> stat.Panel:
    return number(
        "Answering",
        "1 while Kafka and Redis answer the exporter, and the scorer every worker.",
        COUNT,
        (f"min({series(METRICS.broker_up)})", "Kafka"),
        (f"min({series(METRICS.store_up)})", "Redis"),
        (f"min({series(METRICS.scorer_up)})", "scorer"),
        bad_below=1,
    )


def closers() -> stat.Panel:
    return number(
        "Active closers",
        "Exactly one; none for a few seconds while another takes over.",
        COUNT,
        (f"sum({series(METRICS.closer_active)})", ""),
        bad_below=1,
    )


def stages() -> timeseries.Panel:
    return lines(
        "Posts by stage",
        "The four lines lie on each other while nothing piles up.",
        PER_SECOND,
        (rate(METRICS.posts_acknowledged, where=_OF_PEOPLE), "acknowledged by Kafka"),
        (rate(METRICS.records_fetched, where='topic="posts"'), "fetched"),
        (rate(METRICS.scored_posts_out), "scored"),
        (rate(METRICS.posts_applied), "counted"),
        span=12,
    )


def sources() -> timeseries.Panel:
    return lines(
        "Posts in by source",
        "What ingest takes from each source.",
        PER_SECOND,
        (rate(METRICS.posts_in, "source"), "{{source}}"),
        span=6,
    )


def events() -> timeseries.Panel:
    return lines(
        "Edits, deletions, reactions",
        "Post events applied, by kind.",
        PER_SECOND,
        (rate(METRICS.events_applied, "kind"), "{{kind}}"),
        span=6,
    )


def lag_posts() -> timeseries.Panel:
    return lines(
        "Lag in posts",
        "Records written and not yet applied, from Kafka's ends and the store's cursors.",
        COUNT,
        (f"max by (topic, partition) ({series(METRICS.lag_posts)})", _PLACE),
    )


def lag_seconds() -> timeseries.Panel:
    return lines(
        "Lag in seconds",
        "Age of the oldest record that is written and not yet applied.",
        SECONDS,
        (f"max by (topic, partition) ({series(METRICS.lag_seconds)})", _PLACE),
    )


def watermark_lag() -> timeseries.Panel:
    return lines(
        "Watermark lag",
        "Now less watermark: allowed lateness and a little, or the age of what is replayed.",
        SECONDS,
        (
            f"time() - max by (partition) ({series(METRICS.watermark_seconds)})",
            "partition {{partition}}",
        ),
        (f"time() - max({series(METRICS.global_watermark_seconds)})", "global"),
    )


def latency() -> timeseries.Panel:
    return lines(
        "Latency until counted",
        "From ingest to counted in its pane.",
        SECONDS,
        *(
            (quantile(q, METRICS.count_latency_seconds), f"p{q * 100:.0f}")
            for q in (0.5, 0.95, 0.99)
        ),
    )


def heartbeats() -> timeseries.Panel:
    return lines(
        "Heartbeat age by partition",
        "A saw of a few seconds; a line that rises is a partition where nothing moves.",
        SECONDS,
        (
            f"max by (partition) ({series(METRICS.heartbeat_age_seconds)})",
            "partition {{partition}}",
        ),
    )


def windows() -> timeseries.Panel:
    return lines(
        "Windows published",
        "First closings, and corrections by late posts, edits and deletions.",
        PER_SECOND,
        (rate(METRICS.windows_closed), "closed"),
        (rate(METRICS.windows_corrected), "corrected"),
        (rate(METRICS.windows_expired), "expired unpublished"),
    )


def dead_by_reason() -> timeseries.Panel:
    return lines(
        "Dead letters by reason",
        "What could not be used, and why; the bytes are in the topic dead-posts.",
        PER_SECOND,
        (f"{rate(METRICS.dead_posts, 'reason, stage')} > 0", "{{reason}} ({{stage}})"),
        span=6,
    )


def account() -> timeseries.Panel:
    return lines(
        "Account of records",
        "Everything applied, by what became of it, since the store was empty.",
        COUNT,
        (f"sum by (outcome) ({series(METRICS.partition_posts)})", "{{outcome}}"),
        span=6,
    )


def integrity_by_partition() -> timeseries.Panel:
    return lines(
        "Integrity by partition",
        "Applied less accounted for: above 0 lost, below 0 doubled.",
        COUNT,
        (f"max by (topic, partition) ({series(METRICS.integrity_gap_posts)})", _PLACE),
        span=6,
    )


def recoveries() -> timeseries.Panel:
    return lines(
        "Refusals, seeks, gaps",
        "Applies refused because the cursor had moved, seeks to it, offsets no longer held.",
        PER_SECOND,
        (rate(METRICS.posts_refused), "applies refused"),
        (rate(METRICS.seeks, "cause"), "seeks: {{cause}}"),
        (rate(METRICS.offset_gap_posts), "offsets lost to retention"),
        span=6,
    )


ROWS: Final = {
    "At a glance": (
        heartbeat_age, oldest_unapplied, integrity, dead_per_minute, answering, closers,
    ),
    "Rates": (stages, sources, events),
    "Lateness": (lag_posts, lag_seconds, latency, watermark_lag, heartbeats, windows),
    "Scoring": (
        servers.batch_size, servers.scorer_latency, servers.in_flight,
        servers.triton_times, servers.triton_rates, servers.triton_pending,
        servers.servers_in_use, servers.servers_load,
    ),
    "Shadow": (servers.shadow_distance, servers.shadow_labels, servers.shadow_latency),
    "Dead letters and integrity": (dead_by_reason, account, integrity_by_partition, recoveries),
    "Redis": (
        servers.redis_memory, servers.redis_commands, servers.redis_entries, servers.redis_health,
    ),
    "Processes": (servers.cpu, servers.memory, servers.versions),
}  # fmt: skip
"""Row -> its panels, from left to right."""


def make() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = board(
        "Groundswell pipeline",
        "groundswell-pipeline",
        "Is every post on its way, how late is it, and what holds it up.",
    )
    for title, panels in ROWS.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel())
    return made
