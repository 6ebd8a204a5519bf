"""How long a run in which nothing moves is waited for: restarts are waited for until they are over.

How long a server takes to start says how busy the machine is, and nothing about the stream.
"""

from __future__ import annotations

from testkit.waiting import PATIENCE_S


class Patience:
    """Counts how long nothing has moved while every part of the stack was up."""

    def __init__(self, limit_s: float, restarts_limit_s: float = PATIENCE_S) -> None:
        """Only remember.

        Args:
            limit_s: With every part up it is waited for so long.
            restarts_limit_s: Restarts are waited for so long at most, all together: a part that
                comes back no more, or dies again and again, ends the run too.
        """
        self.limit_s = limit_s
        self._restarts_limit_s = restarts_limit_s
        self._restarts: list[tuple[float, float]] = []
        self._looked_at: float | None = None

    def look(self, now: float, is_restarting: bool) -> None:
        """Note whether any part of the stack is being started, since the look before."""
        began = self._looked_at
        self._looked_at = now
        if is_restarting and began is not None:
            self._restarts.append((began, now))

    def restarting_s(self, since: float) -> float:
        """Return for how many of the seconds since then some part was not up."""
        return sum(end - max(began, since) for began, end in self._restarts if end > since)

    def is_over(self, since: float, now: float) -> bool:
        """Tell whether what has not come since then is not waited for any longer."""
        excused_s = min(self.restarting_s(since), self._restarts_limit_s)
        return now - since - excused_s > self.limit_s
