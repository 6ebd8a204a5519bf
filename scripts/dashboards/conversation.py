"""The dashboard *conversation*: how much is said of a query, in what mood, by whom, to what end.

Everything is of closed panes, so a point is right when it is drawn; a correction moves later ones.
"""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, timeseries
from grafana_foundation_sdk.models import dashboard as models

from core.labels import PARTICIPATION
from dashboards.names import METRICS, name_of, series
from dashboards.shapes import (
    COUNT,
    SECONDS,
    SHARE,
    SOURCE,
    board,
    lines,
    number,
)
from stream.windows.summary import MIN_PARTICIPATION_POSTS

CONFIDENCE: Final = 1.96
"""Standard errors on either side of a mean that hold it 95 times of a hundred."""

READY: Final = "intention"
"""Level of participation from which on people say that they will act, or do."""

ANNOTATION_FORMAT: Final = {
    "titleFormat": "{{kind}} {{direction}}",
    "tagKeys": "query,kind,direction",
    "textFormat": "A shift of {{query}} fires: what it says is in Alertmanager.",
    "step": "15s",
}

_CHOSEN: Final = 'query="$query"'
_NAMED: Final = 'query!="all"'
_MOST: Final = 10


def posts() -> stat.Panel:
    return number(
        "Posts in the last pane",
        "Of the chosen query.",
        COUNT,
        (series(METRICS.window_posts, _CHOSEN), ""),
        span=6,
    )


def authors() -> stat.Panel:
    return number(
        "Authors in the last pane",
        "Unique, estimated to 0.8 %.",
        COUNT,
        (series(METRICS.window_authors, _CHOSEN), ""),
        span=6,
    )


def mood() -> stat.Panel:
    return number(
        "Sentiment of the last pane",
        "Mean of rated posts, from -1 to 1.",
        COUNT,
        (series(METRICS.window_sentiment, _CHOSEN), ""),
        span=6,
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
        (series(METRICS.window_posts, _CHOSEN), "posts"),
        (series(METRICS.window_authors, _CHOSEN), "authors"),
        span=12,
    )


def busiest() -> timeseries.Panel:
    return lines(
        "Busiest queries",
        f"Posts in each pane of the {_MOST} queries that have most now.",
        COUNT,
        (f"topk({_MOST}, {series(METRICS.window_posts, _NAMED)})", "{{query}}"),
        span=12,
    )


def sentiment() -> timeseries.Panel:
    mean = series(METRICS.window_sentiment, _CHOSEN)
    half = f"{CONFIDENCE} * {series(METRICS.window_sentiment_stderr, _CHOSEN)}"
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
        panel.min(-1)
        .max(1)
        .axis_centered_zero(True)
        .override_by_name("upper", _band_edge(fill_below_to="lower"))
        .override_by_name("lower", _band_edge())
    )


def _band_edge(fill_below_to: str = "") -> list[models.DynamicConfigValue]:
    """Return how an edge of the band is drawn: no line, perhaps a fill down to the other."""
    properties = [models.DynamicConfigValue(id_val="custom.lineWidth", value=0)]
    if fill_below_to:
        properties += [
            models.DynamicConfigValue(id_val="custom.fillBelowTo", value=fill_below_to),
            models.DynamicConfigValue(id_val="custom.fillOpacity", value=20),
        ]
    return properties


def moods() -> timeseries.Panel:
    mean = series(METRICS.window_sentiment, _NAMED)
    return lines(
        "Sentiment of the busiest queries",
        f"Mean sentiment of the {_MOST} queries that have most posts now.",
        COUNT,
        (
            f"{mean} and on (query) topk({_MOST}, {series(METRICS.window_posts, _NAMED)})",
            "{{query}}",
        ),
        span=12,
    )


def _shares(title: str, why: str, head: str) -> timeseries.Panel:
    selected = series(METRICS.window_share, f'{_CHOSEN}, head="{head}"')
    panel = lines(title, why, SHARE, (selected, "{{label}}"), span=12, stacked=True)
    return panel.min(0).max(1)


def sentiments() -> timeseries.Panel:
    return _shares("Sentiment classes", "Expected share of each class.", "sentiment")


def emotions() -> timeseries.Panel:
    return _shares(
        "Emotions", "Expected share of each class; empty if the model has no such head.", "emotion"
    )


def _mix(title: str, by: str) -> timeseries.Panel:
    selected = series(METRICS.window_mix_posts, f'{_CHOSEN}, by="{by}"')
    return lines(
        title,
        f"Posts of each pane of the chosen query by {by}; the {_MOST} largest.",
        COUNT,
        (f"topk({_MOST}, {selected})", "{{value}}"),
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


def _of_groups(shares: str) -> str:
    """Return shares only where the pane has posts enough; the exporter holds to it as well."""
    return f"{shares} and on (query) {name_of(METRICS.window_posts)} >= {MIN_PARTICIPATION_POSTS}"


def participation() -> timeseries.Panel:
    selected = series(METRICS.window_share, f'{_CHOSEN}, head="participation", label!="none"')
    return lines(
        "Participation",
        "Expected share of posts at each level of taking part in collective action. Shown for "
        f"panes of at least {MIN_PARTICIPATION_POSTS} posts only.",
        SHARE,
        (_of_groups(selected), "{{label}}"),
        span=12,
    )


def mobilisation() -> timeseries.Panel:
    return lines(
        "Mobilisation curve",
        "Expected share of posts at a level of taking part or beyond: from seeing a problem to "
        f"acting. Shown for panes of at least {MIN_PARTICIPATION_POSTS} posts only.",
        SHARE,
        *(
            (
                _of_groups(series(METRICS.window_mobilisation, f'{_CHOSEN}, level="{level}"')),
                f"{level.replace('_', ' ')} or beyond" if level != PARTICIPATION[-1] else level,
            )
            for level in PARTICIPATION[1:]
        ),
        span=12,
    )


def ready() -> timeseries.Panel:
    selected = series(METRICS.window_mobilisation, f'level="{READY}"')
    return lines(
        "Ready to take part, by query",
        f"Expected share of posts at *{READY}* or beyond, of the {_MOST} queries where it is "
        f"largest. Shown for panes of at least {MIN_PARTICIPATION_POSTS} posts only.",
        SHARE,
        (f"topk({_MOST}, {_of_groups(selected)})", "{{query}}"),
        span=12,
    )


def problem() -> timeseries.Panel:
    selected = series(METRICS.window_share, f'{_CHOSEN}, head="problem"')
    return lines(
        "Collective problem",
        "Expected share of posts that speak of a problem shared by many. Shown for panes of at "
        f"least {MIN_PARTICIPATION_POSTS} posts only.",
        SHARE,
        (_of_groups(selected), "speaks of one"),
        span=12,
    )


def copies() -> timeseries.Panel:
    return lines(
        "Copied text",
        "Share of posts that repeat another of the same source, to the letter or nearly.",
        SHARE,
        (series(METRICS.window_near_duplicate_share, _CHOSEN), "{{query}}"),
        span=12,
    )


def most_copied() -> timeseries.Panel:
    return lines(
        "Most copied queries",
        f"Share of copies in the {_MOST} queries where it is largest.",
        SHARE,
        (f"topk({_MOST}, {series(METRICS.window_near_duplicate_share, _NAMED)})", "{{query}}"),
        span=12,
    )


ROWS: Final = {
    "Now": (posts, authors, mood, behind),
    "Volume": (volume, busiest),
    "Sentiment": (sentiment, moods, sentiments, emotions),
    "Mix": (languages, sources, topics, strata),
    "Participation": (mobilisation, participation, ready, problem),
    "Copies": (copies, most_copied),
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
        .expr(series(METRICS.shift_firing, _CHOSEN))
    )


def make() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = (
        board(
            "Groundswell conversation",
            "groundswell-conversation",
            "How much is said of a query, in what mood, by whom, and to what end.",
        )
        .with_variable(_chosen_query())
        .annotation(_shifts())
    )
    for title, panels in ROWS.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel())
    return made
