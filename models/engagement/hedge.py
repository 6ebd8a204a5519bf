"""A hedge between experts that is hardly worse than the best of them, whatever the source.

Exponential weights with a fixed share (Herbster and Warmuth 1998): an expert's weight falls with
its error on outcomes as they become known, and a little of all weight goes back to the prior, so
that it may recover when the source changes. One vector a source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.experts import EXPERTS, MED32

PRIOR: Final = (0.02, 0.85, 0.02, 0.02, 0.05, 0.01, 0.03)
"""Of `EXPERTS`: mostly the floor, so that a source without outcomes is safe from the model."""
RATE: Final = 0.25
SHARE: Final = 0.0002
_MAX_LOSS: Final = 4.0
"""In units of the usual error of the floor: one wild outcome says no more than this."""
_SCALE_RATE: Final = 0.01
_LEAST_SCALE: Final = 0.05


class Hedge:
    """The weights of one source, and how large errors usually are there.

    Attributes:
        weights: (7,) of `EXPERTS`; they sum to one.
        scale: The usual |log error| of med32; 0 before the first outcome.
    """

    def __init__(self, weights: Sequence[float] = PRIOR, scale: float = 0.0) -> None:
        self.weights: NDArray[np.float64] = np.array(weights, np.float64)
        self.scale = scale

    def update(self, experts: Sequence[float], outcome: float) -> None:
        """Learn from an outcome.

        Args:
            experts: (7,) what the experts had predicted, as logs.
            outcome: What came, as a log.
        """
        errors = [abs(outcome - expert) for expert in experts]
        floor = errors[MED32]
        if self.scale:
            self.scale += _SCALE_RATE * (min(floor, 5 * self.scale) - self.scale)
        else:
            self.scale = floor + 0.1
        unit = self.scale + _LEAST_SCALE
        least = min(errors)
        kept = [
            weight * math.exp(-RATE * (min(error / unit, _MAX_LOSS) - min(least / unit, _MAX_LOSS)))
            for weight, error in zip(self.weights.tolist(), errors, strict=True)
        ]
        whole = sum(kept)
        self.weights = np.array(
            [
                (1 - SHARE) * weight / whole + SHARE * prior
                for weight, prior in zip(kept, PRIOR, strict=True)
            ]
        )


def is_hedge(weights: Sequence[float], scale: float) -> bool:
    """Tell whether these can be the numbers of a hedge."""
    return (
        len(weights) == len(EXPERTS)
        and all(0 <= weight <= 1 for weight in weights)
        and abs(sum(weights) - 1) < 1e-6
        and 0 <= scale < 100
    )
