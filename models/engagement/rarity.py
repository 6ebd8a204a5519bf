"""How rare posts are: surprises in units that mean what they say, and what is kept to learn them.

What a forecast calls one in a thousand may be one in thirty: a post is looked at many times, each
of its counts is one more chance to be rare, and the tails of a forecast may be too light.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from models.engagement.distributions import Doubles
from models.engagement.layout import RARITIES

RARE: Final = 0.01
"""Of a hundred posts one comes below this surprise, however it is looked at."""
SAID: Final = RARITIES - 1
"""The rarity of a post that was said to take off: nothing is learnt of ordinary posts from it."""
_LEAST, _STEP = 2.0, 0.5
"""Rarities are steps of -log surprise from here on; those from 8.5 on are one."""


def rectified(surprise: Doubles, offset: ArrayLike, stretch: ArrayLike) -> Doubles:
    """Return surprises in honest units; monotone, from (0, 1] to (0, 1].

    Args:
        surprise: (B,) as the forecast has it.
        offset: (B,) of the sources, see `Exposure.learn_least`.
        stretch: (B,) as the offset.
    """
    knee = -np.log(RARE)
    logs = -np.log(np.maximum(surprise, 1e-300))
    moved = knee + np.asarray(offset)
    beyond = knee + (logs - moved) / np.asarray(stretch)
    return np.exp(-np.where(logs < moved, logs * knee / moved, beyond))


def rarity_of(raw: float) -> int:
    """Return how rare a surprise is, as it is kept: a number below `SAID`, 0 is ordinary.

    Args:
        raw: The surprise as the forecast has it.
    """
    steps = 1 + math.floor((-math.log(max(raw, 1e-300)) - _LEAST) / _STEP)
    return min(max(steps, 0), SAID - 1)


def surprise_of(rarity: int) -> float:
    """Return the surprise, as the forecast has it, in the middle of the step of a rarity."""
    return math.exp(-(_LEAST + (rarity - 0.5) * _STEP)) if rarity else 1.0
