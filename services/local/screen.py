"""Shows snapshots as they come: full screen in a terminal, a line every few seconds elsewhere."""

import io
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from services.local.live_view import one_line, render
from services.local.snapshot import Snapshot

_LINE_EVERY_S = 5.0
_PICTURE = (130, 30)
"""Columns and lines of a saved picture."""


def save_picture(snapshot: Snapshot, path: Path) -> None:
    """Save what a terminal of usual size would show of a snapshot, as SVG."""
    console = Console(file=io.StringIO(), record=True, width=_PICTURE[0], height=_PICTURE[1])
    console.print(render(snapshot, *_PICTURE))
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
