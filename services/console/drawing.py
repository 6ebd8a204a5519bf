"""Pictures of series, made on the server: seen without script, each with its table beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.console.api_windows import sentiment_of
from services.console.series import SeriesWindow
from services.console.shapes import Sentiment

_LEAST_SPAN: Final = 0.2
"""Of the scale of sentiment: noise of a hundredth must not fill its height."""
BARS_SHARE: Final = 0.3
"""Of the height, below the line: how many posts."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle in the units of its chart."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class SeriesChart:
    """A series as lines and rectangles, in units of a picture of `width` by `height`.

    Attributes:
        width, height: Of the picture.
        lines: Points of the mean sentiment; one line for each run of windows that have one.
        bands: Points around its 95 % interval, of the same runs.
        bars: Posts of each window.
        shifts: Where something had shifted.
        low, high: What the lower and the upper end of the scale of sentiment mean.
        most_posts: What the highest bar means.
    """

    width: int
    height: int
    lines: tuple[str, ...]
    bands: tuple[str, ...]
    bars: tuple[Bar, ...]
    shifts: tuple[Bar, ...]
    low: float
    high: float
    most_posts: int


def chart_of(
    windows: Sequence[SeriesWindow],
    shifts_s: Sequence[tuple[int, int]] = (),
    size: tuple[int, int] = (960, 220),
) -> SeriesChart | None:
    """Return the picture of windows of one length; None if there are none.

    Args:
        windows: The oldest first; what is missing between them is left empty.
        shifts_s: Ranges in seconds since 1970, half-open, that are marked.
        size: Of the picture.
    """
    if not windows:
        return None
    width, height = size
    start_s, end_s = windows[0].start_s, windows[-1].end_s
    step_s = windows[0].end_s - start_s
    per_s = width / (end_s - start_s)
    low, high = _scale(windows)
    floor = height * (1 - BARS_SHARE)
    most = max(1, *(one.summary.posts for one in windows))

    def y_of(value: float) -> float:
        return round(floor * (high - value) / (high - low), 1)

    lines, bands = [], []
    for run in _runs(windows):
        known = [((at + step_s / 2 - start_s) * per_s, one) for at, one in run]
        lines.append(" ".join(f"{x:.1f},{y_of(one.mean)}" for x, one in known))
        upper = [f"{x:.1f},{y_of(_high(one))}" for x, one in known]
        lower = [f"{x:.1f},{y_of(_low(one))}" for x, one in known]
        bands.append(" ".join([*upper, *reversed(lower)]))
    bars = [_bar(one, start_s, per_s, height, most) for one in windows]
    inside = [(max(a, start_s), min(b, end_s)) for a, b in shifts_s]
    marks = [Bar((a - start_s) * per_s, 0, (b - a) * per_s, height) for a, b in inside if a < b]
    return SeriesChart(
        width, height, tuple(lines), tuple(bands), tuple(bars), tuple(marks), low, high, most
    )  # fmt: skip


def _bar(one: SeriesWindow, start_s: int, per_s: float, height: int, most: int) -> Bar:
    tall = height * BARS_SHARE * max(0, one.summary.posts) / most
    wide = (one.end_s - one.start_s) * per_s
    return Bar(
        round((one.start_s - start_s) * per_s, 1), round(height - tall, 1),
        round(max(wide - 1, 0.5), 1), round(tall, 1),
    )  # fmt: skip


def _low(one: Sentiment) -> float:
    return one.mean if one.low is None else one.low


def _high(one: Sentiment) -> float:
    return one.mean if one.high is None else one.high


def _scale(windows: Sequence[SeriesWindow]) -> tuple[float, float]:
    """Return the ends of the scale of sentiment, within what a mean can be."""
    known = [one for one in map(sentiment_of, windows) if one is not None]
    low = min((_low(one) for one in known), default=-1.0)
    high = max((_high(one) for one in known), default=1.0)
    short = max(0.0, _LEAST_SPAN - (high - low)) / 2
    low, high = max(-1.0, low - short), min(1.0, high + short)
    return (low, high) if high - low >= _LEAST_SPAN / 2 else (-1.0, 1.0)


def _runs(windows: Sequence[SeriesWindow]) -> Iterator[list[tuple[int, Sentiment]]]:
    """Yield the runs of windows next to each other that have a sentiment."""
    run: list[tuple[int, Sentiment]] = []
    until_s = windows[0].start_s
    for one in windows:
        sentiment = sentiment_of(one)
        if run and (sentiment is None or one.start_s != until_s):
            yield run
            run = []
        if sentiment is not None:
            run.append((one.start_s, sentiment))
        until_s = one.end_s
    if run:
        yield run
