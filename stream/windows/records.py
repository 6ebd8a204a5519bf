"""What panes are made of: what a batch adds, what a pane sums up to, what was published of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

HEARTBEAT_QUERY: Final = "heartbeat"
"""The query of our own heartbeats; whoever reads panes leaves it out."""

_PUBLISHED: Final = re.compile(r"([0-9]{1,15}):(\w+):(sent|sending)", re.ASCII)

QueryIncrement = tuple[str, list[int], dict[str, list[int]], list[str]]
"""(query, counters, stratum -> four counters, authors)"""


@dataclass(slots=True)
class PaneSum:
    """A pane of one query, summed over partitions.

    Attributes:
        counters: by position, as in `stream.windows.layout.COUNTERS`.
        strata: stratum -> four counters, not yet capped.
        authors: unique authors, estimated; authors are on one partition each, so counts add up.
    """

    counters: list[int] = field(default_factory=list[int])
    strata: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    authors: int = 0


@dataclass(frozen=True, slots=True)
class Published:
    """What the closer last published of a query in a pane.

    Attributes:
        revision: 0 when first closed.
        digest: short hash of the content.
        acknowledged: False from the moment it is decided until Kafka has it: whoever finds it so
            publishes the same revision again, or the next one if the content has moved on.
    """

    revision: int
    digest: str
    acknowledged: bool

    def packed(self) -> str:
        """Return the form that the store keeps.

        Example:
            >>> Published(2, "c0ffee", True).packed()
            '2:c0ffee:sent'
        """
        return f"{self.revision}:{self.digest}:{'sent' if self.acknowledged else 'sending'}"

    @staticmethod
    def is_one(stored: bytes) -> bool:
        """Tell whether `unpacked` reads it."""
        return _PUBLISHED.fullmatch(stored.decode(errors="replace")) is not None

    @classmethod
    def unpacked(cls, stored: str) -> Published:
        """Return what `packed` made a string of.

        Raises:
            ValueError: It made no such string.
        """
        found = _PUBLISHED.fullmatch(stored)
        if found is None:
            raise ValueError(stored[:64])
        return cls(int(found[1]), found[2], found[3] == "sent")
