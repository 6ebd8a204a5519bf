"""What the console measures of those who ask it."""

from __future__ import annotations

from core.metrics.declared import LATENCY_BUCKETS_S, counter, gauge, histogram


class ConsoleMetrics:
    """The metrics of the console: who asked for what, and what became of it."""

    console_info = gauge("1; where people reach it: dashboards lead there", "address")
    console_requests = counter("Requests answered, by route and status", "route", "status")
    console_refused = counter(
        "Requests refused before they were looked at: host, key, role, origin, rate, size", "cause"
    )
    console_seconds = histogram("From a request to the beginning of its answer", LATENCY_BUCKETS_S)
    console_sessions = gauge("Browsers that are signed in")
    console_streams_cut = counter("Answers that broke off: what they are made of went away")
