"""What the author's own past says of a post: floors, from nothing but times and outcomes.

The straight way, apart from `models.engagement`, so that each may show the other's mistakes.

Shapes: `N` posts, in any order; logs are log1p of counts, NaN where a count is not known.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]

FLOOR: Final = "med32"
"""The floor that skill is measured against."""
FLOORS: Final = {
    FLOOR: "median of 32 (floor)",
    "days30": "median of 30 days",
    "last": "last value",
    "ewma": "EWMA 0.1",
    "expanding": "expanding (straw man)",
}
_WINDOW: Final = 32
_MONTH_S: Final = 30 * 86_400.0
_SMOOTHING: Final = 0.1


def floors_of(authors: Ints, at_s: Floats, logs: Floats, horizon_s: float) -> dict[str, Floats]:
    """Return what each of `FLOORS` predicts of every post; NaN where no outcome is known.

    An outcome is known one horizon after its post and not before.

    Args:
        authors: (N,) a number for the author of each post.
        at_s: (N,) the times of the posts, in seconds since 1970.
        logs: (N,) their outcomes.
        horizon_s: The horizon.
    """
    found = {name: np.full(len(logs), np.nan) for name in FLOORS}
    for rows in posts_by_author(authors, at_s):
        values, known, month = _outcomes(at_s[rows], logs[rows], horizon_s)
        window = last_known(values, known)
        found[FLOOR][rows] = median_of_rows(window)
        of_month = _running_medians(values, np.minimum(month, known), known)
        found["days30"][rows] = np.where(np.isnan(of_month), found[FLOOR][rows], of_month)
        found["last"][rows], found["ewma"][rows] = _last_and_mean(values, known)
        found["expanding"][rows] = _running_medians(values, np.zeros_like(known), known)
    return found


def posts_by_author(authors: Ints, at_s: Floats) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each author's posts in order of time, those of one second as they came."""
    order = np.lexsort((at_s, authors))
    starts = np.flatnonzero(np.diff(authors[order], prepend=authors[order][:1] - 1))
    yield from np.split(order, starts[1:])


def _outcomes(
    at_s: Floats, values: Floats, horizon_s: float
) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return the outcomes of an author's posts, given in order of time, that are ever known.

    Returns:
        (m,) the outcomes, (n,) how many of them are known at each post, and (n,) how many are of
        posts older than 30 days by then.
    """
    is_known = ~np.isnan(values)
    of_known = at_s[is_known]
    known = np.searchsorted(of_known + horizon_s, at_s, side="right")
    return values[is_known], known, np.searchsorted(of_known, at_s - _MONTH_S)


def last_known(values: Floats, known: NDArray[np.intp], size: int = _WINDOW) -> Floats:
    """Return (n, size) the last of the first `known` outcomes, NaN before the first."""
    padded = np.concatenate([np.full(size, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded, size)[known]


def median_of_rows(values: Floats) -> Floats:
    """Return (n,) medians of rows without their NaN; NaN of none."""
    return quantiles_of_rows(values, (0.5,))[:, 0]


def quantiles_of_rows(values: Floats, levels: Sequence[float]) -> Floats:
    """Return (n, levels) quantiles of rows without their NaN; NaN of none."""
    ordered = np.sort(values, axis=1)
    count = (~np.isnan(values)).sum(axis=1)
    found = np.full((len(values), len(levels)), np.nan)
    rows = np.flatnonzero(count)
    for column, level in enumerate(levels):
        place = (count[rows] - 1) * level
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, count[rows] - 1)
        below, above = ordered[rows, low], ordered[rows, high]
        found[rows, column] = below + (place - low) * (above - below)
    return found


def share_of_some(authors: Ints, at_s: Floats, logs: Floats, horizon_s: float) -> Floats:
    """Return (N,) how likely a post gets at least one, by the author's last 32 known outcomes.

    One made-up outcome, the mean of all that are known in the set by then, stands beside them, so
    that an author with one outcome is not taken to be certain.
    """
    some = np.where(np.isnan(logs), np.nan, logs > 0)
    usual = _usual(at_s, some, horizon_s)
    found = usual.copy()
    for rows in posts_by_author(authors, at_s):
        window = last_known(*_outcomes(at_s[rows], some[rows], horizon_s)[:2])
        count = (~np.isnan(window)).sum(axis=1)
        found[rows] = (np.nansum(window, axis=1) + usual[rows]) / (count + 1)
    return found


def past_quantiles(
    authors: Ints, at_s: Floats, logs: Floats, horizon_s: float, levels: Sequence[float]
) -> Floats:
    """Return (N, levels) quantiles of each author's last 32 known outcomes; NaN of none."""
    found = np.full((len(logs), len(levels)), np.nan)
    for rows in posts_by_author(authors, at_s):
        window = last_known(*_outcomes(at_s[rows], logs[rows], horizon_s)[:2])
        found[rows] = quantiles_of_rows(window, levels)
    return found


def _usual(at_s: Floats, some: Floats, horizon_s: float) -> Floats:
    """Return (N,) the mean of all outcomes of the set that are known at each post, else a half."""
    order = np.argsort(at_s, kind="stable")
    values = some[order]
    count = np.concatenate([[0], np.cumsum(~np.isnan(values))])
    total = np.concatenate([[0.0], np.nancumsum(values)])
    known = np.searchsorted(at_s[order] + horizon_s, at_s[order], side="right")
    found = np.empty(len(some))
    found[order] = (total[known] + 0.5) / (count[known] + 1)
    return found


def _running_medians(values: Floats, starts: NDArray[np.intp], ends: NDArray[np.intp]) -> Floats:
    """Return (n,) medians of `values[start:end]` of each; both bounds never go back."""
    found = np.full(len(ends), np.nan)
    window: list[float] = []
    low = high = 0
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        for value in values[high:end].tolist():
            insort(window, value)
        for value in values[low:start].tolist():
            del window[bisect_left(window, value)]
        low, high = max(low, start), max(high, end)
        if window:
            middle = len(window) // 2
            found[row] = (window[middle] + window[~middle]) / 2
    return found


def _last_and_mean(values: Floats, known: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return (n,) the last outcome and (n,) the weighted mean of all that are known at each."""
    last = np.concatenate([[np.nan], values])
    mean = last.copy()
    for place in range(2, len(mean)):
        mean[place] = mean[place - 1] + _SMOOTHING * (last[place] - mean[place - 1])
    return last[known], mean[known]
