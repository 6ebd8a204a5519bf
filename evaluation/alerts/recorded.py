"""A recorded stream, windows as JSON lines, as the panes that thresholds are set on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from core.codec import window_decoder
from core.errors import ConfigError, DecodeError
from core.schemas import Window
from evaluation.alerts.synthetic import Crowd
from stream.shifts.intake import fill
from stream.shifts.layout import PANE


def read_windows(path: Path) -> list[Window]:
    """Return the windows of a file, the last revision of each.

    Raises:
        ConfigError: the file is not there, empty, or a line is no window.
    """
    if not path.is_file():
        raise ConfigError(f"{path} does not exist")
    latest: dict[tuple[str, float], Window] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            window = window_decoder.decode(line)
        except DecodeError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
        key = (window.query, window.start.timestamp())
        if key not in latest or latest[key].revision < window.revision:
            latest[key] = window
    if not latest:
        raise ConfigError(f"{path} has no windows")
    return list(latest.values())


def crowds_of(windows: Iterable[Window]) -> list[Crowd]:
    """Return one stream a query, all of the same panes; a pane without a window has no posts."""
    found = list(windows)
    pane_s = int((found[0].end - found[0].start).total_seconds())
    starts = [int(window.start.timestamp()) for window in found]
    first, count = min(starts), (max(starts) - min(starts)) // pane_s + 1
    by_query: dict[str, list[Window]] = {}
    for window in found:
        by_query.setdefault(window.query, []).append(window)
    crowds: list[Crowd] = []
    for query in sorted(by_query):
        panes = np.zeros(count, dtype=PANE)
        panes["start"] = first + pane_s * np.arange(count)
        slots: dict[str, int] = {}
        for window in sorted(by_query[query], key=lambda one: one.start):
            at = (int(window.start.timestamp()) - first) // pane_s
            fill(panes[at], window, slots)
        crowds.append(Crowd(panes, panes["posts"].copy()))
    return crowds
