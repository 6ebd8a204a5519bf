"""What forecasts were worth: errors, coverage and ranks of outcomes as they became known.

Prequential: each outcome is compared with what was served before it was known. All sums are whole
numbers (steps of kept logs, thousandths of coverage), so that they are the same in any order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.items import Sums
from models.engagement.layout import STEPS

JUDGEMENT: Final = np.dtype(
    [
        ("served", "<u2"),  # logs
        ("floor", "<u2"),
        ("outcome", "<u2"),
        ("covered", "<u2"),  # thousandths
        ("judged", "u1"),  # 1 where the author had a known outcome
    ]
)
"""One known outcome and what was served for it."""
_WHOLE: Final = 1000
_LEAST_RANKED: Final = 10
_ENOUGH: Final = 0.2
"""A source may be greyed once this share of the last outcomes is known and judged."""


@dataclass(slots=True)
class _Running:
    """Sums of judgements, of which old ones may be taken out again."""

    outcomes: int = 0
    covered: int = 0
    judged: int = 0
    error: int = 0
    floor_error: int = 0

    def add(self, judgement: Judgement, sign: int = 1) -> None:
        served, floor, outcome, covered, judged = judgement
        self.outcomes += sign
        self.covered += sign * covered
        if judged:
            self.judged += sign
            self.error += sign * abs(outcome - served)
            self.floor_error += sign * abs(outcome - floor)

    def sums(self) -> Sums:
        return Sums(
            self.outcomes, self.covered / _WHOLE, self.judged, self.error / STEPS,
            self.floor_error / STEPS,
        )  # fmt: skip


Judgement = tuple[int, int, int, int, int]
"""Served, floor and outcome as kept logs, thousandths covered, whether judged; see `JUDGEMENT`."""

QualityParts = tuple[int, int, int, int, int, bytes]
"""Sums since the beginning, and the last judgements."""


class QualityLog:
    """The judgements of a source or of a query.

    Args:
        size: How many last ones are looked at.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._last: deque[Judgement] = deque()
        self._total = _Running()
        self._recent = _Running()
        self._ranked: tuple[float | None] | None = None  # what is looked at each second

    def add(self, judgement: Judgement) -> None:
        """Remember what came of a post."""
        self._total.add(judgement)
        self._remember(judgement)

    def _remember(self, judgement: Judgement) -> None:
        self._ranked = None
        self._recent.add(judgement)
        self._last.append(judgement)
        if len(self._last) > self._size:
            self._recent.add(self._last.popleft(), -1)

    def total(self) -> Sums:
        """Return the sums over all outcomes."""
        return self._total.sums()

    def recent(self) -> Sums:
        """Return the sums over the last outcomes."""
        return self._recent.sums()

    def is_enough(self, outcomes: int) -> bool:
        """Tell whether so many outcomes say something."""
        return outcomes >= _ENOUGH * self._size

    def has_enough(self) -> bool:
        """Tell whether so many outcomes are known that the last of them say something."""
        return self.is_enough(self._total.outcomes)

    def is_greyed(self) -> bool:
        """Tell whether the last forecasts were not better than the floor."""
        recent = self._recent
        return recent.judged >= _ENOUGH * self._size and recent.error >= recent.floor_error

    def rank_correlation(self) -> float | None:
        """Return Spearman's between what was served and what came, over the last outcomes."""
        if self._ranked is None:
            self._ranked = (self._correlate(),)
        return self._ranked[0]

    def _correlate(self) -> float | None:
        if len(self._last) < _LEAST_RANKED:
            return None
        served, _, outcome, _, _ = zip(*self._last, strict=True)
        first, second = _ranks(np.array(served)), _ranks(np.array(outcome))
        spread = float(first.std() * second.std())
        return (
            float(((first - first.mean()) * (second - second.mean())).mean()) / spread
            if (spread > 0)
            else None
        )

    def to_parts(self) -> QualityParts:
        """Return it as whole numbers and one blob, to be kept."""
        total = self._total
        last = np.array(list(self._last), JUDGEMENT).tobytes()
        return total.outcomes, total.covered, total.judged, total.error, total.floor_error, last

    @classmethod
    def from_parts(cls, parts: QualityParts, size: int) -> QualityLog:
        """Return what was kept.

        Raises:
            ValueError: It is nothing that `to_parts` returns.
        """
        *numbers, last = parts
        if min(numbers) < 0 or len(last) % JUDGEMENT.itemsize:
            raise ValueError("the quality has negative numbers or a part of an outcome")
        found = cls(size)
        found._total = _Running(*numbers)
        for judgement in np.frombuffer(last, JUDGEMENT).tolist()[-size:]:
            found._remember(judgement)
        return found


def _ranks(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,) the ranks of values, equal ones having the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place]
