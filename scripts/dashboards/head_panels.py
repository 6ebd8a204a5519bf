"""The panels of the dashboard *conversation* that show heads, and what else panes count."""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import timeseries

from core.colours import CLASSES
from core.heads import PARTICIPATION
from dashboards.names import METRICS, name_of, series
from dashboards.shapes import COUNT, SHARE, coloured, lines, of_head
from stream.windows.summary import MIN_PARTICIPATION_POSTS

CHOSEN: Final = 'query="$query"'
MOST: Final = 10

READY: Final = "intention"
"""Level of participation from which on people say that they will act, or do."""

_DRAWN: Final = ("sentiment", "emotion", "participation", "problem")
"""Heads with panels of their own, as they need words of their own; the others share one."""


def sentiments() -> timeseries.Panel:
    return _classes("Sentiment classes", "Expected share of each class.", "sentiment")


def emotions() -> timeseries.Panel:
    return _classes(
        "Emotions", "Expected share of each class; empty if the model has no such head.", "emotion"
    )


def _classes(title: str, why: str, head: str) -> timeseries.Panel:
    selected = series(METRICS.window_share, f'{CHOSEN}, head="{head}"')
    panel = lines(title, why, SHARE, (selected, "{{label}}"), span=12, stacked=True)
    return of_head(panel.min(0).max(1), head)


def other_heads() -> timeseries.Panel:
    selected = series(METRICS.window_share, f'{CHOSEN}, head!~"{"|".join(_DRAWN)}"')
    return _group_lines(
        "Other heads",
        "Expected share of each class of the heads that have no panel of their own.",
        (_of_groups(selected), "{{head}}: {{label}}"),
    ).no_value("every head has a panel of its own")


def counters() -> timeseries.Panel:
    return lines(
        "Other counters",
        "Sums of the counters of a pane that no other panel shows, by counter.",
        COUNT,
        (series(METRICS.window_counter, CHOSEN), "{{counter}}"),
        span=12,
        nothing="every counter is on another panel",
    )


def _group_lines(title: str, why: str, *drawn: tuple[str, str]) -> timeseries.Panel:
    """Return a panel of shares that are a matter of groups: it says from how many posts on."""
    shown = f"Shown for panes of at least {MIN_PARTICIPATION_POSTS} posts only."
    return lines(title, f"{why} {shown}", SHARE, *drawn, span=12)


def _of_groups(shares: str) -> str:
    """Return shares only where the pane has posts enough; the exporter holds to it as well."""
    return f"{shares} and on (query) {name_of(METRICS.window_posts)} >= {MIN_PARTICIPATION_POSTS}"


def participation() -> timeseries.Panel:
    selected = series(METRICS.window_share, f'{CHOSEN}, head="participation", label!="none"')
    panel = _group_lines(
        "Participation",
        "Expected share of posts at each level of taking part in collective action.",
        (_of_groups(selected), "{{label}}"),
    )
    return of_head(panel, "participation")


def mobilisation() -> timeseries.Panel:
    names = {level: f"{level.replace('_', ' ')} or beyond" for level in PARTICIPATION[1:-1]}
    names[PARTICIPATION[-1]] = PARTICIPATION[-1]
    panel = _group_lines(
        "Mobilisation curve",
        "Expected share of posts at a level of taking part or beyond: from seeing a problem to "
        "acting.",
        *(
            (_of_groups(series(METRICS.window_mobilisation, f'{CHOSEN}, level="{level}"')), name)
            for level, name in names.items()
        ),
    )
    colours = CLASSES["participation"]
    return coloured(panel, {name: colours[level] for level, name in names.items()})


def ready() -> timeseries.Panel:
    selected = series(METRICS.window_mobilisation, f'level="{READY}"')
    return _group_lines(
        "Ready to take part, by query",
        f"Expected share of posts at *{READY}* or beyond, of the {MOST} queries where it is "
        "largest.",
        (f"topk({MOST}, {_of_groups(selected)})", "{{query}}"),
    )


def problem() -> timeseries.Panel:
    selected = series(METRICS.window_share, f'{CHOSEN}, head="problem"')
    return _group_lines(
        "Collective problem",
        "Expected share of posts that speak of a problem shared by many.",
        (_of_groups(selected), "speaks of one"),
    )
