"""The histories of the authors of a partition: at most so many, the longest silent go first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.history import new_history
from models.engagement.layout import HISTORY, LAYOUT, OUTCOMES

_FIRST_ROWS: Final = 256


class AuthorHistories:
    """Records of `HISTORY` by author key.

    Whom to forget is decided by what the records say alone (the last post, then the key), so that
    it is the same after a restart.

    Args:
        most: How many authors are remembered at most.

    Attributes:
        changed: The keys whose record is another than it was, or gone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[bytes, int] = {}
        self._table = np.zeros(_FIRST_ROWS, HISTORY)
        self._free: list[int] = list(range(_FIRST_ROWS))
        self._silent: list[tuple[int, bytes]] = []
        self.changed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def find(self, key: bytes) -> NDArray[Any] | None:
        """Return the record of an author as an array of one that may be changed, None if none.

        It is to be changed at once: a later call of `add` may move all records.
        """
        row = self._rows.get(key)
        if row is None:
            return None
        self.changed.add(key)
        return self._table[row : row + 1]

    def known(self, key: bytes) -> int:
        """Return how many outcomes of an author are known."""
        row = self._rows.get(key)
        return 0 if row is None else int(self._table["known"][row])

    def blob(self, key: bytes) -> bytes | None:
        """Return the record of an author as it is kept, None where there is none."""
        row = self._rows.get(key)
        return None if row is None else self._table[row].tobytes()

    def add(self, key: bytes, at_s: float, record: NDArray[Any] | None = None) -> bool:
        """Remember a new author who posts now, in place of the longest silent one if need be.

        Returns:
            Whether another was forgotten.
        """
        is_full = len(self._rows) >= self._most
        if is_full:
            self._forget(self._longest_silent()[1])
        if not self._free:
            self._free = list(range(len(self._table), 2 * len(self._table)))
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        row = self._free.pop()
        self._rows[key] = row
        self._table[row : row + 1] = new_history() if record is None else record
        heapq.heappush(self._silent, (int(at_s), key))
        self.changed.add(key)
        return is_full

    def latest(self) -> float:
        """Return the time of the latest post, 0 where there is none."""
        return float(self._table["last_at"][list(self._rows.values())].max(initial=0))

    def expire(self, before_s: float) -> int:
        """Forget who has been silent since before a moment; return how many these were."""
        gone = 0
        while self._silent and self._silent[0][0] < before_s:
            last_s, key = self._longest_silent()
            if last_s >= before_s:
                break
            self._forget(key)
            gone += 1
        return gone

    def _longest_silent(self) -> tuple[int, bytes]:
        """Return the last post and key of who has been silent for longest."""
        while True:
            noted, key = self._silent[0]
            last_s = int(self._table["last_at"][self._rows[key]])
            if last_s <= noted:
                return noted, key
            heapq.heapreplace(self._silent, (last_s, key))

    def _forget(self, key: bytes) -> None:
        """Forget the longest silent one."""
        heapq.heappop(self._silent)
        self._free.append(self._rows.pop(key))
        self.changed.add(key)

    def load(self, blobs: Iterable[tuple[bytes, bytes]], clock_s: float) -> list[tuple[bytes, str]]:
        """Take over what was kept; return what cannot be used, and what is wrong with it."""
        refused: list[tuple[bytes, str]] = []
        for key, blob in blobs:
            wrong = _fault(key, blob, clock_s)
            if wrong:
                refused.append((key, wrong))
                continue
            record = np.frombuffer(blob, HISTORY)
            self.add(key, float(record["last_at"][0]), record)
        self.changed.clear()
        return refused


def _fault(key: bytes, blob: bytes, clock_s: float) -> str:
    """Return what is wrong with the record of an author, "" for nothing."""
    if len(key) != 8:
        return f"a key of {len(key)} bytes, expected 8"
    if len(blob) != HISTORY.itemsize:
        return f"{len(blob)} bytes, expected {HISTORY.itemsize}"
    record = np.frombuffer(blob, HISTORY)[0]
    if record["layout"] != LAYOUT:
        return f"layout {record['layout']}, expected {LAYOUT}"
    if record["known"] > OUTCOMES:
        return f"{record['known']} known outcomes, expected at most {OUTCOMES}"
    if not 0 < record["last_at"] <= clock_s:
        return f"a last post at {record['last_at']}, expected one up to {clock_s:.0f}"
    return ""
