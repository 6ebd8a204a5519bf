"""From what partitions say of themselves to metrics, in the words of docs/metrics.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from core.metrics import Metrics
from models.engagement.items import CountsSeen, Item

_POSTS: Final = {
    "tracked": "tracked", "untracked": "full", "too_late": "late", "repeated": "repeated",
    "unnumbered_source": "other",
}  # fmt: skip
_UNUSED: Final = {
    "unknown_post": "unknown_post", "single_after_totals": "single_after_totals",
    "impossible_time": "impossible_time", "outcome_without_author": "author_forgotten",
}  # fmt: skip
_FORGOTTEN: Final = {"expired": "expired", "forgotten": "full"}
_SETTLED: Final = {"gone": "deleted", "no_outcome": "none", "approximate": "approximate"}
BOOKED: Final = ("tracked", "settled", "gone")
"""Counts that are kept with the state: what was tracked has ended, or waits."""


def count_batch(
    metrics: Metrics, items: Iterable[Item | None], counts: Counter[str], divisor: int
) -> None:
    """Count what became of a batch, once it is kept.

    Args:
        metrics: The metrics of this process.
        items: What was taken.
        counts: What the partition has counted of it.
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
        elif name in _SETTLED:
            metrics.forecast_posts_settled.labels(counts=_SETTLED[name]).inc(number)
        elif name == "unnumbered_query":
            metrics.forecast_queries_left_out.inc(number)
    # Told are only those that have names: counting records would miss most posts.
    totals = counts["settled"] - counts["no_outcome"] - counts["approximate"]
    metrics.forecast_posts_settled.labels(counts="totals").inc(max(0, totals))
    for item in items:
        if isinstance(item, CountsSeen):
            kind = "totals" if item.single < 0 else "single"
            metrics.forecast_counts.labels(kind=kind).inc()
