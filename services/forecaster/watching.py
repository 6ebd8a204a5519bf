"""What a forecaster shows of its partitions: what they hold, and what their forecasts were worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.metrics import Metrics
from models.engagement.items import SourceQuality, Sums
from services.forecaster.partitions import PartitionForecaster
from stream.topics import SCORED_POSTS

MAX_SOURCES: Final = 64
_MICRO: Final = 1_000_000
_Seen = tuple[int, str, str]
"""Partition, `source` or `query`, and its name."""


class ForecastExport:
    """Sets the gauges, and adds to the counters what is new since the last look.

    Args:
        metrics: The metrics of this process.
        max_queries: How many queries have labels of their own.
    """

    def __init__(self, metrics: Metrics, max_queries: int) -> None:
        self._metrics = metrics
        self._most = {"source": MAX_SOURCES, "query": max_queries}
        self._totals: dict[_Seen, Sums] = {}
        self._shown: set[tuple[Any, tuple[str, ...]]] = set()
        self._named: dict[str, set[str]] = {"source": set(), "query": set()}

    def export(
        self, partitions: Mapping[int, PartitionForecaster], lags_s: Mapping[int, float]
    ) -> None:
        """Show all partitions as they are now; nothing of those that are gone."""
        shown: set[tuple[Any, tuple[str, ...]]] = set()
        self._totals = {seen: sums for seen, sums in self._totals.items() if seen[0] in partitions}
        for number, partition in partitions.items():
            values = self._held(number, partition, lags_s.get(number, 0.0))
            for quality in partition.forecasts.quality():
                if self._is_named(quality):
                    self._count(number, quality)
                    values += self._worth(number, quality)
            for gauge, labels, value in values:
                if value is not None:
                    gauge.labels(*labels).set(value)
                    shown.add((gauge, labels))
        for gauge, labels in self._shown - shown:
            gauge.remove(*labels)
        self._shown = shown

    def _is_named(self, quality: SourceQuality) -> bool:
        """Tell whether it has labels of its own; those that came first do."""
        names = self._named[quality.kind]
        if quality.name not in names and len(names) < self._most[quality.kind]:
            names.add(quality.name)
        return quality.name in names

    def _held(
        self, number: int, partition: PartitionForecaster, lag_s: float
    ) -> list[tuple[Any, tuple[str, ...], float | None]]:
        metrics, labels, forecasts = self._metrics, (str(number),), partition.forecasts
        return [
            (metrics.forecast_pending_posts, labels, forecasts.pending),
            (metrics.forecast_authors, labels, forecasts.authors),
            (metrics.forecast_divisor, labels, forecasts.tracked_one_in),
            (metrics.forecaster_waiting_counts, labels, partition.merge.events),
            (metrics.forecaster_lag_seconds, (SCORED_POSTS, *labels), lag_s),
        ]

    def _worth(
        self, number: int, quality: SourceQuality
    ) -> list[tuple[Any, tuple[str, ...], float | None]]:
        metrics, recent = self._metrics, quality.recent
        if quality.kind == "query":
            labels: tuple[str, ...] = (str(number), quality.name)
            return [
                (metrics.query_forecast_skill, labels, recent.skill),
                (metrics.query_forecast_coverage, labels, recent.coverage),
                (metrics.query_forecast_rank_correlation, labels, quality.rank_correlation),
                (metrics.query_forecast_quality_outcomes, labels, recent.outcomes),
            ]
        labels = (str(number), quality.name, quality.target)
        return [
            (metrics.forecast_skill, labels, recent.skill),
            (metrics.forecast_coverage, labels, recent.coverage),
            (metrics.forecast_rank_correlation, labels, quality.rank_correlation),
            (metrics.forecast_quality_outcomes, labels, recent.outcomes),
            (metrics.forecast_greyed, labels[:2], float(quality.greyed)),
        ]

    def _count(self, number: int, quality: SourceQuality) -> None:
        """Add what is new; what was known when the partition was taken over is another's count."""
        seen, now = (number, quality.kind, quality.name), quality.total
        before, self._totals[seen] = self._totals.get(seen, now), now
        metrics = self._metrics
        grown = {
            "outcomes": now.outcomes - before.outcomes,
            "covered": now.covered - before.covered,
            "compared": now.judged - before.judged,
            "error_micros": round((now.error - before.error) * _MICRO),
            "floor_error_micros": round((now.floor_error - before.floor_error) * _MICRO),
        }
        is_query = quality.kind == "query"
        labels = (quality.name,) if is_query else (quality.name, quality.target)
        for name, more in grown.items():
            counter = getattr(metrics, f"{'query_' if is_query else ''}forecast_{name}")
            counter.labels(*labels).inc(max(0, more))
