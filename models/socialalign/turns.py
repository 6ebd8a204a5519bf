"""The turns of one crowd: where its answers stopped being those that were expected, and to what.

Shapes: `N` answers, `C` classes of the label.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.socialalign.live import LiveCrowd
from models.socialalign.posterior import Floats
from models.socialalign.turning import Counts, turn_path


@dataclass(frozen=True, slots=True)
class AnswersSince:
    """The last answers of a crowd, beside what was expected of them.

    Attributes:
        since_s, upto_s: When the first and the last of them were written, seconds since 1970.
        expected: (C,) shares expected by the answers before them.
        observed: (C,) how often each label is among them.
    """

    since_s: float
    upto_s: float
    expected: Floats
    observed: Sequence[int]


class CrowdPath:
    """What spoke for a crowd having turned after each of its answers, in the order of their times.

    Args:
        crowd: The crowd as it is now; what comes later is not seen.

    Attributes:
        evidence: (N,) the logarithm of the statistic of `CrowdTurn`.
    """

    def __init__(self, crowd: LiveCrowd) -> None:
        self._prior = crowd.prior
        self._times, self._labels = crowd.in_order()
        said = self._prior().add_all(self._labels)["posterior"]
        self.evidence: Floats
        self._since: Counts
        self.evidence, self._since = turn_path(self._labels, said, len(crowd.counts))

    @property
    def now(self) -> float:
        """The evidence after the last answer; minus infinity before the first."""
        return float(self.evidence[-1]) if len(self.evidence) else float("-inf")

    @property
    def upto_s(self) -> float:
        """When the last answer was written, seconds since 1970; minus infinity without one."""
        return self._times[-1] if self._times else float("-inf")

    def last_beyond(self, least: float, after_s: float) -> int | None:
        """Return the place of the last answer after which the evidence was so much.

        Args:
            least: So much evidence or more.
            after_s: Only answers that were written later, seconds since 1970.
        """
        first = bisect_right(self._times, after_s)
        places = np.flatnonzero(self.evidence[first:] >= least)
        return first + int(places[-1]) if len(places) else None

    def turned(self, place: int) -> AnswersSince:
        """Return the answers since the turn that is seen at the answer at a place."""
        return self._between(place + 1 - int(self._since[place]), place + 1)

    def since(self, since_s: float) -> AnswersSince | None:
        """Return the answers written at a time or later; None if there are none."""
        first = bisect_left(self._times, since_s)
        return self._between(first, len(self._times)) if first < len(self._times) else None

    def _between(self, first: int, end: int) -> AnswersSince:
        before = self._prior()
        before.add_all(self._labels[:first])
        observed = np.bincount(self._labels[first:end], minlength=len(before.forecast))
        return AnswersSince(
            self._times[first], self._times[end - 1], before.shares(), observed.tolist()
        )
