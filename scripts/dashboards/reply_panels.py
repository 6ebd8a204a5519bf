"""The panels about the responder: what it shows, what it leaves out, its lag, and crowds."""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models import dashboard as models

from core.colours import CLASSES
from dashboards.head_panels import CHOSEN
from dashboards.names import METRICS, rate, series
from dashboards.shapes import COUNT, PER_SECOND, SECONDS, SHARE, fixed, lines, number


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


def _by_label(panel: timeseries.Panel) -> timeseries.Panel:
    """Colour lines by the sentiment that their names have in them; what was expected is dashed."""
    for label, colour in CLASSES["sentiment"].items():
        panel = panel.override_by_regexp(f"/\\b{label}\\b/", [fixed(colour)])
    dashes = models.DynamicConfigValue(
        id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}
    )
    return panel.override_by_regexp("/ expected$/", [dashes])


def crowds() -> timeseries.Panel:
    panel = lines(
        "Expected against observed crowd",
        "Shares of sentiment among the answers to what takes off, means over events with answers.",
        SHARE,
        (
            f"avg by (source, what, label) ({series(METRICS.crowd_share)})",
            "{{source}} {{label}} {{what}}",
        ),
        nothing="nothing that takes off has rated answers",
    )
    return _by_label(panel)


def crowd_scores() -> timeseries.Panel:
    return lines(
        "Log score of the next answer",
        "Of the average of all topics, the topic's forecast, what was counted, and the posterior.",
        COUNT,
        (
            f"max by (source, system) ({series(METRICS.crowd_log_score)})",
            "{{source}} {{system}}",
        ),
        nothing="no event with answers is over",
    )


def crowd_turns() -> timeseries.Panel:
    return lines(
        "Evidence that a crowd has turned",
        "Natural logarithm, the most of the events that are followed; see docs/crowds.md.",
        COUNT,
        (f"max by (source) ({series(METRICS.crowd_turn_evidence)})", "{{source}}"),
        nothing="nothing that takes off has rated answers",
    )


def turned() -> stat.Panel:
    return number(
        "Crowds that have turned",
        "Posts of the chosen query whose answers are not those that were expected of them. Each is "
        "an event of the topic `events`, with what was expected and what is seen.",
        COUNT,
        (f"sum({series(METRICS.crowd_turns_firing, CHOSEN)})", ""),
        span=6,
        nothing="no crowd of this query has turned",
    )


def turns_told() -> stat.Panel:
    left = f"sum(increase({series(METRICS.crowd_turns_held_back, CHOSEN)}[1h]))"
    return number(
        "Turns told and held back in an hour",
        "Turns of crowds of the chosen query in the last hour, which responder.turns_per_hour "
        "bounds, and those held back by that.",
        COUNT,
        (f"sum({series(METRICS.crowd_turn_budget_used, CHOSEN)})", "told"),
        (left, "held back"),
        span=6,
        nothing="no crowd of this query has turned",
    )


def conversation_crowds() -> timeseries.Panel:
    panel = lines(
        "Expected and observed answers",
        "Shares of sentiment among the answers to what takes off, means over all such posts.",
        SHARE,
        (f"avg by (what, label) ({series(METRICS.crowd_share)})", "{{label}} {{what}}"),
        span=12,
        nothing="nothing that takes off has rated answers",
    )
    return _by_label(panel)


def crowd_answers() -> timeseries.Panel:
    return lines(
        "Answers rated and left out",
        "Sentiments of replies to what takes off: counted, or left out by reason.",
        PER_SECOND,
        (_or_none(rate(METRICS.crowd_answers, "outcome")), "{{outcome}}"),
    )
