"""What has happened to posts and forecasts have to take in, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from models.engagement.items import CountsSeen, PostSeen
from models.engagement.pending import PendingPost


class What(Enum):
    """What happened to a post."""

    POSTED = "posted"
    COUNTED = "counted"
    AGED = "aged"
    SETTLED = "settled"
    GONE = "gone"


@dataclass(slots=True)
class Noted:
    """Something that forecasts have to take in.

    Attributes:
        what: What happened.
        now_s: The clock of the partition then; never decreasing.
        key, post: Of the post.
        item: What brought it, if it was an item.
        row: The row of the post in what the model is asked.
        seen: (3,) counts by then, as they are known: None is unknown.
        known: How many outcomes of the author are known by then.
        approximate: Whether counts were added up from single ones by then.
    """

    what: What
    now_s: float
    key: bytes
    post: PendingPost
    item: PostSeen | CountsSeen | None = None
    row: int = -1
    seen: tuple[int | None, ...] = (None, None, None)
    known: int = 0
    approximate: bool = False

    @property
    def age_s(self) -> float:
        """The age of the post by then, in seconds."""
        return max(0.0, self.now_s - self.post.at)
