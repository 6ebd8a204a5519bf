"""How much is left untracked while the forecaster is behind: pure decisions over lag and time."""

from __future__ import annotations

from typing import Final

_AGAIN_AFTER_S: Final = 10.0
"""What a change of the divisor does shows no sooner."""
_CALM_S: Final = 60.0
"""So long the lag must be small before more is tracked again."""
_SMALL: Final = 0.25
"""A small lag, as a share of the one beyond which is shed."""


class Shedder:
    """Doubles the divisor of authors under lag, and halves it once the lag has stayed small.

    Args:
        after_s: The lag in seconds beyond which is shed.
        most: The largest divisor.

    Attributes:
        divisor: One author in so many times more is tracked.
    """

    def __init__(self, after_s: float, most: int) -> None:
        self._after_s = after_s
        self._most = most
        self.divisor = 1
        self._changed_at_s = float("-inf")
        self._calm_since_s: float | None = None

    def look(self, lag_s: float, now_s: float) -> bool:
        """Take a lag into account; return whether the divisor has changed.

        Args:
            lag_s: How far the forecaster is behind what is scored.
            now_s: Seconds that never go back.
        """
        if lag_s > self._after_s * _SMALL:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        wanted = self.divisor
        if lag_s > self._after_s and now_s - self._changed_at_s >= _AGAIN_AFTER_S:
            wanted = min(self.divisor * 2, self._most)
        elif self._calm_since_s is not None and now_s - self._calm_since_s >= _CALM_S:
            wanted = max(self.divisor // 2, 1)
        if wanted == self.divisor:
            return False
        self.divisor, self._changed_at_s, self._calm_since_s = wanted, now_s, None
        return True
