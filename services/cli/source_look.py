"""What is seen of a source in one look, without Kafka: for ``groundswell sources check``."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from core.schemas import Post
from models.serving.language import primary_subtag
from services.ingest.sources.base import Gap, Ignored, RawRecord, Source, SourceItem, Unmappable

POLL_ITEMS: Final = 500
POLL_TIMEOUT_S: Final = 0.2


@dataclass(slots=True)
class Look:
    """What was seen of a source.

    Attributes:
        counts: Kind of item -> how many.
        details: Why items could not be mapped -> how often.
        languages: Language of posts -> how many.
        near_duplicates: How many posts are copies of others.
        late_s: How long after they were written posts arrived.
        seconds: How long the look took.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    details: Counter[str] = field(default_factory=Counter[str])
    languages: Counter[str] = field(default_factory=Counter[str])
    near_duplicates: int = 0
    late_s: list[float] = field(default_factory=list[float])
    seconds: float = 0.0

    def look(
        self,
        source: Source,
        edge: Callable[[Sequence[SourceItem]], Sequence[SourceItem]],
        items: int,
        deadline_s: float,
    ) -> None:
        """Poll an open source until so many items came, it ended, or the time is over."""
        started_s = time.monotonic()
        while self.counts.total() < items and time.monotonic() - started_s < deadline_s:
            wanted = min(POLL_ITEMS, items - self.counts.total())
            found = edge(source.poll(wanted, POLL_TIMEOUT_S))
            self._take(found)
            if not found and source.exhausted:
                break
        self.seconds = time.monotonic() - started_s

    def _take(self, items: Sequence[SourceItem]) -> None:
        for item in items:
            self.counts[_kind(item)] += 1
            record = item.record
            if isinstance(record, Unmappable):
                self.details[record.detail.partition(": ")[2]] += 1
            elif isinstance(record, Post):
                self.languages[primary_subtag(record.lang) or "unknown"] += 1
                self.near_duplicates += record.near_duplicate
                if record.claimed_at is not None:
                    late = record.ingested_at - record.claimed_at
                    self.late_s.append(late.total_seconds())

    def figures(self) -> dict[str, float]:
        """Return how fast, how late, and how much of it repeats."""
        posts = self.languages.total()
        figures = {
            "seconds": round(self.seconds, 1),
            "posts_per_s": round(posts / self.seconds, 1),
        }
        if posts:
            figures["near_duplicate_share"] = round(self.near_duplicates / posts, 4)
        if self.late_s:
            figures["median_lag_s"] = round(statistics.median(self.late_s), 2)
        return figures

    def lines(self, source: Source) -> Iterator[str]:
        """Yield what is said of it: counts and faults; of a live source also how it flows."""
        for kind, number in self.counts.most_common():
            yield f"{kind}: {number:,}"
        for detail, number in self.details.most_common(5):
            yield f"unmappable, {number:,} times: {detail}"
        if not source.is_live:
            return
        shown = (dict(self.counts) | self.figures()).items()
        yield ", ".join(f"{name}: {value:g}" for name, value in shown if "_" in name)
        common = ", ".join(f"{lang} {number:,}" for lang, number in self.languages.most_common(8))
        yield f"languages: {common or 'none'}"
        for metric in source.context.metrics.source_reconnects.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total") and sample.labels["source"] == source.name:
                    yield f"sessions ended, {sample.labels['cause']}: {sample.value:g}"


def _kind(item: SourceItem) -> str:
    record = item.record
    if isinstance(record, Unmappable):
        return "unmappable"
    if isinstance(record, RawRecord):
        return "raw records"
    if isinstance(record, Ignored):
        return "ignored"
    if isinstance(record, Gap):
        return "gaps"
    if not isinstance(record, Post):
        return "events"
    return "duplicates" if item.duplicate else "posts"
