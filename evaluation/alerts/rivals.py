"""What others do, on the same streams: each detector with one threshold, swept over a grid.

A detector returns a statistic per pane; an alarm is raised when it passes the threshold, and again
only after it has been below for half an hour. Detectors with a memory of their own alarms (the last
three families) run once per threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluation.alerts.plan import DAY
from evaluation.alerts.running import Judged

Floats = NDArray[np.float64]
Alarms = list[list[int]]
"""Panes with an alarm, per threshold."""

_REST: Final = 30
_GOLDEN: Final = 0.6180339887
"""Multiples of it modulo one are spread evenly."""


def crossings(statistic: Floats, thresholds: Sequence[float]) -> Alarms:
    """Return the panes where a statistic first passes each threshold, with a rest in between."""
    found: Alarms = []
    for threshold in thresholds:
        above = np.flatnonzero(statistic > threshold)
        if not len(above):
            found.append([])
            continue
        first = np.concatenate([[True], np.diff(above) > _REST])
        found.append(above[first].tolist())
    return found


def _sums(judged: Judged) -> tuple[Floats, Floats]:
    rated = judged.rated.astype(np.float64)
    return rated, np.where(rated > 0, np.nan_to_num(judged.mean), 0.0) * rated


def _rolling(values: Floats, length: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(values)])
    begin = np.maximum(np.arange(1, len(total)) - length, 0)
    return total[1:] - total[begin]


def _delayed(values: Floats, panes: int) -> Floats:
    return np.concatenate([np.full(panes, np.nan), values[:-panes]])


def hour_against_twelve(judged: Judged) -> Floats:
    """Return |mean of the last hour - mean of the twelve before| (Meltwater's recipe)."""
    rated, sums = _sums(judged)
    hour = _rolling(sums, 60) / np.maximum(_rolling(rated, 60), 1)
    twelve = _rolling(sums, 720) / np.maximum(_rolling(rated, 720), 1)
    return np.nan_to_num(np.abs(hour - _delayed(twelve, 60)))


def hour_against_day(judged: Judged) -> Floats:
    """Return how many deviations of hourly means the last hour is from a day's (Socialmetrix)."""
    rated, sums = _sums(judged)
    hour = _rolling(sums, 60) / np.maximum(_rolling(rated, 60), 1)
    mean = _rolling(hour, DAY) / DAY
    square = _rolling(hour * hour, DAY) / DAY
    deviation = np.sqrt(np.maximum(square - mean * mean, 1e-8))
    return np.nan_to_num(np.abs(hour - _delayed(mean, 60)) / _delayed(deviation, 60))


def pane_z(judged: Judged) -> Floats:
    """Return the pane's mean in deviations of the last day's panes: a plain z-score."""
    mean = np.nan_to_num(judged.mean.astype(np.float64))
    level = _rolling(mean, DAY) / DAY
    square = _rolling(mean * mean, DAY) / DAY
    deviation = np.sqrt(np.maximum(square - level * level, 1e-8))
    return np.nan_to_num(np.abs(mean - _delayed(level, 1)) / _delayed(deviation, 1))


def residual_z(judged: Judged) -> Floats:
    """Return the judge's own residual of the pane in standard errors: a tuned z-score."""
    return np.abs(judged.residual.astype(np.float64))


def smoothed_z(judged: Judged) -> Floats:
    """Return the judge's residuals over an hour, in standard errors: a moving-window z-score."""
    residual = judged.residual.astype(np.float64)
    return np.abs(_rolling(residual, 60)) / np.sqrt(60)


STATISTICS: Final[dict[str, tuple[Callable[[Judged], Floats], tuple[float, ...]]]] = {
    "hour against twelve": (hour_against_twelve, tuple(np.linspace(0.02, 0.6, 40).tolist())),
    "hour against day, k sd": (hour_against_day, tuple(np.linspace(1.0, 12.0, 40).tolist())),
    "pane z": (pane_z, tuple(np.geomspace(2.5, 20.0, 40).tolist())),
    "residual z": (residual_z, tuple(np.linspace(2.5, 7.0, 40).tolist())),
    "residual hour z": (smoothed_z, tuple(np.linspace(2.5, 9.0, 40).tolist())),
}

PAGE_HINKLEY_DELTAS: Final = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 1.0)
PAGE_HINKLEY_THRESHOLDS: Final = (8.0, 11.0, 13.0, 14.5, 16.0, 18.0, 21.0, 28.0, 36.0, 48.0, 70.0)


def page_hinkley(
    streams: Sequence[Judged], delta: float, thresholds: Sequence[float]
) -> list[Alarms]:
    """Return alarms of a two-sided Page-Hinkley test on the residuals, reset by each alarm.

    Returns:
        Per stream, per threshold.
    """
    values = np.stack([judged.residual for judged in streams]).astype(np.float64)
    count, length = values.shape
    limits = np.asarray(thresholds)
    up, down = np.zeros((count, len(limits))), np.zeros((count, len(limits)))
    found: list[Alarms] = [[[] for _ in limits] for _ in streams]
    for at in range(length):
        value = np.clip(values[:, at], -10, 10)[:, None]
        up = np.maximum(0.0, up + value - delta)
        down = np.maximum(0.0, down - value - delta)
        over = (up > limits) | (down > limits)
        if over.any():
            for row, place in np.argwhere(over).tolist():
                found[row][place].append(at)
            up[over] = 0
            down[over] = 0
    return [[_rested(alarms) for alarms in one] for one in found]


def _rested(alarms: list[int]) -> list[int]:
    kept: list[int] = []
    last = -_REST - 1
    for at in alarms:
        if at - last > _REST:
            kept.append(at)
        last = at
    return kept


def every(panes: int, length: int, number: int = 0) -> list[int]:
    """Return alarms at every so many panes; streams of other numbers begin at other times."""
    first = round(number * _GOLDEN % 1 * panes)
    return list(range((first - 1) % panes, length, panes))


RIVER_GRIDS: Final[dict[str, tuple[float, ...]]] = {
    # The loosest first, as everywhere: thresholds are read off from there.
    "ADWIN": (0.2, 0.05, 0.02, 0.01, 2e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-13),
    "Page-Hinkley (river)": (10.0, 15.0, 20.0, 28.0, 40.0, 56.0, 80.0, 120.0, 200.0, 400.0),
    "KSWIN": (1e-5, 1e-7),
}


def river_alarms(name: str, setting: float, judged: Judged) -> list[int]:
    """Return the alarms of one of river's detectors on the residuals of one stream.

    Raises:
        ImportError: river is not installed (the extra `evaluation`).
    """
    detector: Any = _river(name, setting)
    found: list[int] = []
    for at, value in enumerate(judged.residual.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(at)
    return _rested(found)


def _river(name: str, setting: float) -> Any:
    from river import drift

    if name == "ADWIN":
        return drift.ADWIN(delta=setting, clock=1)
    if name == "KSWIN":
        return drift.KSWIN(alpha=setting, window_size=240, stat_size=60, seed=1)
    return drift.PageHinkley(min_instances=60, delta=0.1, threshold=setting, alpha=1 - 1e-4)
