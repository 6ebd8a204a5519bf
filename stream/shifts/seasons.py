"""The week as a few smooth waves: what a baseline is fitted with.

A baseline by minute of week has 10,080 cells a query; almost all of them have seen two panes after
two weeks. The same week told by four waves a day and two a week has twelve numbers, knows the day
after a day, and is as smooth as crowds are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.shifts.columns import Floats
from stream.shifts.layout import F, P

DAY_S: Final = 86_400
_DAILY: Final = (1, 2, 3, 4)
_WEEKLY: Final = (1, 2)
_ROWS, _COLUMNS = np.triu_indices(F)
_TWICE: Final = np.where(_ROWS == _COLUMNS, 1.0, 2.0)
_RATES: Final = np.array(
    [2 * np.pi * k / DAY_S for k in _DAILY] + [2 * np.pi * k / (7 * DAY_S) for k in _WEEKLY]
)

DAILY: Final = slice(1, 1 + 2 * len(_DAILY))
WEEKLY: Final = slice(1 + 2 * len(_DAILY), F)


def features(starts_s: NDArray[np.int64]) -> Floats:
    """Return (Q, F): a constant one, then the waves of the day and of the week at `starts_s`."""
    angles = (starts_s % (7 * DAY_S))[:, None] * _RATES
    found = np.empty((len(starts_s), F))
    found[:, 0] = 1
    days = len(_DAILY)
    found[:, 1 : 1 + days] = np.cos(angles[:, :days])
    found[:, 1 + days : 1 + 2 * days] = np.sin(angles[:, :days])
    found[:, 1 + 2 * days : 3 + 2 * days] = np.cos(angles[:, days:])
    found[:, 3 + 2 * days :] = np.sin(angles[:, days:])
    return found


def products(feats: Floats) -> Floats:
    """Return (Q, P): the upper triangle of each row's outer product."""
    return feats[:, _ROWS] * feats[:, _COLUMNS]


def unpacked(packed: Floats) -> Floats:
    """Return (Q, F, F) symmetric matrices from their upper triangles."""
    full = np.empty((len(packed), F, F))
    full[:, _ROWS, _COLUMNS] = packed
    full[:, _COLUMNS, _ROWS] = packed
    return full


def packed(full: Floats) -> Floats:
    """Return (Q, P) from symmetric matrices."""
    return full[:, _ROWS, _COLUMNS]


def quadratic(packed_matrix: Floats, outer: Floats) -> Floats:
    """Return (Q,) x' M x for `outer = products(x)`, never negative."""
    return np.maximum(0.0, (packed_matrix * outer * _TWICE).sum(axis=1))


assert len(_ROWS) == P  # noqa: S101 the layout of stored states depends on it
