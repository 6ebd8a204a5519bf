"""After how long a call to one of several servers is asked of another as well."""

from typing import Final

LEAST_DELAY_S: Final = 1.0
_TIMES_THE_LONGEST: Final = 3.0
_KEPT: Final = 0.9
"""Of the longest call, at each that is shorter: a spell of long ones is soon forgotten."""


class HedgeDelay:
    """A few times the longest call of late, within bounds.

    Args:
        timeout_s: The time-out of a call. At most half of it is waited, or the other server has no
            time left; a quarter while no call has been answered.
        least_s: So long at the least: a busy machine makes any call wait.
    """

    def __init__(self, timeout_s: float, least_s: float = LEAST_DELAY_S) -> None:
        self.least_s = least_s
        self._timeout_s = timeout_s
        self._longest_s = 0.0

    def note(self, took_s: float) -> None:
        """Learn how long a call took that was answered."""
        self._longest_s = max(took_s, _KEPT * self._longest_s + (1 - _KEPT) * took_s)

    def seconds(self) -> float:
        """Return after how long another server is asked."""
        if not self._longest_s:
            return self._timeout_s / 4
        return min(max(self.least_s, _TIMES_THE_LONGEST * self._longest_s), self._timeout_s / 2)
