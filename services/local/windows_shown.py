"""From the store's windows to the lines of the live view."""

from core.schemas import MICRO
from services.local.snapshot import QueryLine, WindowLine
from services.windows_view import PaneView, WindowsView

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
