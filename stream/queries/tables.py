"""Lists of integers that are looked up for whole arrays of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]


class Table:
    """Lists of integers per key, laid out flat so that a whole array of keys is looked up."""

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self._starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        self._flat = np.array([value for row in rows for value in row], dtype=np.int64)

    def expand(self, keys: Integers) -> tuple[Integers, Integers]:
        """Return, for every value of every key in order, the row in `keys` and the value."""
        begins = self._starts[keys]
        counts = self._starts[keys + 1] - begins
        rows = np.repeat(np.arange(len(keys)), counts)
        before = np.cumsum(counts) - counts
        return rows, self._flat[np.arange(len(rows)) + (begins - before)[rows]]
