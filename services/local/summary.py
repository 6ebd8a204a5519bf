"""What a demo says at its end: the books, the speed, the latency, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from core.reasons import DUPLICATE
from services.local.accounting import Accounting
from services.local.cpu_meter import bottleneck
from services.local.options import MOST_UNCOUNTED


@dataclass(frozen=True, slots=True)
class Summary:
    """One finished run.

    Attributes:
        books: what became of the posts.
        streamed_s: from the first to the last moment at which posts were counted.
        latency_p50_s, latency_p95_s: from ingest to counted, over the run; None if unknown.
        cores: part -> processor cores it used on average.
        restarts: part -> how often it was started again.
        trouble: what kept the run from ending as it should, a sentence each.
        most_uncounted: the largest share of posts not counted that is a success.
        must_close: a run in which no window has closed is none.
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
            **{name: round(value, 4) for name, value in latencies.items() if value is not None},
            **{f"dead.{reason}": count for reason, count in books.dead_by_reason.items()},
            **{f"refused.{reason}": n for reason, n in books.refused_by_reason.items()},
            **{f"cores.{part}": round(cores, 3) for part, cores in self.cores.items()},
            **{f"restarts.{part}": count for part, count in self.restarts.items() if count},
            "faults": len(self.faults()),
        }


def render_summary(summary: Summary) -> RenderableType:
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


def _latencies(summary: Summary) -> str:
    known = (summary.latency_p50_s, summary.latency_p95_s)
    return " / ".join("–" if value is None else f"{value:.2f} s" for value in known)


def _verdict(summary: Summary) -> Text:
    faults = summary.faults()
    if not faults:
        return Text("✓ every accepted post is accounted for, once", style="bold green")
    return Text("\n".join(f"✗ {fault}" for fault in faults), style="bold red")
