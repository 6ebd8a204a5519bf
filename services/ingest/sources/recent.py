"""What was delivered lately, so that what a reconnect brings again is left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable


class Recent:
    """A bounded memory of keys; the oldest is forgotten first.

    Args:
        max_keys: how many are remembered (about 100 bytes each for a hash).

    Example:
        >>> recent = Recent(2)
        >>> [recent.is_new(key) for key in "aabca"]
        [True, False, True, True, True]
    """

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self._keys: set[Hashable] = set()
        self._order: deque[Hashable] = deque()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._keys)

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether `key` is remembered, without remembering it."""
        return key in self._keys

    def is_new(self, key: Hashable) -> bool:
        """Remember `key`; False if it was remembered already."""
        if key in self._keys:
            return False
        self._keys.add(key)
        self._order.append(key)
        if len(self._order) > self._max_keys:
            self._keys.discard(self._order.popleft())
        return True
