"""What people talk of, as gauges: the last closed pane of each query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from core.heads import COUNTED_HEADS
from core.metrics import Metrics
from services.corrected_shares import ShareCorrector
from services.windows_view import PaneView, WindowsView
from stream.windows.layout import OTHER_STRATUM, cap_strata
from stream.windows.summary import Summary

_Value = tuple[Any, tuple[str, ...], float | None]
"""A gauge, the values of its labels, and what it shows; None is not shown."""
_DIMENSIONS: Final = ("source", "language", "topic")
"""What a stratum is made of, in order."""


class Exporter:
    """Sets the gauges from what the store holds; drops those of queries that fell silent.

    Args:
        metrics: The metrics of this process.
        max_queries: How many queries have labels of their own; `all` first, the rest by name.
        corrector: Corrects shares, if the settings ask for it.
    """

    def __init__(
        self, metrics: Metrics, max_queries: int, corrector: ShareCorrector | None = None
    ) -> None:
        self._metrics = metrics
        self._max_queries = max_queries
        self._corrector = corrector or ShareCorrector()
        self._exported: set[tuple[Any, tuple[str, ...]]] = set()

    def export(self, view: WindowsView) -> None:
        """Set every gauge from one look at the store."""
        metrics = self._metrics
        for partition, totals in view.totals.items():
            for outcome, count in totals.items():
                metrics.partition_posts.labels(partition=str(partition), outcome=outcome).set(count)
        closed = [pane for pane in view.panes if pane.closed]
        queries = sorted({pane.query for pane in closed}, key=lambda name: (name != "all", name))
        metrics.queries_left_out.set(max(0, len(queries) - self._max_queries))
        chosen = set(queries[: self._max_queries])
        last_s = max((pane.start_s for pane in closed), default=-1)
        in_last = {pane.query: pane for pane in closed if pane.start_s == last_s}
        if in_last:
            metrics.window_end_seconds.set(next(iter(in_last.values())).end_s)
        current: set[tuple[Any, tuple[str, ...]]] = set()
        for query in chosen:
            current.update(self._export_query(query, in_last.get(query)))
        for gauge, labels in self._exported - current:
            # A mean that nobody measured is absent, not zero and not the one of an hour ago.
            gauge.remove(*labels)
        self._exported = current

    def _export_query(
        self, query: str, pane: PaneView | None
    ) -> Iterable[tuple[Any, tuple[str, ...]]]:
        """Set the gauges of one query and yield them; without posts only the count, zero."""
        metrics = self._metrics
        summary = pane.summary() if pane is not None else None
        values: list[_Value] = [
            (metrics.window_posts, (query,), summary.posts if summary else 0),
            (metrics.window_authors, (query,), summary.authors if summary else 0),
        ]
        if pane is not None and summary is not None:
            values.extend(self._summarised(query, summary))
            values.extend(self._corrected(query, pane))
            values.extend(
                (metrics.window_mix_posts, (query, by, value), posts)
                for by, parts in mix(pane.content.strata).items()
                for value, posts in parts.items()
            )
        for gauge, labels, value in values:
            if value is not None:
                gauge.labels(*labels).set(value)
                yield gauge, labels

    def _summarised(self, query: str, summary: Summary) -> Iterable[_Value]:
        """Yield what one pane of a query comes to, as the model has counted it."""
        metrics = self._metrics
        yield metrics.window_sentiment, (query,), summary.sentiment
        yield metrics.window_sentiment_stderr, (query,), summary.stderr
        yield metrics.window_rated_posts, (query,), summary.rated
        if summary.sentiment is not None:
            yield metrics.window_sentiment_sum, (query,), summary.sentiment * summary.rated
        for head, shares in summary.shares.items():
            for label, share in shares.items():
                yield metrics.window_share, (query, head, label), share
        for level, share in summary.mobilisation.items():
            yield metrics.window_mobilisation, (query, level), share
        for name, value in summary.others.items():
            yield metrics.window_counter, (query, name), value
        if summary.posts > 0:
            copies = summary.near_duplicates / summary.posts
            yield metrics.window_near_duplicate_share, (query,), copies

    def _corrected(self, query: str, pane: PaneView) -> Iterable[_Value]:
        """Yield the corrected shares of a query, and of each head whether it has a correction."""
        if not self._corrector.is_asked:
            return
        metrics = self._metrics
        for head in COUNTED_HEADS:
            fits = not self._corrector.missing(head, pane.scored_by)
            yield metrics.share_correction, (head,), float(fits)
        shares = self._corrector.shares(pane.counters, pane.scored_by)
        for head, by_label in shares.items():
            for label, share in by_label.items():
                labels = (query, head, label)
                yield metrics.window_corrected_share, labels, share.value
                yield metrics.window_corrected_share_lower, labels, share.low
                yield metrics.window_corrected_share_upper, labels, share.high


def mix(strata: dict[str, list[int]]) -> dict[str, Counter[str]]:
    """Return source, language, topic and stratum -> value -> posts; at most 64 values each.

    Example:
        >>> mix({"bluesky|en|sports": [3], "bluesky|de|none": [1]})["language"]
        Counter({'en': 3, 'de': 1})
    """
    found: dict[str, Counter[str]] = {by: Counter() for by in (*_DIMENSIONS, "stratum")}
    for name, row in cap_strata(strata).items():
        found["stratum"][name] += row[0]
        parts = name.split("|") if name != OTHER_STRATUM else [OTHER_STRATUM] * len(_DIMENSIONS)
        for by, part in zip(_DIMENSIONS, parts, strict=True):
            found[by][part] += row[0]
    return found
