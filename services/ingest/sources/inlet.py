"""The bounded buffer between the thread that reads a network source and the one that polls it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from services.ingest.sources.base import SourceItem


class Inlet:
    """Holds what was read and not yet polled; a full inlet stops the reader.

    One reader (a coroutine of one event loop) puts, one thread takes. Bounded in items and in
    bytes of what was received, exceeded by one `put` at most.

    Args:
        max_items: The most items held.
        max_bytes: The most received bytes of the items held.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._chunks: deque[tuple[Sequence[SourceItem], int]] = deque()
        self._items = 0
        self._bytes = 0
        self._filled = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drained: asyncio.Event | None = None
        self.is_waiting = False
        """True while the reader waits for room: silence is then our own doing."""
        self.waits = 0
        """How often the reader had to wait."""

    def __len__(self) -> int:
        """Return how many items are held."""
        return self._items

    @property
    def is_full(self) -> bool:
        """True while `put` would wait."""
        return self._items >= self._max_items or self._bytes >= self._max_bytes

    async def put(self, items: Sequence[SourceItem], size_bytes: int) -> None:
        """Wait for room, then add; not reading the socket meanwhile is the back-pressure."""
        if self.is_full:
            await self._room()
        self._add(items, size_bytes)

    def offer(self, items: Sequence[SourceItem], size_bytes: int) -> bool:
        """Add if there is room; False means that they were not taken."""
        if self.is_full:
            return False
        self._add(items, size_bytes)
        return True

    def take(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        """Return up to `max_items`, waiting at most `timeout_s` for the first one."""
        with self._filled:
            if not self._chunks and timeout_s > 0:
                self._filled.wait(timeout_s)
            found: list[SourceItem] = []
            while self._chunks and len(found) < max_items:
                chunk, size_bytes = self._chunks.popleft()
                room = max_items - len(found)
                if len(chunk) > room:
                    # Its bytes leave with its last part: counting too many is the safe side.
                    self._chunks.appendleft((list(islice(chunk, room, None)), size_bytes))
                    chunk, size_bytes = list(islice(chunk, room)), 0
                found.extend(chunk)
                self._bytes -= size_bytes
            self._items -= len(found)
            wake = self.is_waiting and self._has_room
        if wake and self._loop is not None and self._drained is not None:
            with suppress(RuntimeError):  # the reader has ended since
                self._loop.call_soon_threadsafe(self._drained.set)
        return found

    @property
    def _has_room(self) -> bool:
        """A tenth of it free: waking the reader for single items would cost more."""
        return self._items <= self._max_items * 9 // 10 and self._bytes <= self._max_bytes * 9 // 10

    def _add(self, items: Sequence[SourceItem], size_bytes: int) -> None:
        if not items:
            return
        with self._filled:
            self._chunks.append((items, size_bytes))
            self._items += len(items)
            self._bytes += size_bytes
            self._filled.notify()

    async def _room(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._drained = asyncio.Event()
        self.waits += 1
        try:
            while self.is_full:
                self._drained.clear()
                with self._filled:
                    self.is_waiting = True
                    if self._has_room:
                        break
                await self._drained.wait()
        finally:
            self.is_waiting = False
