"""What is usual in a source: for authors of whom no outcome is known."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from typing import Final

from models.engagement.layout import UNKNOWN

REMEMBERED: Final = 64


class UsualCounts:
    """The last known outcomes of a source, target by target, and their medians.

    Args:
        outcomes: For each target the last outcomes, as kept logs, oldest first.
    """

    def __init__(self, outcomes: Sequence[Sequence[int]] = ((), (), ())) -> None:
        self._last = [deque(values, REMEMBERED) for values in outcomes]
        self._ordered = [sorted(values) for values in outcomes]

    def add(self, counts: Sequence[int]) -> None:
        """Remember (3,) counts as kept logs; `UNKNOWN` ones are not."""
        for last, ordered, count in zip(self._last, self._ordered, counts, strict=True):
            if count == UNKNOWN:
                continue
            if len(last) == REMEMBERED:
                del ordered[bisect_left(ordered, last[0])]
            last.append(count)
            insort(ordered, count)

    def medians(self) -> list[int]:
        """Return (3,) medians as kept logs; 0 where nothing is known."""
        return [ordered[(len(ordered) - 1) // 2] if ordered else 0 for ordered in self._ordered]

    def known(self) -> list[bool]:
        """Tell of which targets an outcome was ever known."""
        return [bool(ordered) for ordered in self._ordered]

    def outcomes(self) -> list[list[int]]:
        """Return what is remembered, to be kept."""
        return [list(values) for values in self._last]
