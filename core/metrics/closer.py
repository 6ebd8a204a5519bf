"""What the closer counts."""

from __future__ import annotations

from core.metrics.declared import LATENCY_BUCKETS_S, counter, gauge, histogram


class CloserMetrics:
    """The metrics of a closer."""

    closer_active = gauge("1 while this closer owns `progress`")
    windows_closed = counter("Windows published, revision 0")
    windows_corrected = counter("Corrections published")
    windows_expired = counter("Changed panes that retention took before they were published")
    closer_retries = counter("Times the closer tried again because Kafka or the store was away")
    global_watermark_seconds = gauge("Least watermark of partitions not idle, since 1970")
    idle_partitions = gauge("Partitions left out of it as idle")


class AlertMetrics:
    """What a closer counts of alerts."""

    judge_seconds = histogram("Judging the windows of a pane, all queries", LATENCY_BUCKETS_S)
    alert_state_refused = counter(
        "Stored parts of what is known of alerts that could not be read", "kind"
    )
    judge_failures = counter("Windows that could not be judged; their query starts anew")
    judged_queries = gauge("Queries whose shifts are judged")
    alerts = counter("Alerts decided: begun, grown, ended", "kind", "state")
    shift_firing = gauge("Severity (1-10) of a shift that fires", "query", "kind", "direction")
    shifts_suppressed = gauge("1 while shifts are neither learnt nor told, by cause", "cause")
    alerts_muted = gauge("Shifts that fire and that rules of their queries let nobody be told of")
    alerts_unpublished = gauge("Alerts decided and not yet acknowledged by Kafka")
    alerts_undelivered_seconds = gauge("Age of the oldest alert that no Alertmanager has; or 0")
    alertmanager_calls = counter("Calls of Alertmanagers, by outcome", "outcome")
