"""The dashboard *alerts*: what fires, of the public and of ourselves, and does it reach people."""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, timeseries

from dashboards.names import METRICS, name_of, quantile, rate, series
from dashboards.shapes import COUNT, PER_SECOND, SECONDS, board, lines, number

_FIRING: Final = 'ALERTS{alertstate="firing", alertname=~"Groundswell.*"}'
"""Prometheus has series of alerts by rules; shifts go from the closer to Alertmanager directly."""


def _or_none(promql: str) -> str:
    """Return 0 where there is nothing to count: no series is the usual, good case here."""
    return f"{promql} or on () vector(0)"


def shifts_now() -> stat.Panel:
    return number(
        "Shifts that fire",
        "Of the public, as the closer judges them.",
        COUNT,
        (_or_none(f"count({series(METRICS.shift_firing)})"), ""),
        span=6,
    )


def ours_now() -> stat.Panel:
    return number(
        "Alerts about ourselves",
        "By Prometheus's rules; each has a page in docs/runbooks.",
        COUNT,
        (_or_none(f"count({_FIRING})"), ""),
        span=6,
        bad_above=1,
    )


def waiting() -> stat.Panel:
    return number(
        "Waiting for Alertmanager",
        "Age of the oldest alert that no Alertmanager has taken.",
        SECONDS,
        (f"max({series(METRICS.alerts_undelivered_seconds)})", ""),
        span=6,
        bad_above=60,
    )


def held_back() -> stat.Panel:
    return number(
        "Shifts held back",
        "Causes for which shifts are neither learnt nor told at present.",
        COUNT,
        (f"sum(max by (cause) ({series(METRICS.shifts_suppressed)}))", ""),
        span=6,
        bad_above=1,
    )


def severity() -> timeseries.Panel:
    return lines(
        "Severity of shifts",
        "From 1, just worth a look, to 10; 0 while none fires.",
        COUNT,
        (
            # The line of nothing is of all posts: it has a query to lead to, as the others have.
            f"{series(METRICS.shift_firing)} or on () "
            'label_replace(vector(0), "query", "all", "", "")',
            "{{query}} {{kind}} {{direction}}",
        ),
        span=12,
    )


def decided() -> timeseries.Panel:
    return lines(
        "Alerts decided in an hour",
        "Begun, grown and ended, by kind.",
        COUNT,
        (
            _or_none(f"sum by (kind, state) (increase({series(METRICS.alerts)}[1h]))"),
            "{{kind}} {{state}}",
        ),
        span=12,
    )


def causes() -> timeseries.Panel:
    return lines(
        "Why shifts are held back",
        "1 while ingest is unhealthy, a source is missing, or the model has just changed.",
        COUNT,
        (f"max by (cause) ({series(METRICS.shifts_suppressed)})", "{{cause}}"),
    )


def judging() -> timeseries.Panel:
    return lines(
        "Judging a pane",
        "How long the windows of a pane take, all queries together.",
        SECONDS,
        (quantile(0.5, METRICS.judge_seconds), "p50"),
        (quantile(0.95, METRICS.judge_seconds), "p95"),
    )


def judged() -> timeseries.Panel:
    return lines(
        "Queries judged",
        "More of them ask for more evidence from each.",
        COUNT,
        (f"max({series(METRICS.judged_queries)})", "queries"),
        (f"sum({series(METRICS.judge_failures)})", "windows that could not be judged"),
    )


def by_layer() -> timeseries.Panel:
    return lines(
        "Alerts about ourselves by layer",
        "Servers first: what follows from them is held back by Alertmanager.",
        COUNT,
        (_or_none(f"count by (layer) ({_FIRING})"), "{{layer}}"),
    )


def by_severity() -> timeseries.Panel:
    return lines(
        "Alerts about ourselves by severity",
        "Firing at each moment.",
        COUNT,
        (_or_none(f"count by (severity) ({_FIRING})"), "{{severity}}"),
    )


def calls() -> timeseries.Panel:
    return lines(
        "Calls of Alertmanager",
        "A firing alert is told again every alerts.resend_s; failed calls are tried again.",
        PER_SECOND,
        (_or_none(rate(METRICS.alertmanager_calls, "outcome")), "{{outcome}}"),
    )


def unpublished() -> timeseries.Panel:
    return lines(
        "Alerts on their way",
        "Decided, not yet acknowledged by Kafka; seconds that Alertmanager has kept us waiting.",
        COUNT,
        (f"max({series(METRICS.alerts_unpublished)})", "waiting for Kafka"),
        (f"max({name_of(METRICS.alerts_undelivered_seconds)})", "waiting for Alertmanager, s"),
        span=12,
    )


def dead_letters() -> timeseries.Panel:
    return lines(
        "Dead letters by reason, five minutes",
        "As the rules see them: what is recorded before it is compared.",
        PER_SECOND,
        (_or_none("reason:groundswell_dead_posts:rate5m"), "{{reason}}"),
        span=12,
    )


ROWS: Final = {
    "Now": (shifts_now, ours_now, waiting, held_back),
    "Shifts": (severity, decided),
    "Judging": (causes, judging, judged),
    "Ourselves": (by_layer, by_severity, calls),
    "On the way": (unpublished, dead_letters),
}
"""Row -> its panels, from left to right."""


def make() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = board(
        "Groundswell alerts",
        "groundswell-alerts",
        "What fires now, of the public and of ourselves, and whether it reaches people.",
    )
    for title, panels in ROWS.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel())
    return made
