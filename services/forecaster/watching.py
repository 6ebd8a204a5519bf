"""What a forecaster shows of its partitions: what they hold, what their forecasts were worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.metrics import Metrics
from models.engagement.items import AUTHORS, SourceQuality, Sums
from services.forecaster.labels import BoundedLabels
from services.forecaster.merging import Lag
from services.forecaster.partitions import PartitionForecaster
from stream.topics import POST_EVENTS, SCORED_POSTS

RANKS: Final = 5
_MICRO: Final = 1_000_000
_Named = tuple[str, str]
"""`source` or `query`, and its name."""
_Value = tuple[Any, tuple[str, ...], float | None]
"""A gauge, the values of its labels, and what it shows; None is not shown."""


class ForecastExport:
    """Sets the gauges, and adds to the counters what is new since the last look.

    Args:
        metrics: The metrics of this process.
        sources: The sources that have labels of their own; others are left out.
        max_queries: How many queries have.
    """

    def __init__(self, metrics: Metrics, sources: BoundedLabels, max_queries: int) -> None:
        self._metrics = metrics
        self._labels = {"source": sources, "query": BoundedLabels(max_queries)}
        self._counted: dict[PartitionForecaster, dict[_Named, Sums]] = {}
        self._held_back: dict[PartitionForecaster, dict[str, int]] = {}
        self._begun: set[tuple[str, str, str]] = set()
        self._shown: dict[tuple[Any, tuple[str, ...]], Any] = {}

    def export(
        self, partitions: Mapping[int, PartitionForecaster], lags: Mapping[int, Lag]
    ) -> None:
        """Show all partitions as they are now; nothing of those that are gone."""
        shown: dict[tuple[Any, tuple[str, ...]], Any] = {}
        left_out: dict[str, set[str]] = {"source": set(), "query": set()}
        # What was known when a partition was taken over is another's count.
        self._counted = {
            one: self._counted.get(one, dict(one.known)) for one in partitions.values()
        }
        self._held_back = {one: self._held_back.get(one, {}) for one in partitions.values()}
        for number, partition in partitions.items():
            values = self._held(number, partition, lags.get(number, Lag()))
            values += self._ranked(partition)
            for quality in partition.forecasts.quality():
                if not self._labels[quality.kind].has_own(quality.name):
                    left_out[quality.kind].add(quality.name)
                else:
                    self._count(self._counted[partition], quality)
                    values += self._worth(number, quality)
            for gauge, labels, value in values:
                if value is not None:
                    one = (gauge, labels)
                    shown[one] = found = self._shown.get(one) or gauge.labels(*labels)
                    found.set(value)
        for kind, names in left_out.items():
            self._metrics.forecast_left_out.labels(kind=kind).set(len(names))
        for gauge, labels in self._shown.keys() - shown.keys():
            gauge.remove(*labels)
        self._shown = shown

    def _held(self, number: int, partition: PartitionForecaster, lag: Lag) -> list[_Value]:
        metrics, labels, forecasts = self._metrics, (str(number),), partition.forecasts
        return [
            (metrics.forecast_pending_posts, labels, forecasts.pending),
            (metrics.forecast_authors, labels, forecasts.authors),
            (metrics.forecast_divisor, labels, forecasts.divisor * partition.track_one_in),
            (metrics.forecaster_waiting_counts, labels, partition.merge.events),
            (metrics.forecaster_lag_seconds, (SCORED_POSTS, *labels), lag.posts_s),
            (metrics.forecaster_lag_seconds, (POST_EVENTS, *labels), lag.events_s),
        ]

    def _ranked(self, partition: PartitionForecaster) -> list[_Value]:
        """Return how far the first posts of each query may go, and its budget of events."""
        metrics, number, forecasts = self._metrics, str(partition.number), partition.forecasts
        values: list[_Value] = []
        held_back = self._held_back.setdefault(partition, {})
        for query in forecasts.queries():
            if not self._labels["query"].has_own(query):
                continue
            top = forecasts.top(query)
            values.append((metrics.ranked_posts, (number, query), len(top)))
            values += [
                (metrics.predicted_reach, (number, query, str(rank)), post.reach)
                for rank, post in enumerate(top[:RANKS], start=1)
            ]
            events = forecasts.taking_off(query)
            if events is not None:
                said = events.said(forecasts.clock_s)
                values.append((metrics.forecast_events_firing, (number, query), events.firing))
                values.append((metrics.forecast_event_budget_used, (number, query), said))
                more = events.held_back - held_back.get(query, 0)
                held_back[query] = events.held_back
                metrics.forecast_events_over_budget.labels(query=query).inc(max(0, more))
        return values

    def _worth(self, number: int, quality: SourceQuality) -> list[_Value]:
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
            *(
                (metrics.forecast_not_judged, (*labels[:2], name), name in quality.not_judged)
                for name in AUTHORS
            ),
        ]

    def _count(self, counted: dict[_Named, Sums], quality: SourceQuality) -> None:
        """Add what is new of a source or query."""
        named, now = (quality.kind, quality.name), quality.total
        if counted.get(named) == now and (*named, quality.target) in self._begun:
            return
        self._begun.add((*named, quality.target))  # a counter is there from its first zero on
        new, counted[named] = now - counted.get(named, Sums()), now
        grown = {
            "outcomes": new.outcomes,
            "covered": new.covered,
            "compared": new.judged,
            "error_micros": round(new.error * _MICRO),
            "floor_error_micros": round(new.floor_error * _MICRO),
        }
        is_query = quality.kind == "query"
        labels = (quality.name,) if is_query else (quality.name, quality.target)
        for name, more in grown.items():
            of_metric = getattr(self._metrics, f"{'query_' * is_query}forecast_{name}")
            of_metric.labels(*labels).inc(max(0, more))
