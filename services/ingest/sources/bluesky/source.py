"""Bluesky by Jetstream: sessions, positions, repeats and gaps put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from core.clock import epoch_ms
from core.errors import ConfigError
from core.schemas import Post, PostEvent
from services.ingest.sources.base import Cursor, Gap, SourceContext, SourceItem, Unmappable
from services.ingest.sources.bluesky import MANIFEST
from services.ingest.sources.bluesky.client import (
    Dictionaries,
    SessionRefused,
    Unpacker,
    open_socket,
    shown_name,
)
from services.ingest.sources.bluesky.options import BlueskyOptions
from services.ingest.sources.bluesky.parse import EventMapper
from services.ingest.sources.bluesky.position import Place, Renumbered, Resumption
from services.ingest.sources.bluesky.wire import (
    PARSERS,
    ErrorFrame,
    Event,
    Frame,
    Malformed,
    Notice,
)
from services.ingest.sources.live import SessionEnded
from services.ingest.sources.memory import DELETED, Recent
from services.ingest.sources.pacing import Hosts
from services.ingest.sources.remembering import RememberingSource

_ROUNDS_REFUSED: Final = 5
"""Refused by every host so often before the first event, the options are at fault."""
_LAG_EVERY: Final = 256
_FUTURE: Final = "FutureCursor"
_CAUSE_OF: Final = {"ConsumerTooSlow": "too_slow", "CursorTooOld": "refused"}


class BlueskySource(RememberingSource[BlueskyOptions]):
    """All of Bluesky as it happens.

    Cursor: server, its number of the event, when it saw it (microseconds), our own count.
    """

    manifest: ClassVar = MANIFEST
    name: ClassVar[str] = MANIFEST.name
    Options = BlueskyOptions

    def __init__(self, options: BlueskyOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self.max_held = options.max_held_posts
        self.hosts = Hosts(options.hosts)
        self.resumption = Resumption(options.rewind_s)
        self._mapper = EventMapper(self.author_key, self._posts_of)
        self._parse = PARSERS[options.protocol]
        self._recent = Recent(options.max_recent_events)
        self._dictionaries = Dictionaries(options)
        self._refusals = 0
        self._has_received = False
        self._is_open = False
        self._is_silent = True
        self._stuck_at: Place | None = None

    def restore(self, cursor: Any) -> tuple[int, dict[str, Any]]:
        """Return the number of a stored place."""
        place = cursor if isinstance(cursor, Place) else msgspec.convert(cursor, Place)
        return place.number, {}

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor and the posts that are still held."""
        super().start_at(cursor)
        self.resumption.restore(cursor)

    # -- the reader's thread ------------------------------------------------------------------

    async def session(self) -> None:
        """Go on where the last session ended, until this one does."""
        host = self.hosts.current
        self._is_open, self._is_silent = False, True
        unpacker = await self._dictionaries.of(host)
        plan = self.resumption.plan(host, self._start_us())
        self.log.info("connecting", host=host, by=plan.by, cursor=plan.cursor)
        async with open_socket(self.options, host, plan.cursor, unpacker) as socket:
            self.connected()
            self._is_open = True
            is_first = True
            while True:
                message: bytes = await socket.recv(decode=False)
                self.heard()
                self.received()
                frame = self._unpacked(message, unpacker)
                if isinstance(frame, Event):
                    if is_first:
                        is_first = False
                        await self._judge_start(host, frame)
                    await self._deliver_event(host, frame, message)
                elif isinstance(frame, Malformed):
                    await self._deliver_malformed(host, frame, message)
                else:
                    self._told(frame)

    def _unpacked(self, message: bytes, unpacker: Unpacker | None) -> Frame:
        if unpacker is None:
            return self._parse(message)
        content = unpacker.unpack(message)
        return Malformed(content) if isinstance(content, str) else self._parse(content)

    def _start_us(self) -> int:
        if not self.options.start_s_ago:
            return 0
        return self._now_us() - int(self.options.start_s_ago * 1e6)

    def _now_us(self) -> int:
        return epoch_ms(self.context.clock.now()) * 1_000

    async def _judge_start(self, host: str, first: Event) -> None:
        self._has_received, self._is_silent, self._refusals = True, False, 0
        try:
            lost_s = self.resumption.judge(first.seq, first.us)
        except Renumbered:
            raise SessionEnded(
                "renumbered", f"{host} has other numbers than before", at_once=True
            ) from None
        # A server that lost its last moments takes them in again, later and under other numbers:
        # what begins with something we know leaves nothing out.
        if lost_s and _key(first) not in self._recent:
            place = self.resumption.last
            await self.deliver([SourceItem(Gap("not_kept", lost_s), place)], 0)

    async def _deliver_event(self, host: str, event: Event, message: bytes) -> None:
        self.number += 1
        before = self.resumption.last
        place = Place(host, event.seq, event.us, self.number)
        self.resumption.moved(place)
        is_known = self.resumption.is_repeat(host, event.seq)
        if not self._recent.is_new(_key(event)) or is_known:
            self.repeated()
            return
        now = self.context.clock.now()
        if not self.number % _LAG_EVERY:
            self.at_position(now.timestamp() - event.us / 1e6)
        records = self._mapper.records(event, message, now)
        for record in records:
            if isinstance(record, Post):
                self.held.remember(self.number, record.id, record.author)
            elif isinstance(record, PostEvent) and record.kind == "delete":
                self.held.remember(self.number, record.post_id, record.author, DELETED)
        # A message is done with its last record: a crash in between repeats all of them.
        earlier = before or Place(host, 0, event.us, self.number - 1)
        items = [SourceItem(record, earlier) for record in records[:-1]]
        await self.deliver([*items, SourceItem(records[-1], place)], len(message))

    async def _deliver_malformed(self, host: str, frame: Malformed, message: bytes) -> None:
        self.number += 1
        last = self.resumption.last or Place(host, 0, self._now_us(), 0)
        place = msgspec.structs.replace(last, number=self.number)
        kept = Unmappable(message, frame.detail)
        await self.deliver((SourceItem(kept, place),), len(message))

    def _posts_of(self, author: str) -> Sequence[str]:
        return self.held.ids_from(f"at://{author}/")

    def _told(self, frame: Notice | ErrorFrame) -> None:
        if isinstance(frame, ErrorFrame):
            cause = _CAUSE_OF.get(frame.error, "server_error")
            raise SessionEnded(cause, shown_name(frame.error))
        self.log.warning("server notice", notice=shown_name(frame.name) or "another")
        if frame.name == _FUTURE and self.resumption.is_by_number:
            self.resumption.distrust_numbers()
            raise SessionEnded("renumbered", "our number is of the future there", at_once=True)

    # -- what changes after a session ---------------------------------------------------------

    def on_session_ended(self, error: SessionEnded) -> None:
        """Take another server after a failure; change what was asked for after a refusal.

        Raises:
            ConfigError: every server refuses the options, and none ever took them.
        """
        if isinstance(error, SessionRefused) and self._has_answer_to(error):
            return
        if error.cause == "stalled" and self._is_silent:
            # What was asked for again did not come: numbers that the server does not have yet?
            self.resumption.distrust_numbers()
        if error.cause == "too_large":
            # Once may be chance; twice at the same place, it lies in the way.
            if self._stuck_at is self.resumption.last:
                self.resumption.refused()
            self._stuck_at = self.resumption.last
        if error.cause == "refused" and not self._has_received:
            self._refusals += 1
            if self._refusals >= _ROUNDS_REFUSED * len(self.hosts):
                # Nothing was received from anybody yet: these words are about our options.
                words = error.words if isinstance(error, SessionRefused) else ""
                raise ConfigError(f"bluesky: the server refuses the options: {error} {words}")
        if not self._is_open or error.cause in ("stalled", "too_slow"):
            self.hosts.rotate()

    def _has_answer_to(self, refusal: SessionRefused) -> bool:
        """Change what was refused, if it is known what; True if the same host is asked again."""
        if refusal.name == "UnknownZstdDictionary":
            self._dictionaries.forget(self.hosts.current)
            return True
        if refusal.is_about_cursor and self.resumption.can_ask_otherwise:
            self.resumption.refused()
            refusal.at_once = True
            return True
        return False


def _key(event: Event) -> int:
    """Return what is the same whenever and wherever an event is received: a hash, to save room."""
    if event.kind == "commit":
        return hash((event.did, event.rev, event.collection, event.rkey, event.operation))
    return hash((event.did, event.kind, event.us, event.account and event.account.seq))
