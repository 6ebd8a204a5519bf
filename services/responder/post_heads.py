"""What the post encoder says of posts that may take off: sentiment and emotion, nothing else."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from core.heads import HEADS
from core.schemas import MICRO
from models.socialalign.crowd_config import CROWD_HEADS, HEAD_CLASSES

_PACKED: Final = struct.Struct(f"<{HEAD_CLASSES}I")
_VERSIONS: Final = 2
"""Of an edited post: what was said before the edit holds for an event that began before it."""


def packed_heads(scores: Mapping[str, list[int]]) -> bytes:
    """Return the heads that a crowd's forecast is made of; empty if one is missing or cannot be.

    Args:
        scores: Head -> its shares, in millionths.
    """
    found: list[int] = []
    for name in CROWD_HEADS:
        shares = scores.get(name)
        if shares is None or len(shares) != len(HEADS[name]):
            return b""
        if not all(0 <= share <= MICRO for share in shares):
            return b""
        found += shares
    return _PACKED.pack(*found)


class RememberedHeads:
    """The heads of the last posts; the oldest are forgotten first. Not thread-safe.

    Args:
        most: The number of posts at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, tuple[tuple[float, bytes], ...]] = {}

    def __len__(self) -> int:
        return len(self._of)

    def add(self, name: str, ingested_s: float, heads: bytes) -> None:
        """Remember what is said of a post, or of its edit.

        Args:
            name: The post.
            ingested_s: When ingest took what was scored, seconds since 1970.
            heads: As `packed_heads` gives them.
        """
        known = self._of.get(name, ())
        if any(at_s == ingested_s for at_s, _heads in known):
            return  # a worker that was killed says it twice
        self._of[name] = (*known, (ingested_s, heads))[-_VERSIONS:]
        while len(self._of) > self._most:
            del self._of[next(iter(self._of))]

    def remove(self, name: str) -> None:
        """Forget a post."""
        self._of.pop(name, None)

    def of(self, name: str, upto_s: float) -> list[float] | None:
        """Return a post's heads as shares, None where nothing was known of it by a time.

        Args:
            name: The post.
            upto_s: What ingest took later is not known, seconds since 1970.
        """
        for ingested_s, heads in reversed(self._of.get(name, ())):
            if ingested_s <= upto_s:
                return [share / MICRO for share in _PACKED.unpack(heads)]
        return None

    def forget_before(self, ingested_s: float) -> None:
        """Forget posts that ingest took before a time, as far as they stand at the old end."""
        while self._of:
            name, known = next(iter(self._of.items()))
            if known[-1][0] >= ingested_s:
                return
            del self._of[name]
