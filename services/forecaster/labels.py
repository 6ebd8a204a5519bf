"""Labels that stay bounded whatever comes."""

from __future__ import annotations

from typing import Final

MAX_SOURCES: Final = 64
OTHER: Final = "other"


class BoundedLabels:
    """Gives the first so many names a label of their own, and the rest one together.

    Args:
        most: How many names have their own.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._own: set[str] = set()

    def has_own(self, name: str) -> bool:
        """Tell whether a name has a label of its own; it is given one while there are some."""
        if name not in self._own and len(self._own) < self._most:
            self._own.add(name)
        return name in self._own

    def label(self, name: str) -> str:
        """Return the label of a name."""
        return name if self.has_own(name) else OTHER
