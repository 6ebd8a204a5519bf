"""Fills the live view's snapshots from the processes' own metrics pages and the store's windows."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from core.errors import TransientError
from core.schemas import MICRO
from services.local.scrape import Page, RecentGrowth, fetch_pages, quantile
from services.local.snapshot import PartLine, QueryLine, Snapshot, StageFlow, WindowLine
from services.windows_view import PaneView, WindowsView

_EVERY_S = 1.0
_LATENCY = "groundswell_count_latency_seconds"
_CLOSED = "groundswell_windows_closed_total"
_CORRECTED = "groundswell_windows_corrected_total"
_DEAD = "dead "
_SETTLED_S = 5.0
_STAGES = (
    ("ingest", "groundswell_posts_acknowledged_total"),
    ("scored", "groundswell_scored_posts_out_total"),
    ("counted", "groundswell_posts_applied_total"),
)


class SnapshotMaker:
    """Turns looks at the metrics pages into snapshots. Pure but for what it remembers."""

    def __init__(self, source: str, started_s: float) -> None:
        """Remember nothing yet.

        Args:
            source: What is streamed, in words.
            started_s: The clock reading at which the view began.
        """
        self._source = source
        self._started_s = started_s
        self._counters = RecentGrowth()
        self._latency = RecentGrowth(span_s=15.0)

    def latencies(self) -> tuple[float | None, float | None]:
        """Return the p50 and p95 from ingest to counted since the beginning, in seconds."""
        buckets = {float(edge): self._latency.total(edge) for edge in self._latency.names()}
        return quantile(0.5, buckets), quantile(0.95, buckets)

    def make(
        self,
        now_s: float,
        pages: Mapping[int, Page],
        windows: WindowsView,
        parts: Sequence[PartLine],
        message: str,
    ) -> Snapshot:
        """Return the snapshot of a moment.

        Args:
            now_s: The clock reading.
            pages: The samples of each process that answered, by its port.
            windows: The recent windows, as the store has them.
            parts: The state of the parts.
            message: The supervisor's last word.
        """
        self._note(now_s, pages)
        recent = {float(edge): self._latency.growth(edge) for edge in self._latency.names()}
        lag_posts = int(sum(page.total("groundswell_lag_posts") for page in pages.values()))
        counting = self._counters.rate("counted")
        return Snapshot(
            elapsed_s=now_s - self._started_s,
            source=self._source,
            flows=self._flows(),
            lag_posts=lag_posts,
            lag_s=lag_posts / counting if counting > 0 else None,
            latency_p50_s=quantile(0.5, recent),
            latency_p95_s=quantile(0.95, recent),
            dead_letters=self._dead_letters(),
            windows_closed=int(self._counters.total(_CLOSED)),
            corrections=int(self._counters.total(_CORRECTED)),
            queries=query_lines(windows),
            windows=window_lines(windows),
            parts=tuple(parts),
            message=message,
            stillness=self._stillness(now_s, pages.values(), parts, lag_posts),
        )

    def _note(self, now_s: float, pages: Mapping[int, Page]) -> None:
        self._counters.note(now_s, {port: _counters(page) for port, page in pages.items()})
        buckets = {port: page.buckets(_LATENCY) for port, page in pages.items()}
        self._latency.note(
            now_s,
            {port: {repr(edge): n for edge, n in found.items()} for port, found in buckets.items()},
        )

    def _flows(self) -> tuple[StageFlow, ...]:
        return tuple(
            StageFlow(name, self._counters.rate(name), int(self._counters.total(name)))
            for name, _metric in _STAGES
        )

    def _dead_letters(self) -> tuple[tuple[str, int], ...]:
        names = [name for name in self._counters.names() if name.startswith(_DEAD)]
        counts = ((name.removeprefix(_DEAD), int(self._counters.total(name))) for name in names)
        return tuple((reason, count) for reason, count in counts if count)

    def _stillness(
        self, now_s: float, pages: Iterable[Page], parts: Sequence[PartLine], lag_posts: int
    ) -> str:
        if now_s - self._started_s < _SETTLED_S:
            return ""  # in the first seconds nothing has had time to arrive
        return why_still(self._counters, pages, parts, lag_posts)


def _counters(page: Page) -> dict[str, float]:
    dead = page.by_label("groundswell_dead_posts_total", "reason")
    stages = {name: page.total(metric) for name, metric in _STAGES}
    windows = {name: page.total(name) for name in (_CLOSED, _CORRECTED, RETRIES, TIMEOUTS)}
    return stages | windows | {f"{_DEAD}{reason}": count for reason, count in dead.items()}


class Collector:
    """Looks about once a second, in a thread of its own, so that a page that hangs delays nobody.

    Attributes:
        latest: The newest snapshot.
    """

    def __init__(
        self,
        maker: SnapshotMaker,
        metrics_ports: Sequence[int],
        windows: Callable[[], WindowsView],
        parts: Callable[[], Sequence[PartLine]],
        message: Callable[[], str],
        link: Callable[[], str] = lambda: "",
        every_s: float = _EVERY_S,
    ) -> None:
        """Start looking at once.

        Args:
            maker: Makes the snapshots.
            metrics_ports: The pages to read.
            windows: Reads recent windows from the store; may raise `TransientError`.
            parts: The state of the parts now.
            message: The supervisor's last word.
            link: What lets a browser into the console now; "" if nothing does.
            every_s: How long to wait between two looks.
        """
        self._every_s = every_s
        self._maker = maker
        self._metrics_ports = metrics_ports
        self._windows = windows
        self._seen = WindowsView()
        self._parts = parts
        self._message = message
        self._link = link
        self._closing = threading.Event()
        self.latest = self._made({})
        self._thread = threading.Thread(target=self._look, name="collector", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closing.set()
        self._thread.join(timeout=3.0)

    def _look(self) -> None:
        while not self._closing.wait(self._every_s):
            pages = fetch_pages(self._metrics_ports)
            # A store that is away leaves the windows last seen on the screen.
            with contextlib.suppress(TransientError):
                self._seen = self._windows()
            self.latest = self._made(pages)

    def _made(self, pages: Mapping[int, Page]) -> Snapshot:
        now_s = time.monotonic()
        made = self._maker.make(now_s, pages, self._seen, self._parts(), self._message())
        return replace(made, link=self._link())


RETRIES: Final = "groundswell_scorer_retries_total"
TIMEOUTS: Final = "groundswell_scorer_timeouts_total"
_MODEL_SERVER: Final = "triton"
_SOURCE: Final = "ingest"


def why_still(
    counters: RecentGrowth, pages: Iterable[Page], parts: Iterable[PartLine], lag_posts: int
) -> str:
    """Return why nothing was scored in the last seconds, "" if something was.

    Args:
        counters: The growth of the stages, and of `RETRIES` and `TIMEOUTS`.
        pages: The last sample of each process.
        parts: The parts, as the supervisor has them.
        lag_posts: The records in Kafka that are not counted yet.
    """
    states = {part.name: part.state for part in parts}
    if not counters.growth("ingest") and not lag_posts and states.get(_SOURCE) == "ready":
        return "nothing is scored: nothing arrives from the source"
    if counters.growth("scored"):
        return ""
    if states.get(_MODEL_SERVER, "ready") != "ready":
        return "nothing is scored: the model server is loading its model"
    timeouts, retries = counters.growth(TIMEOUTS), counters.growth(RETRIES)
    if timeouts:
        return f"nothing is scored: the scorer did not answer {timeouts:,.0f} batches in time"
    if retries:
        return f"nothing is scored: the scorer cannot be reached, {retries:,.0f} tries"
    if held := sum(page.total("groundswell_in_flight_posts") for page in pages):
        return f"nothing is scored yet: the scorer has had {held:,.0f} posts for seconds"
    if lag_posts:
        return f"nothing is scored: no worker has taken the {lag_posts:,} posts that wait"
    return ""


_MOST_WINDOWS = 60


def query_lines(view: WindowsView) -> tuple[QueryLine, ...]:
    """Return every query by its last closed window, the busiest of the last windows first."""
    lines: list[tuple[int, QueryLine]] = []
    for query, panes in view.by_query().items():
        closed = [line_of(pane) for pane in panes if pane.closed]
        if closed:
            history = tuple(line.sentiment for line in closed)
            posts = sum(line.posts for line in closed)
            lines.append((posts, QueryLine(query, closed[-1].posts, closed[-1].sentiment, history)))
    lines.sort(key=lambda ranked: (-ranked[0], ranked[1].name))
    return tuple(line for _posts, line in lines)


def window_lines(view: WindowsView) -> tuple[WindowLine, ...]:
    """Return the last windows, the newest first, the busiest query of each window before."""
    lines = [line_of(pane) for pane in view.panes]
    lines.sort(key=lambda line: (-line.start_s, -line.posts, line.query))
    return tuple(lines[:_MOST_WINDOWS])


def line_of(pane: PaneView) -> WindowLine:
    """Return what the view shows of one query in one pane."""
    counters = pane.counters
    rated = counters.get("rated", 0)
    total = counters.get("sentiment_sum", 0)
    return WindowLine(
        start_s=pane.start_s,
        end_s=pane.end_s,
        query=pane.query,
        posts=counters.get("posts", 0),
        rated=rated,
        sentiment=total / rated / MICRO if rated > 0 else None,
        revision=max(pane.revision, 0),
        is_open=not pane.closed,
    )
