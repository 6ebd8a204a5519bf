"""The base of sources that remember: what they find is numbered, delivered once, and kept in mind.

A subclass says what it found, in any order and as often as it likes; what of it is new, an edit or
a deletion is decided here, by what Kafka has acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import msgspec

from core.authors import author_hasher
from core.errors import ConfigError, FatalError
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.sources.base import (
    Cursor,
    Gap,
    Ignored,
    SourceContext,
    SourceItem,
    Unmappable,
)
from services.ingest.sources.live import LiveSource
from services.ingest.sources.memory import DELETED, HeldPosts, Recent, SourceMemory, has_reached
from services.ingest.sources.options import LiveOptions, check_values
from services.ingest.sources.records import Found, Skipped, edit_of, fitted_event

ITEM_BYTES: Final = 1_000
"""About what an item weighs in the buffer that has no bytes of its own."""
_MAX_COUNTS: Final = 10_000
_MAX_REFUSED: Final = 10_000
_NO_CURSOR: Final = (
    LookupError, TypeError, ValueError, AttributeError, msgspec.ValidationError,
)  # fmt: skip

LiveO = TypeVar("LiveO", bound=LiveOptions)
Delivered: TypeAlias = Post | PostEvent | Unmappable | Ignored | Gap


class RememberingSource(LiveSource[LiveO]):
    """A live source that numbers its items and remembers what Kafka has of them.

    Its cursor is `n`, the number of the last item, and `at`, a place of the platform (a stream, a
    listing) and the mark up to which nothing of it is missing. All but `start_at`, `acknowledged`,
    `recalls` and `close` runs on the reader's event loop.

    Attributes:
        at: Place -> mark; replaced, never changed, as it stands in cursors.
        cursor: The cursor after the last item.
        max_held: How many posts are remembered.
        author_key: The key of the author hashes; empty where the authors are public.
        hide: Returns the author id for an account's name.
    """

    first_counts: ClassVar[tuple[int, int, int, int]] = (0, 0, 0, 0)
    """The likes, replies, reposts and quotes that every post begins with: they are no news."""

    def __init__(self, options: LiveO, context: SourceContext) -> None:
        manifest = self.manifest
        if manifest.module and find_spec(manifest.module) is None:
            raise ConfigError(
                f"{manifest.name}: the package {manifest.module} is not installed: expected the "
                f"extra `{manifest.extra}` of this project"
            )
        check_values(manifest.name, options).check(context.secret)
        super().__init__(options, context, options.limits)
        self.author_key = context.author_key if options.authors == "hashed" else Secret()
        self.hide = author_hasher(self.author_key)
        self.max_held = 100_000
        self.at: dict[str, Any] = {}
        self.cursor: Cursor | None = None
        self.number = 0
        self.memory: SourceMemory | None = None
        self.turn = asyncio.Lock()
        self.memory_path = context.state_dir / manifest.memory
        self._counts: dict[str, tuple[int, ...]] = {}
        self._refused = Recent(_MAX_REFUSED)

    # -- what a subclass may change -----------------------------------------------------------

    def open_memory(self, *, is_fresh: bool) -> SourceMemory | None:
        """Open what is remembered beside the cursor; posts unless a source says otherwise."""
        if not self.manifest.memory:
            return None
        return HeldPosts(self.memory_path, self.max_held, is_fresh=is_fresh)

    def restore(self, cursor: Any) -> tuple[int, dict[str, Any]]:
        """Return the number and the places of a stored cursor; may raise whatever that makes it."""
        return int(cursor["n"]), dict(cursor.get("at", {}))

    def cursor_after(self, number: int, at: Mapping[str, Any]) -> Cursor:
        """Return the cursor after the item of this number."""
        return {"n": number, "at": at}

    def later(self, one: Any, other: Any) -> Any:
        """Return the later of two marks."""
        return max(one, other)

    # -- the runner's thread ------------------------------------------------------------------

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor and what is remembered beside it."""
        self.cursor = cursor
        self.number, self.at = 0, {}
        if cursor is not None:
            try:
                self.number, self.at = self.restore(cursor)
            except _NO_CURSOR as error:
                raise ConfigError(
                    f"{self.name}: the stored cursor {cursor!r} is none of this source: {error}; "
                    "--fresh starts over"
                ) from error
        self.turn = asyncio.Lock()  # of the loop that is about to start
        self.memory = self.open_memory(is_fresh=cursor is None)

    def acknowledged(self, cursor: Cursor) -> None:
        """Remember what Kafka has."""
        if self.memory is not None:
            self.memory.acknowledged(self.restore(cursor)[0])

    def recalls(self, cursor: Cursor) -> bool:
        """Tell whether the memory went as far as this cursor."""
        return not self.manifest.memory or has_reached(self.memory_path, self.restore(cursor)[0])

    def close(self) -> None:
        """Stop reading and close the memory."""
        super().close()
        if self.memory is not None:
            self.memory.close()
            self.memory = None

    # -- what a session calls -----------------------------------------------------------------

    @property
    def held(self) -> HeldPosts:
        """The posts that were delivered lately."""
        if not isinstance(self.memory, HeldPosts):
            raise FatalError(f"{self.name}: it holds no posts, or is closed")
        return self.memory

    def was_refused(self, raw: bytes) -> bool:
        """Tell whether this was no post before: what is polled is there at the next look, too."""
        return not self._refused.is_new(hash(raw))

    async def take(
        self, found: Found, size_bytes: int = ITEM_BYTES, place: str = "", mark: Any = None
    ) -> bool:
        """Deliver what was found of a post, unless it was delivered before.

        A post that was delivered and has another text by now becomes an edit, one that is gone a
        deletion. Cancelled while there is no room, nothing has happened: it is neither passed nor
        remembered, and is delivered when it comes again.

        Args:
            found: The record, and which post and edit it is of.
            size_bytes: The size of what it was made of.
            place: Where it was found; "" for nowhere that is gone through in order.
            mark: The mark up to which none of the place is missing then.

        Returns:
            True if it made an item.
        """
        async with self.turn:
            at = self.at_after(place, mark)
            record = self._unless_known(found)
            if record is None:
                self.repeated()
            else:
                # Before it is handed on: Kafka may have it before this line goes on.
                self._remember(self.number + 1, record, found)
                kept = Ignored() if isinstance(record, Skipped) else record
                await self.hand_on([kept], size_bytes, at)
            self.at = at
            return record is not None

    async def take_counts(self, found: Found, size_bytes: int = ITEM_BYTES) -> None:
        """Deliver the counts of a post that differ from those delivered last."""
        event = found.record
        if not isinstance(event, PostEvent):
            return
        counts = tuple(n or 0 for n in (event.likes, event.replies, event.reposts, event.quotes))
        known = self._counts.pop(found.post_id, self.first_counts)
        self._counts[found.post_id] = counts
        if len(self._counts) > _MAX_COUNTS:
            del self._counts[next(iter(self._counts))]
        if counts != known:
            await self.take(found, size_bytes)

    async def miss(self, cause: str, lost_s: float) -> None:
        """Say that items cannot be had."""
        async with self.turn:
            await self.hand_on([Gap(cause, max(0.0, lost_s))], 0)

    def at_after(self, place: str, mark: Any) -> dict[str, Any]:
        """Return `at` once a place has been gone through up to a mark."""
        if not place or not mark:
            return self.at
        return {**self.at, place: self.later(self.at[place], mark) if place in self.at else mark}

    async def hand_on(
        self, records: Sequence[Delivered], size_bytes: int, at: dict[str, Any] | None = None
    ) -> None:
        """Deliver the records of one message under the next number, whatever is known of them.

        The cursor moves with the last of them: a crash in between repeats all. Nothing is awaited
        before they are in the buffer, if that has room. Whoever calls has the `turn`, or is alone.

        Args:
            records: At least one.
            size_bytes: The size of the message.
            at: What `at` is in their cursor; as before unless given.
        """
        self.number += 1
        before, self.cursor = self.cursor, self.cursor_after(self.number, at or self.at)
        items = [SourceItem(record, before) for record in records[:-1]]
        items.append(SourceItem(records[-1], self.cursor))
        try:
            await self.deliver(items, size_bytes)
        except BaseException:
            # Cancelled while there was no room: it is delivered when it comes again.
            self.cursor = before
            if isinstance(self.memory, HeldPosts):
                self.memory.take_back(self.number)
            raise

    def _unless_known(self, found: Found) -> Post | PostEvent | Unmappable | Skipped | None:
        """Return what is to be delivered, None for what was."""
        record, version = found.record, found.version
        if isinstance(record, Unmappable) or not found.post_id:
            return record
        held = self.held.find(found.post_id)
        if isinstance(record, Skipped):
            if held is None:
                return record
            is_news = record.is_gone and held.version != DELETED
            return self._deletion(found.post_id, held.author) if is_news else None
        if held is None or (isinstance(record, PostEvent) and record.kind != "edit"):
            return record
        if held.version == DELETED or version <= held.version:
            return None
        return edit_of(record) if isinstance(record, Post) else record

    def _deletion(self, post_id: str, author: str) -> PostEvent | Unmappable:
        event = PostEvent(
            kind="delete", post_id=post_id, source=self.name, author=author,
            ingested_at=self.context.clock.now(),
        )  # fmt: skip
        return fitted_event(event, post_id.encode("utf-8", "replace"))

    def _remember(
        self, number: int, record: Post | PostEvent | Unmappable | Skipped, found: Found
    ) -> None:
        """Note what item `number` says of a post.

        An edit of a post that was not delivered is no reason to leave the post out when it comes;
        a deletion of one is.
        """
        post_id = found.post_id
        if not post_id or isinstance(record, Unmappable):
            return
        if isinstance(record, Skipped):
            if record.is_gone:
                self.held.remember(number, post_id, "", DELETED)
        elif isinstance(record, Post):
            self.held.remember(number, post_id, record.author, found.version)
        elif record.kind == "delete":
            self.held.remember(number, post_id, record.author, DELETED)
        elif record.kind == "edit" and self.held.find(post_id):
            self.held.remember(number, post_id, record.author, found.version)
