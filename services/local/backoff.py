"""How long to wait before a process that died is started again."""

import random

_RECOVERED_AFTER_S = 30.0


class Backoff:
    """Waits that double with every death in a row, each spread at random over its upper half.

    The spread keeps several workers that died of one cause from coming back in step.

    Example:
        >>> waits = Backoff(first_s=0.2, longest_s=5.0, seed=1)
        >>> [0.1 <= waits.next_wait_s(ran_s=0.0) <= 0.2, 0.2 <= waits.next_wait_s(ran_s=0.0) <= 0.4]
        [True, True]
    """

    def __init__(
        self, first_s: float = 0.2, longest_s: float = 8.0, seed: int | None = None
    ) -> None:
        """Start without a history; `seed` fixes the random spread."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._deaths_in_a_row = 0
        self._random = random.Random(seed)

    def next_wait_s(self, ran_s: float) -> float:
        """Return seconds to wait after a process died that had run for `ran_s` seconds."""
        if ran_s > _RECOVERED_AFTER_S:
            self._deaths_in_a_row = 0
        ceiling = min(self._longest_s, self._first_s * 2.0**self._deaths_in_a_row)
        self._deaths_in_a_row += 1
        return ceiling * self._random.uniform(0.5, 1.0)
