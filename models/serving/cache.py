"""Scores of texts seen lately, so that copied text is scored once."""

from hashlib import blake2b
from typing import Generic, TypeVar

Value = TypeVar("Value")


def content_key(text: str) -> bytes:
    """128 bits that stand for a normalised text: no text is kept in memory by the cache."""
    return blake2b(text.encode(), digest_size=16).digest()


class RecentCache(Generic[Value]):
    """A bounded map that forgets what was not used lately. Not thread-safe.

    Two generations: a hit moves the entry to the young one; when that is full the old one is
    dropped whole. Between `capacity / 2` and `capacity` of the latest entries are kept, at the
    cost of plain dictionary look-ups.
    """

    def __init__(self, capacity: int) -> None:
        self._half = capacity // 2
        self._young: dict[bytes, Value] = {}
        self._old: dict[bytes, Value] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: bytes) -> Value | None:
        """The value of `key`, or None."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: Value) -> None:
        """Keep `value`; does nothing when the capacity is below 2."""
        if self._half < 1:
            return
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value
        self._old.pop(key, None)
