"""From what partitions say of themselves to metrics, in the words of docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from core.forecast_schemas import Forecast
from core.metrics import Metrics
from models.engagement.items import CountsSeen, Item, Told
from services.forecaster.labels import OTHER, BoundedLabels

_POSTS: Final = {
    "tracked": "tracked", "untracked": "full", "too_late": "late", "repeated": "repeated",
    "unnumbered_source": "other",
}  # fmt: skip
_UNUSED: Final = {
    "unknown_post": "unknown_post", "single_after_totals": "single_after_totals",
    "impossible_time": "impossible_time", "outcome_without_author": "author_forgotten",
}  # fmt: skip
_FORGOTTEN: Final = {"expired": "expired", "forgotten": "full"}
BOOKED: Final = ("tracked", "settled", "gone")
"""Counts that are kept with the state: what was tracked has ended, or waits."""


def count_batch(
    metrics: Metrics, sources: BoundedLabels, items: Iterable[Item | None],
    counts: Mapping[str, int], told: Told, divisor: int,
) -> None:  # fmt: skip
    """Count what became of a batch, once it is kept.

    Args:
        metrics: The metrics of this process.
        sources: The sources that have labels of their own.
        items: What was taken.
        counts: What the partition has counted of it.
        told: What it had to say.
        divisor: One author in so many times the setting was tracked.
    """
    for name, number in counts.items():
        if name in _POSTS:
            metrics.forecast_posts.labels(outcome=_POSTS[name]).inc(number)
        elif name == "not_sampled":
            # While something is shed it cannot be told apart what sampling alone had left out.
            outcome = "shed" if divisor > 1 else "sampled_out"
            metrics.forecast_posts.labels(outcome=outcome).inc(number)
        elif name in _UNUSED:
            metrics.forecast_counts_unused.labels(cause=_UNUSED[name]).inc(number)
        elif name in _FORGOTTEN:
            metrics.forecast_authors_forgotten.labels(cause=_FORGOTTEN[name]).inc(number)
        elif name == "gone":
            metrics.forecast_posts_settled.labels(source=OTHER, counts="deleted").inc(number)
    for item in items:
        if isinstance(item, CountsSeen):
            kind = "totals" if item.single < 0 else "single"
            metrics.forecast_counts.labels(kind=kind).inc()
    for forecast in told.forecasts:
        if forecast.settled:
            label = sources.label(forecast.source)
            metrics.forecast_posts_settled.labels(source=label, counts=_known(forecast)).inc()


def _known(forecast: Forecast) -> str:
    """Return from what the outcome of a settled post is known."""
    if (forecast.seen_likes, forecast.seen_replies, forecast.seen_reposts) == (None, None, None):
        return "none"
    return "approximate" if forecast.approximate else "totals"
