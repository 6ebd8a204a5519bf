"""Windows as people see them: a table with a sparkline, and corrected shares below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from core.clock import from_epoch_ms
from core.heads import HEADS, PARTICIPATION
from services.corrected_shares import ShareCorrector
from services.sparkline import sparkline
from services.windows_view import PaneView
from stream.windows.layout import named
from stream.windows.records import PaneSum
from stream.windows.summary import Summary, summarise


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window as it is shown.

    Attributes:
        start_s: The start of the window, seconds since 1970.
        counters: Every counter by name.
        summary: What they say, in numbers for people.
        state: The revision, `closing` before the first, or `open`.
        scored_by: The version of the model that alone has scored it; "" if that is not known.
    """

    start_s: int
    counters: dict[str, int]
    summary: Summary
    state: str
    scored_by: str


def row_of(start_s: int, length_s: int, content: PaneSum, panes: dict[int, PaneView]) -> WindowRow:
    """Return the row of a window that is the sum of the panes inside it."""
    inside = [pane for at, pane in panes.items() if start_s <= at < start_s + length_s]
    state = str(max(pane.revision for pane in inside))
    if not all(pane.closed for pane in inside):
        state = "open"
    elif any(pane.revision < 0 for pane in inside):
        state = "closing"
    models = {pane.scored_by for pane in inside}
    counters = named(content.counters)
    return WindowRow(
        start_s,
        counters,
        summarise(counters, content.authors),
        state,
        models.pop() if len(models) == 1 else "",
    )


def _labels(head: str) -> tuple[str, ...]:
    return PARTICIPATION[1:] if head == "mobilisation" else HEADS[head]


def print_windows(query: str, rows: Sequence[WindowRow], length_s: int, head: str) -> None:
    """Print windows a line each, within 80 columns for counts under 100,000; never broken."""
    trend = sparkline([row.summary.sentiment for row in rows])
    typer.echo(f"{query}, windows of {length_s} s; sentiment {trend} (▁ -1, █ +1)")
    typer.echo(f"shares: {' · '.join(label.replace('_', ' ') for label in _labels(head))}")
    table = _table("posts", "rated", "authors", "mean", "± err")
    table.add_column("shares", no_wrap=True)
    table.add_column("state", no_wrap=True)
    starts = _starts(rows)
    for start, row in zip(starts, rows, strict=True):
        summary = row.summary
        shares = summary.mobilisation if head == "mobilisation" else summary.shares.get(head, {})
        table.add_row(
            start,
            f"{summary.posts:,}",
            f"{summary.rated:,}",
            f"{summary.authors:,}",
            "–" if summary.sentiment is None else f"{summary.sentiment:+.3f}",
            "–" if summary.stderr is None else f"{summary.stderr:.3f}",
            "".join(f"{share:4.0%}" for share in shares.values()),
            row.state,
        )
    _print(table)


def print_corrected(rows: Sequence[WindowRow], head: str, corrector: ShareCorrector) -> None:
    """Print the corrected shares of windows with their 95 % intervals, and why some have none."""
    if not corrector.is_asked:
        return
    table = _table(*(label.replace("_", " ") for label in HEADS.get(head, ())))
    reasons: dict[str, int] = {}
    for start, row in zip(_starts(rows), rows, strict=True):
        shares = corrector.shares(row.counters, row.scored_by).get(head, {})
        if shares:
            table.add_row(
                start, *(f"{s.value:.0%} ({s.low:.0%}-{s.high:.0%})" for s in shares.values())
            )
        elif why := corrector.missing(head, row.scored_by):
            reasons[why] = reasons.get(why, 0) + 1
    if table.row_count:
        typer.echo("corrected shares, with the 95 % interval that the number of posts leaves:")
        _print(table)
    for why, count in reasons.items():
        typer.echo(f"{count} of {len(rows)} windows have counted shares only: {why}")


def _table(*numbers: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("start (UTC)", no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _starts(rows: Sequence[WindowRow]) -> list[str]:
    """Return the starts of windows for people; seconds only if some have them."""
    to_minutes = all(row.start_s % 60 == 0 for row in rows)
    form = "%Y-%m-%d %H:%M" if to_minutes else "%Y-%m-%d %H:%M:%S"
    return [from_epoch_ms(row.start_s * 1000).strftime(form) for row in rows]


def _print(table: Table) -> None:
    console = Console()
    # A terminal that is narrower breaks lines itself; cut off figures would be lost.
    needed = Measurement.get(console, console.options.update(max_width=1_000), table).maximum
    console.width = max(console.width, needed)
    console.print(table)
