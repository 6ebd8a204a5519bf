"""The panels of *forecasts* about the forecaster: posts, counts, lag, shedding, its model."""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import timeseries

from dashboards.names import METRICS, quantile, rate, series
from dashboards.shapes import COUNT, PER_SECOND, SECONDS, lines

NONE_RUNS: Final = "no forecaster runs"
NO_SHADOW: Final = "no second model is compared (forecasts.shadow_model)"


def _or_none(promql: str) -> str:
    """Return 0 where there is nothing to count: no series is the usual, good case here."""
    return f"{promql} or on () vector(0)"


def counts() -> timeseries.Panel:
    return lines(
        "Count events",
        "Totals, and single likes, reposts and replies, as they are taken.",
        PER_SECOND,
        (rate(METRICS.forecast_counts, "kind"), "{{kind}}"),
        nothing="no count event was taken: outcomes will be missing",
    )


def unused() -> timeseries.Panel:
    return lines(
        "Count events without effect",
        "By cause; of posts that are not tracked they are usual.",
        PER_SECOND,
        (_or_none(rate(METRICS.forecast_counts_unused, "cause")), "{{cause}}"),
    )


def posts() -> timeseries.Panel:
    return lines(
        "What becomes of posts",
        "Tracked; sampled out (another author is tracked for this one); shed under lag; full; late "
        "(over their horizon already); come again; edits.",
        PER_SECOND,
        (rate(METRICS.forecast_posts, "outcome"), "{{outcome}}"),
        stacked=True,
        nothing=NONE_RUNS,
    )


def made() -> timeseries.Panel:
    return lines(
        "Forecasts by age",
        "Acknowledged by Kafka: at once, again at each age of forecasts.ages_s, and settled with "
        "the outcome.",
        PER_SECOND,
        (rate(METRICS.forecasts, "age"), "{{age}}"),
        nothing="no forecast went out yet",
    )


def events() -> timeseries.Panel:
    return lines(
        "Posts that take off",
        "Events begun and ended, and times that one was held back by forecasts.events_per_hour, in "
        "an hour.",
        COUNT,
        (
            _or_none(f"sum by (kind, state) (increase({series(METRICS.forecast_events)}[1h]))"),
            "{{kind}} {{state}}",
        ),
        (
            _or_none(f"sum(increase({series(METRICS.forecast_events_over_budget)}[1h]))"),
            "held back by the budget",
        ),
    )


def divisor() -> timeseries.Panel:
    return lines(
        "One author tracked in",
        "Above forecasts.track_one_in it sheds; what a query watches is tracked all the same.",
        COUNT,
        (f"max by (partition) ({series(METRICS.forecast_divisor)})", "partition {{partition}}"),
        nothing=NONE_RUNS,
    )


def pending() -> timeseries.Panel:
    return lines(
        "Posts that wait for their outcome",
        "At forecasts.max_pending new ones are not tracked.",
        COUNT,
        (
            f"sum by (partition) ({series(METRICS.forecast_pending_posts)})",
            "partition {{partition}}",
        ),
        nothing=NONE_RUNS,
    )


def authors() -> timeseries.Panel:
    forgotten = f"sum by (cause) (increase({series(METRICS.forecast_authors_forgotten)}[1h]))"
    return lines(
        "Authors remembered",
        "And forgotten in an hour: expired, silent for forecasts.author_ttl_s; full, beyond "
        "forecasts.max_authors.",
        COUNT,
        (f"sum({series(METRICS.forecast_authors)})", "remembered"),
        (_or_none(forgotten), "forgotten {{cause}}"),
        nothing=NONE_RUNS,
    )


def lag() -> timeseries.Panel:
    return lines(
        "Forecaster lag",
        "Age of the oldest record that is not taken.",
        SECONDS,
        (
            f"max by (topic, partition) ({series(METRICS.forecaster_lag_seconds)})",
            "{{topic}} {{partition}}",
        ),
        nothing=NONE_RUNS,
    )


def stages() -> timeseries.Panel:
    return lines(
        "Where its time goes",
        "Seconds a second in each stage of a batch, waiting included, and of rest between batches.",
        COUNT,
        (rate(METRICS.forecaster_seconds, "stage"), "{{stage}}"),
        (rate(METRICS.forecaster_gave_way_seconds), "rest: posts wait to be counted"),
        (rate(METRICS.forecaster_read_less_seconds), "nothing read ahead: posts wait"),
        stacked=True,
        nothing=NONE_RUNS,
    )


def waiting() -> timeseries.Panel:
    return lines(
        "Counts that wait",
        "Count events later than the partition's clock; at forecasts.max_waiting_events their "
        "topic waits.",
        COUNT,
        (
            f"sum by (partition) ({series(METRICS.forecaster_waiting_counts)})",
            "partition {{partition}}",
        ),
        nothing=NONE_RUNS,
    )


def answers() -> timeseries.Panel:
    return lines(
        "Engagement model latency",
        "From asking the model to its answer, a batch.",
        SECONDS,
        (quantile(0.5, METRICS.engagement_answer_seconds), "p50"),
        (quantile(0.95, METRICS.engagement_answer_seconds), "p95"),
        nothing="the model was not asked yet",
    )


def model_away() -> timeseries.Panel:
    return lines(
        "Engagement model answering",
        "1 while it answers every forecaster; batches sent again and answers refused, a second.",
        COUNT,
        (f"min({series(METRICS.engagement_model_up)})", "answers"),
        (rate(METRICS.engagement_retries), "sent again"),
        (rate(METRICS.engagement_invalid_answers), "refused"),
        nothing=NONE_RUNS,
    )


def models_in_use() -> timeseries.Panel:
    return lines(
        "Forecasters by model version",
        "How many were last answered by each version.",
        COUNT,
        (f"sum by (model_version) ({series(METRICS.engagement_model_info)})", "{{model_version}}"),
        nothing="the model was not asked yet",
    )


def refused() -> timeseries.Panel:
    return lines(
        "Forecaster: refused, missed, tried again",
        "Applies refused (the partition moved), offsets that a topic no longer held, stored "
        "records that could not be read, calls made again, a second.",
        PER_SECOND,
        (_or_none(rate(METRICS.forecaster_applies_refused)), "applies refused"),
        (_or_none(rate(METRICS.forecaster_offset_gap_records)), "offsets missed"),
        (_or_none(rate(METRICS.forecast_state_refused, "kind")), "state: {{kind}}"),
        (_or_none(rate(METRICS.forecaster_retries, "server")), "again: {{server}}"),
    )


def shadow() -> timeseries.Panel:
    distance = rate(METRICS.engagement_shadow_distance_micros, "target")
    return lines(
        "Shadow: difference of medians",
        "Mean |difference| of both models' log medians, by target: 0 is agreement, 0.7 a factor of "
        "two.",
        COUNT,
        (
            f"{distance} / 1e6 / on () group_left () {rate(METRICS.engagement_shadow_posts)}",
            "{{target}}",
        ),
        nothing=NO_SHADOW,
    )


def shadow_skipped() -> timeseries.Panel:
    return lines(
        "Shadow: compared and skipped",
        "Posts that the second model answered too, and those that it was not compared on.",
        PER_SECOND,
        (rate(METRICS.engagement_shadow_posts), "compared"),
        (_or_none(rate(METRICS.engagement_shadow_skipped_posts, "cause")), "skipped {{cause}}"),
        nothing=NO_SHADOW,
    )
