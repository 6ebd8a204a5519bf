"""How far to believe that posts of a source differ in how uncertain they are, learnt from outcomes.

A model gives each post widths of its own. Calibrators put them right in the mean; whether a post
whose width is twice that of another is twice as uncertain, they do not ask. Where it is not, the
widest forecasts hide what takes off and the narrowest make ordinary posts seem rare. So what takes
off is read against widths that are shrunk, in logs, towards what is usual in the source.

The share that is kept maximises the likelihood of errors as double-exponential, with a scale that
is log-linear in the width as modelled (multiplicative heteroscedasticity, Harvey 1976), by one
Newton step an outcome. It begins at one: as modelled, until outcomes say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from models.engagement.conformal import Spread
from models.engagement.layout import STEPS, TARGETS

_MEMORY: Final = 5_000.0
"""Outcomes over which information decays by a factor of e."""
_USUAL_MEMORY: Final = 500.0
_FIRST_INFORMATION: Final = 1.0
"""So sure it is at first that the model's differences are true."""
_MOST_ERROR: Final = 5.0
"""In usual errors: one wild outcome says no more than this."""
_LEAST_WIDTH: Final = 1 / STEPS
_MOST_LOG: Final = 20.0
_MOST_OUTCOMES: Final = 100_000

Learnt = tuple[float, float, float, float, float, float, int]
"""Of a target: the usual log width below and above the median, the usual error in widths below and
above, the share that is kept, how sure that is, and the outcomes that taught it."""
Shrunk = tuple[float, float, float]
"""Of a target, as it is in use: the usual log widths below and above, and the share."""
FIRST: Final[Learnt] = (0.0, 0.0, 0.0, 0.0, 1.0, _FIRST_INFORMATION, 0)
AS_MODELLED: Final[Shrunk] = (0.0, 0.0, 1.0)


class ShrunkWidths:
    """The widths of one kind of forecasts of a source; bounded, deterministic.

    Args:
        learnt: What is known, for each of `TARGETS`.
        in_use: What is in use since the last `use`, for each of them.
    """

    def __init__(self, learnt: Sequence[Learnt] = (), in_use: Sequence[Shrunk] = ()) -> None:
        self._learnt = list(learnt) or [FIRST] * len(TARGETS)
        self._in_use = list(in_use) or [AS_MODELLED] * len(TARGETS)

    def to_parts(self) -> tuple[list[Learnt], list[Shrunk]]:
        """Return it as numbers, to be kept."""
        return self._learnt, self._in_use

    def use(self) -> None:
        """Shrink from now on by what is known by now."""
        self._in_use = [(down, up, share) for down, up, _, _, share, _, _ in self._learnt]

    def shrunk(self, target: int, down: float, up: float) -> tuple[float, float]:
        """Return the widths below and above the median of a target, in logs, given the modelled."""
        usual_down, usual_up, share = self._in_use[target]
        if share == 1:
            return down, up
        return _towards(down, usual_down, share), _towards(up, usual_up, share)

    def update(self, target: int, modelled: Spread, count: int) -> None:
        """Learn from an outcome of a target, given the forecast with its widths as modelled."""
        usual = list(self._learnt[target][:2])
        errors = list(self._learnt[target][2:4])
        *_, share, information, outcomes = self._learnt[target]
        widths = (modelled.down, modelled.up)
        logs = [min(math.log(max(width, _LEAST_WIDTH)), _MOST_LOG) for width in widths]
        off = math.log(count + 1) - modelled.middle
        side = int(off > 0)
        outcomes = min(outcomes + 1, _MOST_OUTCOMES)
        step = max(1 / outcomes, 1 / _USUAL_MEMORY)
        for place, log in enumerate(logs):
            usual[place] += step * (log - usual[place])
        apart = logs[side] - usual[side]
        error = abs(off) / math.exp(usual[side] + share * apart)
        if errors[side]:
            error = min(error, _MOST_ERROR * errors[side])
            information += apart * apart - information / _MEMORY
            share += apart * (error / errors[side] - 1) / max(information, _FIRST_INFORMATION)
            share = min(max(share, 0.0), 1.0)
            errors[side] += step * (error - errors[side])
        else:
            errors[side] = error
        self._learnt[target] = (
            usual[0], usual[1], errors[0], errors[1], share, information, outcomes,
        )  # fmt: skip


def are_shrunk(learnt: Sequence[Learnt], in_use: Sequence[Shrunk]) -> bool:
    """Tell whether these can be the numbers of one kind of forecasts; a NaN never can."""
    return len(learnt) == len(in_use) == len(TARGETS) and all(
        all(abs(log) <= _MOST_LOG for log in (down, up, usual_down, usual_up))
        and all(0 <= number < math.inf for number in (below, above, information))
        and all(0 <= one <= 1 for one in (share, used))
        and 0 <= outcomes <= _MOST_OUTCOMES
        for (down, up, below, above, share, information, outcomes), (usual_down, usual_up, used)
        in zip(learnt, in_use, strict=True)
    )  # fmt: skip


def _towards(width: float, usual: float, share: float) -> float:
    return math.exp(usual + share * (math.log(max(width, _LEAST_WIDTH)) - usual))
