"""The labels of a report's chart: what its heights and its places in time mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.console.drawing import BARS_SHARE, SeriesChart
from services.console.report.wording import Times
from services.console.series import SeriesWindow

_MOST_TICKS: Final = 7
_STEPS_S: Final = (60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
_DAY_S: Final = 86_400
_LAST_PLACE: Final = 0.94
"""Of the width: a label that begins further right would be cut."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A label beside a chart.

    Attributes:
        at: The share of the chart's height from above, or of its width from the left.
        label: What it says.
        day: The date of the first time of a day; "" for others.
    """

    at: float
    label: str
    day: str = ""


@dataclass(frozen=True, slots=True)
class ChartAxes:
    """The labels of a chart.

    Attributes:
        sentiment: Of the scale of sentiment, on the left.
        posts: Of the scale of posts, on the right.
        times: Below it.
        zero: The share of the height at which sentiment is nought; None if that is off the scale.
    """

    sentiment: tuple[Tick, ...]
    posts: tuple[Tick, ...]
    times: tuple[Tick, ...]
    zero: float | None


def axes_of(chart: SeriesChart, windows: Sequence[SeriesWindow], times: Times) -> ChartAxes:
    """Return the labels of the chart of windows, the oldest first."""
    floor = 1 - BARS_SHARE
    ends = [Tick(0.0, f"{chart.high:+.2f}"), Tick(floor, f"{chart.low:+.2f}")]
    zero = None
    if chart.low < 0 < chart.high:
        zero = floor * chart.high / (chart.high - chart.low)
        # At an end the label of the end says as much.
        if 0.08 < zero < floor - 0.08:
            ends.insert(1, Tick(zero, "0"))
    return ChartAxes(
        tuple(ends),
        (Tick(floor, f"{chart.most_posts:,}"), Tick(1.0, "0")),
        tuple(time_ticks(windows[0].start_s, windows[-1].end_s, times)),
        zero,
    )


def time_ticks(start_s: int, end_s: int, times: Times) -> list[Tick]:
    """Return labels at round times (UTC) of a range in seconds since 1970.

    Example:
        >>> [(one.label, one.day) for one in time_ticks(1_772_366_400, 1_772_368_000, Times())][:2]
        [('12:00', '2026-03-01'), ('12:05', '')]
    """
    span_s = end_s - start_s
    days = -(-span_s // (_DAY_S * _MOST_TICKS)) * _DAY_S
    step_s = next((one for one in _STEPS_S if span_s / one <= _MOST_TICKS), days)
    made: list[Tick] = []
    dated = ""
    for at_s in range(-(-start_s // step_s) * step_s, end_s, step_s):
        place = (at_s - start_s) / span_s
        if place > _LAST_PLACE:
            break
        day, _, clock = times.utc(at_s).partition(" ")
        made.append(Tick(place, clock, "" if day == dated else day))
        dated = day
    return made
