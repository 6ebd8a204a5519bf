"""When what a file gives leaves, and the times that it bears."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from core.clock import epoch_ms, from_epoch_ms
from core.schemas import Post, PostEvent
from services.ingest.replay.mapping import SOURCE, MappedRow
from services.ingest.replay.pending import DueCounts, RefusedCount
from services.ingest.sources.base import SourceContext, SourceItem, Unmappable
from services.ingest.sources.replay.options import ReplayOptions

Leaving: TypeAlias = MappedRow | DueCounts | RefusedCount
"""What a file gives: a row, or what follows from one."""
_QUOTED: Final = re.compile(r""" (['"]).*\1""", re.DOTALL)
"""A value of a row in the reason why it is no post."""


class Timing:
    """Gives posts their times and their turn."""

    def __init__(
        self, options: ReplayOptions, context: SourceContext, cursor: dict[str, Any]
    ) -> None:
        self._options = options
        self._clock = context.clock
        self._started = context.clock.now()
        self._sent = 0
        self._last_at: datetime | None = None
        self._first_at: datetime | None = None
        self._now_ms: int | None = cursor.get("now_ms")
        if "first_ms" in cursor:
            self._first_at = from_epoch_ms(cursor["first_ms"])
        self._rows_before = 0

    def item(self, leaving: Leaving, cursor: dict[str, int]) -> SourceItem:
        """Return the item that leaves."""
        at = leaving.at
        if at is not None and self._first_at is None:
            self._first_at = at
        due_s = self._due_s(at)
        item = SourceItem(self._record(leaving, due_s), self._with_start(cursor), due_s=due_s)
        self._sent += isinstance(leaving, MappedRow)
        return item

    def _record(self, leaving: Leaving, due_s: float) -> Post | PostEvent | Any:
        if isinstance(leaving, DueCounts):
            return self._counts(leaving, due_s)
        if isinstance(leaving, RefusedCount):
            return Unmappable(leaving.raw, _QUOTED.sub("", leaving.detail))
        record = leaving.record
        if isinstance(record, Post):
            return self._timed(record, due_s)
        if isinstance(record, Unmappable):
            # Who looks at the file is shown the value; what is kept of it names nobody.
            return Unmappable(record.raw, _QUOTED.sub("", record.detail))
        return record

    def _with_start(self, cursor: dict[str, int]) -> dict[str, int]:
        """Return the cursor with what shifted times are measured from."""
        if self._options.times != "shifted":
            return cursor
        if self._now_ms is None:
            self._now_ms = epoch_ms(self._started)
        first = self._first_at or self._started
        return cursor | {"now_ms": self._now_ms, "first_ms": epoch_ms(first)}

    def passed(self, leaving: Leaving) -> None:
        """Note what left before a restart."""
        if not isinstance(leaving, MappedRow):
            return
        self._rows_before += 1
        if isinstance(leaving.record, Post) and leaving.at is not None:
            self._last_at = leaving.at

    def _due_s(self, at: datetime | None) -> float:
        """Seconds after the start of this run; at or below 0 means at once."""
        if self._options.rate_posts_per_s:
            return self._sent / self._options.rate_posts_per_s
        if not self._options.speed or at is None or self._first_at is None:
            return 0.0
        due_s = (at - self._first_at).total_seconds() / self._options.speed
        if self._now_ms is not None:
            # Resumed with shifted times: what fell due while nobody ran leaves at once.
            due_s -= (epoch_ms(self._started) - self._now_ms) / 1000
        return due_s

    def _timed(self, post: Post, due_s: float) -> Post:
        """Set the ingest time, and with shifted times the claimed time.

        With recorded times ingest lives at the recorded time, too: nothing is clamped, and a
        replay at any speed gives the same windows.
        """
        if self._options.times == "recorded":
            if post.claimed_at is None:
                at = self._last_at or self._clock.now()
                return msgspec.structs.replace(post, ingested_at=at)
            self._last_at = post.claimed_at
            return post
        claimed, ingested = self._shifted(due_s)
        return msgspec.structs.replace(post, claimed_at=claimed, ingested_at=ingested)

    def _counts(self, due: DueCounts, due_s: float) -> PostEvent:
        """Return the event that tells the counts of a post, timed as posts are."""
        claimed = ingested = due.at
        if self._options.times == "shifted":
            claimed, ingested = self._shifted(due_s)
        likes, replies, reposts, quotes = due.totals
        return PostEvent(
            kind="counts", post_id=due.post_id, source=SOURCE, author=due.author,
            ingested_at=ingested, claimed_at=claimed, likes=likes, replies=replies,
            reposts=reposts, quotes=quotes,
        )  # fmt: skip

    def _shifted(self, due_s: float) -> tuple[datetime, datetime]:
        """Return the shifted claimed time, and the ingest time, of what is due now."""
        now_ms = epoch_ms(self._started) if self._now_ms is None else self._now_ms
        if self._options.rate_posts_per_s:
            offset_s = (self._rows_before + self._sent) / self._options.rate_posts_per_s
        else:
            offset_s = due_s + (epoch_ms(self._started) - now_ms) / 1000
        claimed = from_epoch_ms(now_ms) + timedelta(seconds=offset_s)
        # What is paced is made just before it is due; its ingest time is when it leaves.
        return claimed, max(claimed, self._clock.now())
