"""The panels of the dashboard *conversation* that show how far posts are expected to go.

Numbers and ranks only: which posts they are, the records of `forecasts` and `events` say.
"""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import stat, timeseries

from dashboards.head_panels import CHOSEN, MOST
from dashboards.names import METRICS, series
from dashboards.shapes import COUNT, lines, number

RANKS: Final = 5
"""Of a query's posts in each partition, as many as are exported."""

_BELIEVE: Final = (
    "Not to be acted on where the source is greyed out: see the page forecast quality."
)
_NOBODY: Final = "no post of this query is tracked: no forecaster runs, or nothing came yet"


def largest_reach() -> stat.Panel:
    return number(
        "Largest predicted reach",
        "Likes, replies and reposts at the horizon of the chosen query's post that is expected to "
        f"go furthest. {_BELIEVE}",
        COUNT,
        (f"max({series(METRICS.predicted_reach, CHOSEN)})", ""),
        span=6,
        nothing=_NOBODY,
    )


def ranked() -> stat.Panel:
    return number(
        "Posts ranked by reach",
        "Posts of the chosen query that are still going, at most forecasts.top_posts in each "
        "partition.",
        COUNT,
        (f"sum({series(METRICS.ranked_posts, CHOSEN)})", ""),
        span=6,
        nothing=_NOBODY,
    )


def taking_off() -> stat.Panel:
    return number(
        "Taking off now",
        "Posts of the chosen query that have far more by their age than was forecast. Each is an "
        "event of the topic `events`, with its author's normal.",
        COUNT,
        (f"sum({series(METRICS.forecast_events_firing, CHOSEN)})", ""),
        span=6,
        nothing=_NOBODY,
    )


def budget() -> stat.Panel:
    left = f"sum(increase({series(METRICS.forecast_events_over_budget, CHOSEN)}[1h]))"
    return number(
        "Said and held back in an hour",
        "Events of the chosen query in the last hour, which forecasts.events_per_hour bounds, "
        "and times that one was held back by that.",
        COUNT,
        (f"sum({series(METRICS.forecast_event_budget_used, CHOSEN)})", "said"),
        (f"{left} or on () vector(0)", "held back"),
        span=6,
        nothing=_NOBODY,
    )


def first_posts() -> timeseries.Panel:
    return lines(
        "Predicted reach of the first posts",
        f"Of the {RANKS} posts of the chosen query that are expected to go furthest; a line is a "
        f"rank in a partition, not a post. {_BELIEVE}",
        COUNT,
        (
            f"topk({RANKS}, {series(METRICS.predicted_reach, CHOSEN)})",
            "rank {{rank}} of partition {{partition}}",
        ),
        span=12,
        nothing=_NOBODY,
    )


def furthest_queries() -> timeseries.Panel:
    named = series(METRICS.predicted_reach, 'query!="all"')
    return lines(
        "Queries by predicted reach",
        f"The {MOST} queries whose first post is expected to go furthest. {_BELIEVE}",
        COUNT,
        (f"topk({MOST}, max by (query) ({named}))", "{{query}}"),
        span=12,
        nothing="no post of a query is tracked: no forecaster runs, or nothing came yet",
    )
