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
class ScoringModel:
    """The model whose scores panes are made of.

    Attributes:
        version: The version of the model; "" if several have had a part.
        since_s: The start of the first pane that it alone has scored, seconds since 1970; -1 if it
            has scored all of them.
    """

    version: str
    since_s: int

    def of(self, start_s: int) -> str:
        """Return the version that alone has scored the pane that starts then, or ""."""
        return self.version if start_s >= self.since_s else ""


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
