"""How long each stage of a run took, said as it ends and in whole at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stages:
    """The stages of a run, one after the other."""

    def __init__(
        self, say: Callable[[str], None], clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to count.

        Args:
            say: Takes a line for whoever watches.
            clock_s: A clock that never goes back, in seconds.
        """
        self.say = say
        self._clock_s = clock_s
        self._began_s = clock_s()
        self._took: list[tuple[str, float]] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count what is done inside as one stage, also when it fails."""
        began_s = self._clock_s()
        try:
            yield
        finally:
            took_s = self._clock_s() - began_s
            self._took.append((name, took_s))
            self.say(f"{name}: {took_s:.0f} s")

    def report(self) -> str:
        """Return a line for each stage and one for all; what lay between them is in that one."""
        whole_s = self._clock_s() - self._began_s
        rows = [*self._took, ("in all", whole_s)]
        return "\n".join(f"{took_s:6.0f} s  {name}" for name, took_s in rows)
