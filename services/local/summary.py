"""What a demo says at its end: the books, the speed, the latency, and the verdict."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from core.errors import TransientError
from core.reasons import DUPLICATE
from core.settings import Settings
from services.local.accounting import Accounting, take_stock
from services.local.forecast_tally import ForecastTally
from services.local.machine import bottleneck
from services.local.options import MOST_UNCOUNTED
from services.local.supervisor import PartState, Supervisor
from services.windows_view import snapshot_now


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One finished run.

    Attributes:
        books: What became of the posts.
        streamed_s: From the first to the last moment at which posts were counted.
        latency_p50_s, latency_p95_s: From ingest to counted, over the run; None if unknown.
        cores: Part -> processor cores it used on average.
        restarts: Part -> how often it was started again.
        trouble: What kept the run from ending as it should, a sentence each.
        most_uncounted: The largest share of posts not counted that is a success.
        must_close: A run in which no window has closed is none.
        forecasts: What its forecasts came to; None of a run without a forecaster.
    """

    books: Accounting
    streamed_s: float
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    cores: Mapping[str, float] = field(default_factory=dict[str, float])
    restarts: Mapping[str, int] = field(default_factory=dict[str, int])
    trouble: tuple[str, ...] = ()
    most_uncounted: float = MOST_UNCOUNTED
    must_close: bool = True
    forecasts: ForecastTally | None = None

    @property
    def posts_per_s(self) -> float:
        """Posts counted per second of streaming."""
        return self.books.counted / self.streamed_s if self.streamed_s > 0 else 0.0

    def faults(self) -> list[str]:
        """Return everything that is wrong; empty means exit status 0."""
        found = [*self.trouble, *self.books.faults(self.most_uncounted)]
        if self.must_close and self.books.accepted and not self.books.windows_closed:
            found.append("no window has closed")
        return found

    def figures(self) -> dict[str, float]:
        """Return the figures for `--json`, flat."""
        books = self.books
        latencies = {"latency_p50_s": self.latency_p50_s, "latency_p95_s": self.latency_p95_s}
        return {
            "accepted": books.accepted,
            "counted": books.counted,
            "removed": books.removed,
            "in_panes": books.in_panes,
            "dead_letters": books.dead,
            "refused": books.refused,
            "unread": books.unread,
            "uncounted_share": round(books.uncounted_share, 6),
            "windows_closed": books.windows_closed,
            "corrections": books.corrections,
            "streamed_s": round(self.streamed_s, 3),
            "posts_per_s": round(self.posts_per_s, 1),
            **(self.forecasts.figures() if self.forecasts is not None else {}),
            **{name: round(value, 4) for name, value in latencies.items() if value is not None},
            **{f"dead.{reason}": count for reason, count in books.dead_by_reason.items()},
            **{f"refused.{reason}": n for reason, n in books.refused_by_reason.items()},
            **{f"cores.{part}": round(cores, 3) for part, cores in self.cores.items()},
            **{f"restarts.{part}": count for part, count in self.restarts.items() if count},
            "faults": len(self.faults()),
        }


def render_summary(summary: RunSummary) -> RenderableType:
    """Return the summary for people, at most 80 columns wide."""
    books = summary.books
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(justify="left", style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="left", style="dim", overflow="fold")
    letters = {reason: n for reason, n in books.dead_by_reason.items() if reason != DUPLICATE}
    by_reason = ", ".join(f"{reason} {count:,}" for reason, count in letters.items())
    table.add_row("accepted by Kafka", f"{books.accepted:,}", "records")
    table.add_row(
        "counted in panes", f"{books.counted:,}", f"posts; {books.removed:,} deleted later"
    )
    table.add_row("duplicates", f"{books.dead_by_reason.get(DUPLICATE, 0):,}", "dropped")
    table.add_row("dead letters", f"{sum(letters.values()):,}", by_reason)
    if books.refused:
        by_reason = ", ".join(f"{r} {n:,}" for r, n in books.refused_by_reason.items())
        table.add_row("refused by ingest", f"{books.refused:,}", by_reason)
    table.add_row("not counted", f"{books.uncounted_share:.1%}", "of the posts")
    table.add_row("windows closed", f"{books.windows_closed:,}", f"{books.corrections:,} corrected")
    if summary.forecasts is not None:
        table.add_row("forecast", f"{summary.forecasts.posts:,}", summary.forecasts.describe())
    table.add_row("speed", f"{summary.posts_per_s:,.0f}", "posts/s counted")
    if summary.latency_p50_s is not None or summary.cores:
        table.add_row("latency p50 / p95", _latencies(summary), "from ingest to counted")
    used = ", ".join(
        f"{part} {cores:.2f}" for part, cores in summary.cores.items() if cores >= 0.01
    )
    if summary.cores:
        table.add_row("bottleneck", "", bottleneck(summary.cores))
        table.add_row("cores", "", used)
    restarts = ", ".join(f"{part} {count}" for part, count in summary.restarts.items() if count)
    if restarts:
        table.add_row("started again", "", restarts)
    return Group(table, _verdict(summary))


def _latencies(summary: RunSummary) -> str:
    known = (summary.latency_p50_s, summary.latency_p95_s)
    return " / ".join("–" if value is None else f"{value:.2f} s" for value in known)


def _verdict(summary: RunSummary) -> Text:
    faults = summary.faults()
    if not faults:
        return Text("✓ every accepted post is accounted for, once", style="bold green")
    return Text("\n".join(f"✗ {fault}" for fault in faults), style="bold red")


_LOOK_EVERY_S = 0.5
_PUBLISH_TIMEOUT_S = 45.0  # above windows.idle_after_s: a silent partition holds windows so long
_STEADY_TRIES = 10
_PANES_LOOKED_AT = 60


def await_published(settings: Settings, turn: Callable[[], None]) -> None:
    """Wait until what the watermark has passed is closed and published; not for ever.

    Args:
        settings: Where the store is.
        turn: What looks after the stack meanwhile, and waits a little.
    """
    give_up_at, look_at = time.monotonic() + _PUBLISH_TIMEOUT_S, 0.0
    while time.monotonic() < give_up_at:
        if time.monotonic() >= look_at:
            if _is_published(settings):
                return
            look_at = time.monotonic() + _LOOK_EVERY_S
        turn()


def _is_published(settings: Settings) -> bool:
    try:
        view = snapshot_now(settings, last=_PANES_LOOKED_AT)
    except TransientError:
        return False
    watermark_s = min(view.watermarks_s.values(), default=0.0)
    return all(
        pane.revision >= 0 for pane in view.panes if pane.closed or pane.end_s <= watermark_s
    )


def stop_counting(supervisor: Supervisor) -> tuple[str, ...]:
    """Stop the workers and the closer, so that the books stand still while they are read.

    Returns:
        A sentence for each part that was down at that moment.
    """
    names = [part.server.name for part in supervisor.parts]
    missing = [
        f"{part.server.name} was down at the end"
        for part in supervisor.parts
        if part.state is PartState.WAITING
    ]
    supervisor.stop_parts([n for n in names if n.startswith("worker") or n == "closer"])
    return tuple(missing)


def steady_stock(settings: Settings) -> Accounting:
    """Return the books of a stack that goes on counting its heartbeats.

    They may be read while one is on its way; so they are read again until they add up, some times.

    Raises:
        TransientError: The broker or the store does not answer.
    """
    books = take_stock(settings)
    for _ in range(_STEADY_TRIES):
        if not books.errors():
            break
        time.sleep(_LOOK_EVERY_S)
        books = take_stock(settings)
    return books
