"""Fills the live view's snapshots from the processes' own metrics pages and the `windows` topic."""

import threading
import time
from collections.abc import Callable, Sequence

from services.local.scrape import Page, Recent, fetch_pages, quantile
from services.local.snapshot import PartLine, Snapshot, StageFlow
from services.local.window_feed import WindowBook

_EVERY_S = 1.0
_LATENCY = "groundswell_count_latency_seconds"
_STAGES = (
    ("ingest", "groundswell_posts_acknowledged_total"),
    ("scored", "groundswell_scored_posts_out_total"),
    ("counted", "groundswell_posts_applied_total"),
)


class SnapshotMaker:
    """Turns looks at the metrics pages into snapshots. Pure but for what it remembers."""

    def __init__(self, source: str, book: WindowBook, started_s: float) -> None:
        """Remember nothing yet.

        Args:
            source: what is streamed, in words.
            book: the windows seen so far.
            started_s: clock reading at which the view began.
        """
        self._source = source
        self._book = book
        self._started_s = started_s
        self._counters = Recent()
        self._latency = Recent(span_s=15.0)

    def latencies(self) -> tuple[float | None, float | None]:
        """Return the p50 and p95 from ingest to counted since the beginning, in seconds."""
        buckets = {float(edge): self._latency.total(edge) for edge in self._latency.names()}
        return quantile(0.5, buckets), quantile(0.95, buckets)

    def make(self, now_s: float, page: Page, parts: Sequence[PartLine], message: str) -> Snapshot:
        """Return the snapshot of a moment.

        Args:
            now_s: clock reading.
            page: the samples of all parts that answered.
            parts: state of the parts.
            message: the supervisor's last word.
        """
        dead = page.by_label("groundswell_dead_posts_total", "reason")
        counters = {name: page.total(metric) for name, metric in _STAGES}
        self._counters.note(now_s, counters | {f"dead {why}": n for why, n in dead.items()})
        self._latency.note(now_s, {repr(k): v for k, v in page.buckets(_LATENCY).items()})
        recent = {float(edge): self._latency.growth(edge) for edge in self._latency.names()}
        lag_posts = int(page.total("groundswell_lag_posts"))
        counting = self._counters.rate("counted")
        return Snapshot(
            elapsed_s=now_s - self._started_s,
            source=self._source,
            flows=tuple(
                StageFlow(name, self._counters.rate(name), int(self._counters.total(name)))
                for name, _metric in _STAGES
            ),
            lag_posts=lag_posts,
            lag_s=lag_posts / counting if counting > 0 else None,
            latency_p50_s=quantile(0.5, recent),
            latency_p95_s=quantile(0.95, recent),
            dead_letters=tuple(
                (name.removeprefix("dead "), int(self._counters.total(name)))
                for name in self._counters.names()
                if name.startswith("dead ")
            ),
            windows_closed=self._book.closed,
            corrections=self._book.corrections,
            queries=self._book.queries(),
            windows=self._book.recent(),
            parts=tuple(parts),
            message=message,
        )


class Collector:
    """Looks about once a second, in a thread of its own, so that a page that hangs delays nobody.

    Attributes:
        latest: the newest snapshot.
    """

    def __init__(
        self,
        maker: SnapshotMaker,
        metrics_ports: Callable[[], Sequence[int]],
        parts: Callable[[], Sequence[PartLine]],
        message: Callable[[], str],
    ) -> None:
        """Start looking at once.

        Args:
            maker: makes the snapshots.
            metrics_ports: the pages to read.
            parts: state of the parts now.
            message: the supervisor's last word.
        """
        self._maker = maker
        self._metrics_ports = metrics_ports
        self._parts = parts
        self._message = message
        self._closing = threading.Event()
        self.latest = maker.make(time.monotonic(), Page(), parts(), message())
        self._thread = threading.Thread(target=self._look, name="collector", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closing.set()
        self._thread.join(timeout=3.0)

    def _look(self) -> None:
        while not self._closing.wait(_EVERY_S):
            page = fetch_pages(self._metrics_ports())
            self.latest = self._maker.make(time.monotonic(), page, self._parts(), self._message())
