"""From the fifteen numbers of a network to quantiles that never cross.

Of each target five: the median less the author's base, and the steps from the median to 0.75, from
there to 0.9, from the median down to 0.25, and from there to 0.1. Steps are made positive, so that
the quantiles are in order whatever the network says.
"""

from typing import Final

import numpy as np

from models.engagement import exact
from models.engagement.exact import Doubles
from models.engagement.features import BASES, Floats
from models.engagement.layout import LEVELS, TARGETS

PER_TARGET: Final = len(LEVELS)


def quantiles_of(numbers: Doubles, features: Floats) -> Floats:
    """Return (B, 3, 5) quantiles of log1p of the counts, at least zero.

    Args:
        numbers: (B, 15) what a network answers.
        features: (B, F) what it was asked, for the bases.
    """
    of_target = numbers.reshape(len(numbers), len(TARGETS), PER_TARGET)
    base = np.nan_to_num(features[:, list(BASES)].astype(np.float64))
    steps = exact.positive(of_target[:, :, 1:])
    middle = base + of_target[:, :, 0]
    upper, lower = middle + steps[:, :, 0], middle - steps[:, :, 2]
    found = [lower - steps[:, :, 3], lower, middle, upper, upper + steps[:, :, 1]]
    return np.maximum(np.stack(found, axis=2), 0).astype(np.float32)
