"""How long to wait before something that was away is asked again."""

from __future__ import annotations

import random
from typing import Final

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


def pause_s(attempt: int, chance: random.Random) -> float:
    """Return how long to wait before try `attempt + 1`: exponential, with full jitter.

    Full jitter spreads the workers that all lost the same server at the same moment.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt, 10))
    return chance.uniform(longest / 4, longest)
