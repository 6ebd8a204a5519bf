"""Draws a `Snapshot` in a terminal of any size from 80 x 24 on, and as one line without one."""

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from core.colours import of_sentiment
from services.local.snapshot import QueryLine, Snapshot, WindowLine
from services.sparkline import sparkline

NARROW_COLUMNS = 118
"""Below this queries and windows stand one above the other, from here on side by side."""
_LEAST_SPAN = 0.2  # of a sparkline: noise of a hundredth must not fill its height
_STATE_STYLES = {"ready": "green", "starting": "yellow", "waiting": "red", "ended": "dim"}
_FIXED_LINES = 9  # title, stages, numbers, a table header, parts, message; one to spare


def render(snapshot: Snapshot, width: int, height: int) -> RenderableType:
    """Return what to draw; pure, so a test can draw a fixed snapshot at any size.

    Args:
        snapshot: The moment.
        width: The columns of the terminal.
        height: Its lines; queries and windows are cut to fit.
    """
    room = max(height - _FIXED_LINES - bool(snapshot.link), 4)
    if width >= NARROW_COLUMNS:
        queries = _queries(snapshot.queries[:room], history=24)
        windows = _windows(snapshot.windows[:room])
        body: RenderableType = Table.grid(padding=(0, 2), expand=True)
        body.add_column(ratio=1)
        body.add_column(ratio=1)
        body.add_row(queries, windows)
    else:
        # Two tables one above the other: the second needs a header of its own.
        rows = min(len(snapshot.queries), (room - 1) // 2)
        queries = _queries(snapshot.queries[:rows], history=width - 54)
        body = Group(queries, _windows(snapshot.windows[: room - 1 - max(rows, 1)]))
    return Group(_title(snapshot), _flow(snapshot), _numbers(snapshot), body, _footer(snapshot))


def one_line(snapshot: Snapshot) -> str:
    """Return the moment in one line of plain text, for logs and pipes."""
    flows = "  ".join(f"{flow.name} {flow.posts_per_s:,.0f}/s" for flow in snapshot.flows)
    busiest = snapshot.queries[0] if snapshot.queries else None
    still = f"  {snapshot.stillness}" if snapshot.stillness else ""
    mood = "" if busiest is None else f"  {busiest.name} {_signed(busiest.sentiment)}"
    return (
        f"{_clock(snapshot.elapsed_s)}  {flows}  lag {snapshot.lag_posts:,}"
        f"  p95 {_duration(snapshot.latency_p95_s)}"
        f"  windows {snapshot.windows_closed:,} (+{snapshot.corrections:,} corrected){mood}{still}"
    )


def trend(values: Sequence[float | None]) -> str:
    """Return one character a value, scaled to their range; a gap where there is none.

    Example:
        >>> trend([0.0, 0.5, None, 1.0])
        '▁▅ █'
        >>> trend([0.1, 0.1])
        '▅▅'
    """
    known = [value for value in values if value is not None] or [0.0]
    middle = (max(known) + min(known)) / 2
    span = max(max(known) - min(known), _LEAST_SPAN)
    return sparkline(values, middle - span / 2, middle + span / 2)


def _title(snapshot: Snapshot) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(
        Text.assemble(("Groundswell ", "bold cyan"), (snapshot.source, "default")),
        Text(_clock(snapshot.elapsed_s), style="bold"),
    )
    return line


def _flow(snapshot: Snapshot) -> RenderableType:
    boxes = Table.grid(expand=True)
    cells: list[RenderableType] = []
    for flow in snapshot.flows:
        boxes.add_column(ratio=1)
        content = Text.assemble(
            (f"{flow.posts_per_s:,.0f}", "bold"), (" posts/s  ", "default"),
            (f"{flow.posts:,}", "dim"),
        )  # fmt: skip
        cells.append(Panel(content, title=flow.name, title_align="left", padding=(0, 1)))
    if cells:
        boxes.add_row(*cells)
    return boxes


def _numbers(snapshot: Snapshot) -> RenderableType:
    lag = f"{snapshot.lag_posts:,}"
    if snapshot.lag_posts and snapshot.lag_s is not None:
        lag += f" ({_duration(snapshot.lag_s)})"
    dead = sum(count for _reason, count in snapshot.dead_letters)
    latency = f"{_duration(snapshot.latency_p50_s)} / {_duration(snapshot.latency_p95_s)}"
    pairs = (
        ("lag", lag),
        ("latency p50 / p95", latency),
        ("windows", f"{snapshot.windows_closed:,} +{snapshot.corrections:,}"),
        ("dead", f"{dead:,}"),
    )
    line = Text(no_wrap=True, overflow="ellipsis")
    for name, value in pairs:
        line.append("   " if line else "")
        line.append(f"{name} ", style="dim")
        line.append(value, style="bold")
    return line


def _queries(lines: Sequence[QueryLine], history: int) -> RenderableType:
    table = Table(expand=True, box=None, header_style="dim", padding=(0, 1))
    table.add_column("query", no_wrap=True, overflow="ellipsis", ratio=1, min_width=10)
    table.add_column("posts", justify="right", no_wrap=True)
    table.add_column("sentiment", justify="right", no_wrap=True)
    table.add_column("windows →", no_wrap=True, width=max(history, 8))
    for line in lines:
        table.add_row(
            line.name,
            f"{line.posts:,}",
            Text(_signed(line.sentiment), style=_mood(line.sentiment)),
            Text(trend(line.history[-max(history, 8) :]), style=_mood(line.sentiment)),
        )
    return table if lines else Text(" no window has closed yet", style="dim")


def _windows(lines: Sequence[WindowLine]) -> RenderableType:
    table = Table(expand=True, box=None, header_style="dim", padding=(0, 1))
    table.add_column("window", no_wrap=True)
    table.add_column("query", no_wrap=True, overflow="ellipsis", ratio=1, min_width=10)
    table.add_column("posts", justify="right", no_wrap=True)
    table.add_column("rated", justify="right", no_wrap=True)
    table.add_column("sentiment", justify="right", no_wrap=True)
    table.add_column("rev", justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            f"{_time_of_day(line.start_s)}-{_time_of_day(line.end_s)}",
            line.query,
            f"{line.posts:,}",
            f"{line.rated:,}",
            Text(_signed(line.sentiment), style=_mood(line.sentiment)),
            _revision(line),
        )
    return table


def _revision(line: WindowLine) -> Text:
    if line.is_open:
        return Text("open", style="cyan")
    return Text(str(line.revision), style="yellow" if line.revision else "dim")


def _footer(snapshot: Snapshot) -> RenderableType:
    parts = Text(no_wrap=True, overflow="ellipsis")
    for part in snapshot.parts:
        parts.append("● ", style=_STATE_STYLES.get(part.state, "dim"))
        again = f" ×{part.restarts}" if part.restarts else ""
        parts.append(f"{part.name}{again}  ", style="default" if part.state == "ready" else "dim")
    first_line = snapshot.stillness or snapshot.message.partition("\n")[0]
    style = "yellow" if snapshot.stillness else "dim"
    lines = [parts, Text(first_line, style=style, no_wrap=True, overflow="ellipsis")]
    if snapshot.link:
        # No ellipsis: half a link leads nowhere.
        lines.append(Text(f"console {snapshot.link}", no_wrap=True, overflow="crop"))
    return Group(*lines)


def _mood(sentiment: float | None) -> str:
    return of_sentiment(sentiment) or "default"


def _signed(sentiment: float | None) -> str:
    return "–" if sentiment is None else f"{sentiment:+.3f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1.0:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120.0:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _time_of_day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


_LINE_EVERY_S = 5.0
_PICTURE = (130, 30)
"""Columns and lines of a saved picture."""


def save_picture(snapshot: Snapshot, path: Path) -> None:
    """Save what a terminal of usual size would show of a snapshot, as SVG."""
    console = Console(file=io.StringIO(), record=True, width=_PICTURE[0], height=_PICTURE[1])
    console.print(render(replace(snapshot, link=""), *_PICTURE))  # it is over when that is seen
    console.save_svg(str(path), title="groundswell demo")


class Screen:
    """Use as a context manager around the streaming; `show` may be called as often as one likes."""

    def __init__(self, console: Console) -> None:
        """Nothing is drawn yet; `console` decides by itself whether it is a terminal."""
        self._console = console
        self._live: Live | None = None
        self._shown: Snapshot | None = None
        self._next_line_at = 0.0

    def __enter__(self) -> Self:
        """Take the terminal, if it is one."""
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, screen=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot, unless it is the one already shown."""
        if snapshot is self._shown:
            return
        if self._live is not None:
            size = self._console.size
            self._live.update(render(snapshot, size.width, size.height), refresh=True)
        elif time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + _LINE_EVERY_S
            self._console.print(one_line(snapshot), markup=False, highlight=False, soft_wrap=True)
        self._shown = snapshot
