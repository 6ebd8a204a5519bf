"""The dashboard *conversation*: how much is said of a query, in what mood, by whom, to what end.

Everything is of closed panes, so a point is right when it is drawn; a correction moves later ones.
"""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, timeseries
from grafana_foundation_sdk.models import dashboard as models

from core.colours import CLASSES, NOTABLE_SENTIMENT
from dashboards.console_links import chosen_query_link
from dashboards.head_panels import (
    CHOSEN,
    MOST,
    counters,
    emotions,
    mobilisation,
    other_heads,
    participation,
    problem,
    ready,
    sentiments,
)
from dashboards.names import METRICS, name_of, series
from dashboards.reach_panels import (
    budget,
    first_posts,
    furthest_queries,
    largest_reach,
    ranked,
    taking_off,
)
from dashboards.reply_panels import conversation_crowds, turned, turns_told
from dashboards.shapes import (
    COUNT,
    SECONDS,
    SHARE,
    SOURCE,
    board,
    fixed,
    lines,
    number,
    thresholds,
)

CONFIDENCE: Final = 1.96
"""Standard errors on either side of a mean that hold it 95 times of a hundred."""

ANNOTATION_FORMAT: Final = {
    "titleFormat": "{{kind}} {{direction}}",
    "tagKeys": "query,kind,direction",
    "textFormat": "A shift of {{query}} fires: what it says is in Alertmanager.",
    "step": "15s",
}

_BAND: Final = CLASSES["sentiment"]["neutral"]
_NAMED: Final = 'query!="all"'


def posts() -> stat.Panel:
    return number(
        "Posts in the last pane",
        "Of the chosen query.",
        COUNT,
        (series(METRICS.window_posts, CHOSEN), ""),
        span=6,
    )


def authors() -> stat.Panel:
    return number(
        "Authors in the last pane",
        "Unique, estimated to 0.8 %.",
        COUNT,
        (series(METRICS.window_authors, CHOSEN), ""),
        span=6,
    )


def mood() -> stat.Panel:
    colours = CLASSES["sentiment"]
    panel = number(
        "Sentiment of the last pane",
        "Mean of rated posts, from -1 to 1.",
        COUNT,
        (series(METRICS.window_sentiment, CHOSEN), ""),
        span=6,
    )
    return panel.thresholds(
        thresholds(
            [
                (None, colours["negative"]),
                (-NOTABLE_SENTIMENT, "text"),
                (NOTABLE_SENTIMENT, colours["positive"]),
            ]
        )
    )


def behind() -> stat.Panel:
    return number(
        "Last pane ended",
        "Seconds ago: a pane, the allowed lateness and a little; of a replay, years.",
        SECONDS,
        (f"time() - max({series(METRICS.window_end_seconds)})", ""),
        span=6,
    )


def volume() -> timeseries.Panel:
    return lines(
        "Volume",
        "Posts and unique authors in each pane of the chosen query.",
        COUNT,
        (series(METRICS.window_posts, CHOSEN), "posts"),
        (series(METRICS.window_authors, CHOSEN), "authors"),
        span=12,
    )


def busiest() -> timeseries.Panel:
    return lines(
        "Busiest queries",
        f"Posts in each pane of the {MOST} queries that have most now.",
        COUNT,
        (f"topk({MOST}, {series(METRICS.window_posts, _NAMED)})", "{{query}}"),
        span=12,
    )


def sentiment() -> timeseries.Panel:
    mean = series(METRICS.window_sentiment, CHOSEN)
    half = f"{CONFIDENCE} * {series(METRICS.window_sentiment_stderr, CHOSEN)}"
    panel = lines(
        "Sentiment with confidence band",
        "Mean sentiment, and the band that holds it 95 times of a hundred. Bands that do not "
        "overlap differ; a wide one means few posts.",
        COUNT,
        (mean, "mean"),
        (f"{mean} + {half}", "upper"),
        (f"{mean} - {half}", "lower"),
        span=12,
    )
    return (
        _around_zero(panel)
        .override_by_name("upper", _band_edge(fill_below_to="lower"))
        .override_by_name("lower", _band_edge())
        .override_by_name("mean", [fixed("text")])
    )


def _around_zero(panel: timeseries.Panel) -> timeseries.Panel:
    """Put 0 into the middle; noise of a hundredth must not fill the height."""
    return panel.axis_soft_min(-0.2).axis_soft_max(0.2).axis_centered_zero(True)


def _band_edge(fill_below_to: str = "") -> list[models.DynamicConfigValue]:
    """Return how an edge of the band is drawn: no line, perhaps a fill down to the other."""
    properties = [models.DynamicConfigValue(id_val="custom.lineWidth", value=0), fixed(_BAND)]
    if fill_below_to:
        properties += [
            models.DynamicConfigValue(id_val="custom.fillBelowTo", value=fill_below_to),
            models.DynamicConfigValue(id_val="custom.fillOpacity", value=20),
        ]
    return properties


def moods() -> timeseries.Panel:
    mean = series(METRICS.window_sentiment, _NAMED)
    panel = lines(
        "Sentiment of the busiest queries",
        f"Mean sentiment of the {MOST} queries that have most posts now.",
        COUNT,
        (
            f"{mean} and on (query) topk({MOST}, {series(METRICS.window_posts, _NAMED)})",
            "{{query}}",
        ),
        span=12,
    )
    return _around_zero(panel)


def _mix(title: str, by: str) -> timeseries.Panel:
    selected = series(METRICS.window_mix_posts, f'{CHOSEN}, by="{by}"')
    return lines(
        title,
        f"Posts of each pane of the chosen query by {by}; the {MOST} largest.",
        COUNT,
        (f"topk({MOST}, {selected})", "{{value}}"),
        span=6,
        stacked=True,
    )


def languages() -> timeseries.Panel:
    return _mix("Languages", "language")


def sources() -> timeseries.Panel:
    return _mix("Sources", "source")


def topics() -> timeseries.Panel:
    return _mix("Topics", "topic")


def strata() -> timeseries.Panel:
    return _mix("Strata", "stratum")


def copies() -> timeseries.Panel:
    return lines(
        "Copied text",
        "Share of posts that repeat another of the same source, to the letter or nearly.",
        SHARE,
        (series(METRICS.window_near_duplicate_share, CHOSEN), "{{query}}"),
        span=12,
    )


def most_copied() -> timeseries.Panel:
    return lines(
        "Most copied queries",
        f"Share of copies in the {MOST} queries where it is largest.",
        SHARE,
        (f"topk({MOST}, {series(METRICS.window_near_duplicate_share, _NAMED)})", "{{query}}"),
        span=12,
    )


ROWS: Final = {
    "Now": (posts, authors, mood, behind),
    "Volume": (volume, busiest),
    "Sentiment": (sentiment, moods, sentiments, emotions),
    "Mix": (languages, sources, topics, strata),
    "Participation": (mobilisation, participation, ready, problem),
    "What takes off": (
        largest_reach,
        ranked,
        taking_off,
        budget,
        first_posts,
        furthest_queries,
    ),
    "How crowds answer": (turned, turns_told, conversation_crowds),
    "Copies": (copies, most_copied),
    "Further": (other_heads, counters),
}
"""Row -> its panels, from left to right."""


def _chosen_query() -> dashboard.QueryVariable:
    """The query that most panels are of; `all` when the page is opened."""
    return (
        dashboard.QueryVariable("query")
        .label("Query")
        .datasource(SOURCE)
        .query(f"label_values({name_of(METRICS.window_posts)}, query)")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .current(models.VariableOption(text="all", value="all", selected=True))
    )


def _shifts() -> dashboard.AnnotationQuery:
    """The times in which a shift of the chosen query fires, drawn into every panel."""
    return (
        dashboard.AnnotationQuery()
        .name("Shifts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(series(METRICS.shift_firing, CHOSEN))
    )


def make() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = (
        board(
            "Groundswell conversation",
            "groundswell-conversation",
            "How much is said of a query, in what mood, by whom, and to what end.",
            chosen_query_link(),
        )
        .with_variable(_chosen_query())
        .annotation(_shifts())
    )
    for title, panels in ROWS.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel())
    return made
