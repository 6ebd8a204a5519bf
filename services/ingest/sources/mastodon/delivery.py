"""One line of items from several tasks: each post once, in order, with the cursor after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from core.schemas import Post, PostEvent
from services.ingest.sources.base import Gap, Ignored, SourceItem, Unmappable
from services.ingest.sources.held_posts import DELETED, HeldPosts
from services.ingest.sources.mastodon.parse import UNKNOWN_POST, Mapped
from services.ingest.sources.mastodon.positions import later
from services.ingest.sources.records import Skipped, edit_of

_MAX_COUNTS: Final = 10_000
_NO_COUNTS: Final = (0, 0, 0, 0)


class Delivery:
    """Hands on what streams and timelines bring, unless it was delivered before.

    Args:
        held: what was delivered lately.
        cursor: as stored; None in a fresh run.
        send: hands items to the runner, waiting while there is no room.
        repeated: called for what is left out.

    Attributes:
        at: stream -> id of the newest status before which none is missing; replaced, never
            changed, as it is in cursors.
    """

    def __init__(
        self,
        held: HeldPosts,
        cursor: dict[str, Any] | None,
        send: Callable[[Sequence[SourceItem], int], Awaitable[None]],
        repeated: Callable[[], None],
    ) -> None:
        fields = cursor or {}
        self._held = held
        self._n: int = fields.get("n", 0)
        self.at: dict[str, str] = dict(fields.get("at", {}))
        self._send = send
        self._repeated = repeated
        # The buffer takes one at a time; streams and catching up are tasks of their own.
        self._one_at_a_time = asyncio.Lock()
        self._counts: dict[str, tuple[int, ...]] = {}

    def pass_by(self, stream: str, status_id: str) -> None:
        """Say that no status of a stream up to this one is missing."""
        self.at = self._after(stream, status_id)

    async def deliver(
        self, mapped: Mapped, size_bytes: int, stream: str = "", passes: str = ""
    ) -> int:
        """Hand on one record, unless it was delivered before; return how many items it made.

        Cancelled while there is no room, nothing has happened: the record is neither passed nor
        remembered, and is delivered when it comes again.

        Args:
            mapped: the record.
            size_bytes: of what it was made of.
            stream: where it was; "" if in none.
            passes: the status up to which none of the stream is missing then; "" means that of a
                post.
        """
        async with self._one_at_a_time:
            if not passes and isinstance(mapped.record, Post):
                passes = mapped.record.id
            at = self._after(stream, passes)
            record = self._unless_known(mapped)
            if record is None:
                self._repeated()
            else:
                kept = Ignored() if isinstance(record, Skipped) else record
                # Before it is handed on: Kafka may have it before this line goes on.
                self._remember(self._n + 1, record, mapped)
                try:
                    await self._hand_on(kept, at, size_bytes)
                except BaseException:
                    self._held.take_back(self._n)
                    raise
            self.at = at
            return 0 if record is None else 1

    def _after(self, stream: str, status_id: str) -> dict[str, str]:
        if not stream or not status_id:
            return self.at
        return {**self.at, stream: later(self.at.get(stream, ""), status_id)}

    async def deliver_counts(self, mapped: Mapped, size_bytes: int) -> None:
        """Deliver counts that differ from those known: none, or those delivered last."""
        found = mapped.record
        if not isinstance(found, PostEvent):
            return
        counts = (found.likes or 0, found.replies or 0, found.reposts or 0, found.quotes or 0)
        known = self._counts.pop(mapped.post_id, _NO_COUNTS)
        self._counts[mapped.post_id] = counts
        if len(self._counts) > _MAX_COUNTS:
            del self._counts[next(iter(self._counts))]
        if counts != known:
            await self.deliver(mapped, size_bytes)

    async def miss(self, cause: str, lost_s: float) -> None:
        """Say that items cannot be had."""
        async with self._one_at_a_time:
            await self._hand_on(Gap(cause, max(0.0, lost_s)), self.at, 0)

    async def _hand_on(
        self,
        record: Post | PostEvent | Unmappable | Ignored | Gap,
        at: dict[str, str],
        size_bytes: int,
    ) -> None:
        self._n += 1
        await self._send([SourceItem(record, {"n": self._n, "at": at})], size_bytes)

    def _unless_known(self, mapped: Mapped) -> Post | PostEvent | Unmappable | Skipped | None:
        """Return what is to be delivered: a known post again is nothing, or an edit."""
        record, version = mapped.record, mapped.version
        if not isinstance(record, Post | PostEvent):
            return record
        held = self._held.find(mapped.post_id)
        if isinstance(record, Post):
            if held is None:
                return record
            if held.version == DELETED or version <= held.version:
                return None
            return edit_of(record)
        if record.kind == "edit" and held is not None:
            return None if held.version == DELETED or version <= held.version else record
        return record

    def _remember(
        self, n: int, record: Post | PostEvent | Unmappable | Skipped, mapped: Mapped
    ) -> None:
        """Note what item `n` says of a post.

        An edit of a post that was not delivered is no reason to leave the post out when it comes;
        a deletion of one is.
        """
        held, post_id = self._held, mapped.post_id
        if not post_id:
            return
        if isinstance(record, Post):
            held.remember(n, post_id, record.author, mapped.version)
        elif isinstance(record, Skipped):
            if record.reason == UNKNOWN_POST:
                held.remember(n, post_id, "", DELETED)
        elif isinstance(record, PostEvent) and record.kind == "delete":
            held.remember(n, post_id, record.author, DELETED)
        elif isinstance(record, PostEvent) and record.kind == "edit" and held.find(post_id):
            held.remember(n, post_id, record.author, mapped.version)
