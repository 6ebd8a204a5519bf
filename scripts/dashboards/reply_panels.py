"""The panels of *forecasts* about the responder: what it shows, what it leaves out, its lag."""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries

from dashboards.names import METRICS, rate, series
from dashboards.shapes import PER_SECOND, SECONDS, lines


def _or_none(promql: str) -> str:
    """Return 0 where nothing has been counted yet."""
    return f"{promql} or on () vector(0)"


def told() -> timeseries.Panel:
    return lines(
        "Replies shown",
        "In responses as they are told: real, quoted of similar past events, generated.",
        PER_SECOND,
        (_or_none(rate(METRICS.response_replies, "kind")), "{{kind}}"),
    )


def left_out() -> timeseries.Panel:
    return lines(
        "Responses: left out",
        "Events not followed, and quotes and generated replies that there are none of, by reason.",
        PER_SECOND,
        (_or_none(rate(METRICS.response_left_out, "what, reason")), "{{what}} {{reason}}"),
    )


def lag() -> timeseries.Panel:
    return lines(
        "Responder lag",
        "Age of the oldest record not yet taken: so late deleted texts go.",
        SECONDS,
        (f"max by (topic) ({series(METRICS.responder_lag_seconds)})", "{{topic}}"),
        nothing="no responder runs",
    )
