"""What the exporter measures of windows and of the machinery."""

from __future__ import annotations

from core.metrics.declared import counter, gauge


class WindowMetrics:
    """What people talk of: the last closed pane."""

    partition_posts = gauge("Records accounted for in the store", "partition", "outcome")
    window_posts = gauge("Posts in the last closed pane", "query")
    window_sentiment = gauge("Mean sentiment (-1..1) of the last closed pane", "query")
    window_sentiment_stderr = gauge("Standard error of window_sentiment", "query")
    window_rated_posts = gauge("Posts with a sentiment in the last closed pane", "query")
    window_sentiment_sum = gauge(
        "Sum of their sentiment: what means over hours are made of", "query"
    )
    window_share = gauge(
        "Expected share of a class in the last closed pane", "query", "head", "label"
    )
    window_corrected_share = gauge(
        "That share, corrected; with windows.corrected_shares only", "query", "head", "label"
    )
    window_corrected_share_lower = gauge(
        "Lower end of the 95 % interval of the corrected share", "query", "head", "label"
    )
    window_corrected_share_upper = gauge(
        "Upper end of the 95 % interval of the corrected share", "query", "head", "label"
    )
    share_correction = gauge(
        "1 while the shares of a head are corrected, 0 while there is no correction that fits",
        "head",
    )
    window_mobilisation = gauge(
        "Expected share of posts at a level of participation or beyond; 20 posts or more only",
        "query", "level",
    )  # fmt: skip
    window_near_duplicate_share = gauge(
        "Share of posts that repeat another, last closed pane", "query"
    )
    window_mix_posts = gauge(
        "Posts in the last closed pane by source, language, topic, stratum", "query", "by", "value"
    )
    window_counter = gauge(
        "A counter without a metric of its own, sum in the last closed pane", "query", "counter"
    )
    window_authors = gauge("Unique authors in the last closed pane", "query")
    window_end_seconds = gauge("End of the last closed pane, seconds since 1970")
    queries_left_out = gauge("Queries beyond exporter.max_queries, not exported")


class ServerMetrics:
    """What the exporter sees of the servers: Redis has no metrics page of its own."""

    lag_posts = gauge("Records written and not yet applied", "topic", "partition")
    lag_seconds = gauge("Age of the oldest record not yet applied, 0 if none", "topic", "partition")
    integrity_gap_posts = gauge(
        "Records applied less those accounted for; not 0: lost (above) or doubled (below)",
        "topic", "partition",
    )  # fmt: skip
    heartbeat_age_seconds = gauge("Now less event time of the last heartbeat counted", "partition")
    broker_up = gauge("1 while Kafka answers the exporter")
    store_up = gauge("1 while Redis answers the exporter")
    store_memory_bytes = gauge("Memory that Redis uses")
    store_memory_limit_bytes = gauge("Redis's maxmemory; 0 is none")
    store_commands = counter("Commands that Redis carried out")
    store_clients = gauge("Connections to Redis")
    store_keys = gauge("Keys in Redis")
    store_evicted_keys = gauge("Keys that Redis threw away for want of memory; must stay 0")
    store_log_ok = gauge("1 while Redis writes its append-only file; 0: off, or the disk is full")
    quarantined = gauge("Stored values that cannot be read and wait for a repair, by kind", "kind")
    store_entries = gauge("Entries that a horizon keeps, over all partitions", "horizon")
