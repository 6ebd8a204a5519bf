"""The dashboard *forecasts*: may they be believed here, and does the forecaster keep up.

Skill and coverage are shown from `ENOUGH` outcomes a day on: fewer say nothing.
"""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, timeseries
from grafana_foundation_sdk.models import dashboard as models

from core.colours import STATES
from dashboards import forecaster_panels as forecaster
from dashboards import reply_panels as replies
from dashboards.names import METRICS, rate, series
from dashboards.shapes import COUNT, PER_SECOND, SHARE, board, lines, number

ENOUGH: Final = 100
"""Outcomes."""
MOST: Final = 10

NO_OUTCOMES: Final = "no outcome yet: one is known one horizon after its post"
TOO_FEW: Final = f"fewer than {ENOUGH} outcomes"

_FROM: Final = f"From {ENOUGH} outcomes on"
_OF: Final = "{{source}} {{target}}"
_PLACE: Final = "{{source}} {{target}} {{partition}}"
_SKILL: Final = "source_target:groundswell_forecast_skill:ratio1d"
_COMPARED: Final = "source_target:groundswell_forecast_compared:increase1d"
_COVERAGE: Final = "source_target:groundswell_forecast_coverage:ratio1d"
_OUTCOMES: Final = "source_target:groundswell_forecast_outcomes:increase1d"


def _enough(promql: str, outcomes: str, by: str = "source, target") -> str:
    return f"{promql} and on ({by}) {outcomes} >= {ENOUGH}"


def _of_last(metric: str) -> str:
    """Return a gauge of the last outcomes of each partition, where there are enough."""
    outcomes = series(METRICS.forecast_quality_outcomes)
    return _enough(metric, outcomes, "partition, source, target, instance")


def skill_now() -> stat.Panel:
    return number(
        "Skill over the floor",
        "How much less wrong than the median of the author's last 32 posts, over a day, on the log "
        f"scale: 0.1 is a tenth less; 0 or below is no better. {_FROM}.",
        SHARE,
        (_enough(_SKILL, _COMPARED), _OF),
        span=4,
        bad_below=1e-9,
        nothing=f"{NO_OUTCOMES}, or {TOO_FEW}",
    )


def coverage_now() -> stat.Panel:
    return number(
        "Coverage of the interval",
        "Share of outcomes between the 10 and the 90 % quantile, over a day; 80 % is right, less "
        f"is too sure, more says little. {_FROM}.",
        SHARE,
        (_enough(_COVERAGE, _OUTCOMES), _OF),
        span=4,
        bad_below=0.72,
        bad_above=0.88,
        nothing=f"{NO_OUTCOMES}, or {TOO_FEW}",
    )


def ranks_now() -> stat.Panel:
    outcomes = series(METRICS.forecast_quality_outcomes)
    weighted = f"{series(METRICS.forecast_rank_correlation)} * {outcomes}"
    return number(
        "Rank correlation",
        "Of forecast and outcome, in each partition's last outcomes, weighted by them: 1 is the "
        f"right order of posts, 0 none. {_FROM}.",
        COUNT,
        (
            f"sum by (source, target) ({weighted}) / "
            f"(sum by (source, target) ({outcomes}) >= {ENOUGH})",
            _OF,
        ),
        span=4,
        nothing=f"{NO_OUTCOMES}, or {TOO_FEW}",
    )


def outcomes_now() -> stat.Panel:
    return number(
        "Outcomes in a day",
        "What skill and coverage stand on; the alerts want 500.",
        COUNT,
        (_OUTCOMES, _OF),
        span=4,
        nothing=NO_OUTCOMES,
    )


def greyed() -> stat.Panel:
    states = {
        "0": models.ValueMappingResult(text="in use", color=STATES["good"], index=0),
        "1": models.ValueMappingResult(text="GREYED OUT", color=STATES["bad"], index=1),
    }
    panel = number(
        "In use or greyed out",
        "Greyed out: forecasts of the source are no better than the author's median in the last "
        "outcomes; records say so, and nobody should act on them. A share: in so many of the "
        "partitions.",
        SHARE,
        (f"avg by (source) ({series(METRICS.forecast_greyed)})", "{{source}}"),
        span=4,
        bad_above=1e-9,
        nothing="no source has a forecast yet",
    )
    return panel.mappings([models.ValueMap(options=states)])


def not_judged() -> stat.Panel:
    states = {
        "0": models.ValueMappingResult(text="judged", color=STATES["good"], index=0),
        "1": models.ValueMappingResult(text="not yet", color=STATES["unsure"], index=1),
    }
    panel = number(
        "May anything take off",
        "Not yet: too few outcomes are known of forecasts of such authors, so no post of theirs is "
        "said to take off, however far it goes. A share: in so many of the partitions.",
        SHARE,
        (
            f"avg by (source, authors) ({series(METRICS.forecast_not_judged)})",
            "{{source}}: {{authors}}",
        ),
        span=4,
        nothing="no source has a forecast yet",
    )
    return panel.mappings([models.ValueMap(options=states)])


def skill() -> timeseries.Panel:
    return lines(
        "Skill by source",
        f"Over a day, all partitions together. {_FROM}.",
        SHARE,
        (_enough(_SKILL, _COMPARED), _OF),
        span=12,
        nothing=f"{NO_OUTCOMES}, or {TOO_FEW}",
    )


def skill_of_partitions() -> timeseries.Panel:
    return lines(
        "Skill by partition",
        "In the last outcomes of each partition: at 0 or below it greys the source. "
        f"{_FROM}; a partition decides by all that it has.",
        SHARE,
        (_of_last(series(METRICS.forecast_skill)), _PLACE),
        span=12,
        nothing=f"{NO_OUTCOMES}, or {TOO_FEW}",
    )


def errors() -> timeseries.Panel:
    def mean(of: str) -> str:
        compared = f"increase({series(METRICS.forecast_compared)}[1h])"
        return (
            f"sum by (source, target) (increase({of}[1h])) / 1e6 / "
            f"(sum by (source, target) ({compared}) > 0)"
        )

    return lines(
        "Wrong by",
        "Mean |log error| of an hour's outcomes: 0.7 is a factor of two. The floor is the median "
        "of the author's last 32 posts; of authors with a known outcome, from one outcome on.",
        COUNT,
        (mean(series(METRICS.forecast_error_micros)), f"{_OF} served"),
        (mean(series(METRICS.forecast_floor_error_micros)), f"{_OF} floor"),
        span=12,
        nothing="no outcome in the last hour",
    )


def skill_of_queries() -> timeseries.Panel:
    found = _enough(
        "query:groundswell_forecast_skill:ratio1d",
        "query:groundswell_forecast_compared:increase1d",
        "query",
    )
    return lines(
        "Queries with least skill",
        f"The {MOST} lowest, over a day. {_FROM}.",
        SHARE,
        (f"bottomk({MOST}, {found})", "{{query}}"),
        span=12,
        nothing=f"no query with {ENOUGH} outcomes in a day",
    )


def coverage() -> timeseries.Panel:
    return lines(
        "Coverage by source",
        f"Over a day, all partitions together; 80 % is right. {_FROM}.",
        SHARE,
        (_enough(_COVERAGE, _OUTCOMES), _OF),
        nothing=f"{NO_OUTCOMES}, or {TOO_FEW}",
    )


def coverage_of_partitions() -> timeseries.Panel:
    return lines(
        "Coverage by partition",
        f"In the last outcomes of each partition, by which intervals are calibrated. {_FROM}.",
        SHARE,
        (_of_last(series(METRICS.forecast_coverage)), _PLACE),
        nothing=f"{NO_OUTCOMES}, or {TOO_FEW}",
    )


def coverage_of_queries() -> timeseries.Panel:
    found = _enough(
        "query:groundswell_forecast_coverage:ratio1d",
        "query:groundswell_forecast_outcomes:increase1d",
        "query",
    )
    return lines(
        "Queries with least coverage",
        f"The {MOST} lowest, over a day. Intervals are calibrated by source only. {_FROM}.",
        SHARE,
        (f"bottomk({MOST}, {found})", "{{query}}"),
        nothing=f"no query with {ENOUGH} outcomes in a day",
    )


def counts_at_horizon() -> timeseries.Panel:
    return lines(
        "Counts at the horizon",
        "Tracked posts whose horizon is over: totals seen, added up from single events, none seen "
        "(no outcome), deleted before.",
        PER_SECOND,
        (rate(METRICS.forecast_posts_settled, "counts"), "{{counts}}"),
        stacked=True,
        nothing="no tracked post has come to its horizon yet",
    )


ROWS: Final = {
    "May I believe it": (
        skill_now,
        coverage_now,
        ranks_now,
        outcomes_now,
        greyed,
        not_judged,
    ),
    "Skill": (skill, skill_of_partitions, errors, skill_of_queries),
    "Intervals": (coverage, coverage_of_partitions, coverage_of_queries),
    "Outcomes": (counts_at_horizon, forecaster.counts, forecaster.unused),
    "What is forecast": (forecaster.posts, forecaster.made, forecaster.events),
    "Shedding": (forecaster.divisor, forecaster.pending, forecaster.authors),
    "Keeping up": (forecaster.lag, forecaster.stages, forecaster.waiting),
    "Model": (forecaster.answers, forecaster.model_away, forecaster.models_in_use),
    "Replies": (
        replies.told,
        replies.left_out,
        replies.lag,
        replies.crowds,
        replies.crowd_scores,
        replies.crowd_answers,
        replies.crowd_turns,
    ),
    "Refused": (forecaster.refused, forecaster.shadow, forecaster.shadow_skipped),
}
"""Row -> its panels, from left to right."""


def make() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = board(
        "Groundswell forecast quality",
        "groundswell-forecasts",
        "May forecasts be believed here, checked against what happened, and are they made in time.",
    )
    for title, panels in ROWS.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel())
    return made
