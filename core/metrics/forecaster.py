"""What a forecaster counts; `docs/forecasts.md` says how to read it.

Skill over a range and over partitions is made of sums: one less the served error over the floor's.
The gauges are of the last `forecasts.quality_outcomes` outcomes of a partition, by which it greys.
"""

from __future__ import annotations

from core.metrics.declared import counter, gauge, histogram
from core.metrics.worker import SCORER_BUCKETS_S


class ForecasterMetrics:
    """The metrics of a forecaster: what it took, what it holds, what it waits for."""

    forecast_posts = counter(
        "Scored posts taken: tracked, sampled_out, shed, full, late, repeated, edit, other",
        "outcome",
    )
    forecasts = counter("Forecasts acknowledged, by the post's age or settled", "source", "age")
    forecast_counts = counter("Count events taken: totals or single", "kind")
    forecast_counts_unused = counter("Count events without effect, by cause", "cause")
    forecast_posts_settled = counter(
        "Tracked posts whose horizon is over, by their counts: totals, approximate, none; deleted",
        "counts",
    )
    forecast_queries_left_out = counter("Queries of tracked posts beyond those that have numbers")
    forecast_pending_posts = gauge("Posts that wait for their outcome", "partition")
    forecast_authors = gauge("Authors remembered", "partition")
    forecast_authors_forgotten = counter("Authors forgotten: expired or full", "cause")
    forecast_divisor = gauge(
        "One author in so many is tracked; above forecasts.track_one_in it sheds", "partition"
    )
    forecaster_lag_seconds = gauge(
        "Age of the oldest record not yet taken, 0 if none", "topic", "partition"
    )
    forecaster_waiting_counts = gauge("Count events whose time has not come", "partition")
    forecaster_seconds = counter("Seconds in a stage of a batch, waiting included", "stage")
    forecaster_gave_way_seconds = counter("Seconds of rest while posts waited to be counted")
    forecaster_read_less_seconds = counter(
        "Seconds in which nothing was read ahead while posts waited to be counted"
    )
    forecaster_retries = counter("Calls made again because Kafka or the store was away", "server")
    forecaster_offset_gap_records = counter(
        "Offsets that a topic no longer held when asked for", "topic", "partition"
    )
    forecaster_applies_refused = counter(
        "Applies refused because the cursor had moved", "partition"
    )
    forecast_state_refused = counter(
        "Stored records of forecasts that could not be read and were left out", "kind"
    )


class ForecastQualityMetrics:
    """What forecasts were worth, and what goes beyond them."""

    forecast_outcomes = counter("Known outcomes that forecasts were judged by", "source", "target")
    forecast_covered = counter("Outcomes inside the served 10-90 % interval", "source", "target")
    forecast_compared = counter(
        "Outcomes compared with the floor: those whose author had a known outcome before",
        "source", "target",
    )  # fmt: skip
    forecast_error_micros = counter(
        "Sum over them of |log error| of what was served, in millionths", "source", "target"
    )
    forecast_floor_error_micros = counter(
        "Sum over them of |log error| of the author's median of 32, in millionths",
        "source", "target",
    )  # fmt: skip
    forecast_skill = gauge("1 less served error over the floor's", "partition", "source", "target")
    forecast_coverage = gauge(
        "Share of outcomes inside the 10-90 % interval", "partition", "source", "target"
    )
    forecast_rank_correlation = gauge(
        "Spearman's rank correlation of forecast and outcome", "partition", "source", "target"
    )
    forecast_quality_outcomes = gauge(
        "Outcomes that skill, coverage and rank correlation are of", "partition", "source", "target"
    )
    forecast_left_out = gauge("Sources and queries without labels of their own", "kind")
    forecast_greyed = gauge("1 while the forecasts of a source are greyed", "partition", "source")
    forecast_not_judged = gauge(
        "1 while too little is known of forecasts of such authors (known, strangers) for any post "
        "to be said to take off",
        "partition", "source", "authors",
    )  # fmt: skip
    query_forecast_outcomes = counter("As forecast_outcomes, by query", "query")
    query_forecast_covered = counter("As forecast_covered, by query", "query")
    query_forecast_compared = counter("As forecast_compared, by query", "query")
    query_forecast_error_micros = counter("As forecast_error_micros, by query", "query")
    query_forecast_floor_error_micros = counter("As forecast_floor_error_micros, by query", "query")
    query_forecast_skill = gauge("As forecast_skill, by query", "partition", "query")
    query_forecast_coverage = gauge("As forecast_coverage, by query", "partition", "query")
    query_forecast_rank_correlation = gauge(
        "As forecast_rank_correlation, by query", "partition", "query"
    )
    query_forecast_quality_outcomes = gauge(
        "As forecast_quality_outcomes, by query", "partition", "query"
    )
    predicted_reach = gauge(
        "Likes, replies and reposts expected in all of the post of a rank (1-5)",
        "partition", "query", "rank",
    )  # fmt: skip
    ranked_posts = gauge("Posts that are ranked by predicted reach", "partition", "query")
    forecast_events = counter("Events decided: firing, then resolved", "kind", "state")
    forecast_events_over_budget = counter("Posts not said to take off for want of budget", "query")
    forecast_events_firing = gauge("Posts said to be taking off now", "partition", "query")
    forecast_event_budget_used = gauge(
        "Posts said to be taking off in the last hour", "partition", "query"
    )


class EngagementModelMetrics:
    """What a forecaster counts of the model that it asks, and of a second one beside it."""

    engagement_model_up = gauge("1 while the engagement model answers")
    engagement_model_info = gauge("1 for the engagement model that answers", "model_version")
    engagement_answer_seconds = histogram(
        "From asking the engagement model to its answer", SCORER_BUCKETS_S
    )
    engagement_retries = counter("Batches sent to the engagement model again")
    engagement_posts_refused = counter("Posts that the engagement model refuses, left out")
    engagement_invalid_answers = counter("Answers of the engagement model that were refused")
    engagement_shadow_info = gauge(
        "1 for the two engagement models that are compared", "model_version", "shadow_version"
    )
    engagement_shadow_posts = counter("Posts that the engagement shadow answered too")
    engagement_shadow_skipped_posts = counter(
        "Posts that the engagement shadow was not compared on: busy, failed or invalid", "cause"
    )
    engagement_shadow_distance_micros = counter(
        "Sum of |difference of log medians| of the two engagement models, in millionths", "target"
    )
