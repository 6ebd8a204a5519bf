"""What is kept of responses, for people: each reply says what it is, and nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from msgspec import to_builtins

from core.codec import response_decoder
from core.errors import DecodeError
from core.response_schemas import Response, ShownReply
from core.settings import Settings
from services.bootstrap import make_store
from stream.store.response_texts import StoredResponse, post_name

DELETED: Final = "deleted"


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """A reply as it is shown.

    Attributes:
        event: The post that takes off, as `source|id`.
        kind: `real`, `quoted` or `generated`.
        text: What it says; `deleted` if its text is there no more.
        is_deleted: Its text is there no more.
        reply_id: The id of the post that people wrote; empty for what a model wrote.
        likes, expected, copies, event_post, similarity, score: As in `ShownReply`.
    """

    event: str
    kind: str
    text: str
    is_deleted: bool
    reply_id: str
    likes: int | None
    expected: float | None
    copies: int
    event_post: str
    similarity: float | None
    score: float | None

    def fields(self) -> dict[str, Any]:
        """Return it by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class EventRow:
    """A post that takes off, with what is shown of it."""

    response: Response
    text: str
    replies: Sequence[ReplyRow]

    def fields(self) -> dict[str, Any]:
        """Return it by name, without its replies."""
        told = self.response
        return {
            "event": post_name(told.source, told.post_id), "text": self.text,
            "state": told.state, "made_at": told.made_at.isoformat(), "seen": told.seen,
            "no_forecast": told.no_forecast, "model_version": told.model_version,
            "seed": told.seed, "crowd": None if told.crowd is None else to_builtins(told.crowd),
        }  # fmt: skip


@dataclass(slots=True)
class ResponsesView:
    """What is kept, read once; the newest first.

    Attributes:
        events: The posts that take off.
        notes: What could not be read, a sentence each.
    """

    events: list[EventRow] = field(default_factory=list[EventRow])
    notes: list[str] = field(default_factory=list[str])

    def take(self, stored: StoredResponse) -> None:
        """Add what is kept of an event."""
        try:
            told = response_decoder.decode(stored.response)
        except DecodeError as error:
            self.notes.append(f"the response to {stored.event!r} cannot be read: {error}")
            return
        text = stored.texts.get(stored.event, DELETED if told.state == "withdrawn" else "")
        rows = [_row(stored.event, told, one, stored.texts) for one in told.replies]
        self.events.append(EventRow(told, text, rows))

    def figures(self) -> dict[str, float | None]:
        """Return the figures for `--json`, flat."""
        found: Counter[str] = Counter(events=len(self.events))
        for event in self.events:
            found[event.response.state] += 1
            for reply in event.replies:
                found[DELETED if reply.is_deleted else reply.kind] += 1
        names = ("events", "current", "over", "withdrawn", "real", "quoted", "generated", DELETED)
        return {name: found[name] for name in names}


def _row(event: str, told: Response, one: ShownReply, texts: Mapping[str, str]) -> ReplyRow:
    text = one.text if one.kind == "generated" else texts.get(post_name(told.source, one.reply_id))
    return ReplyRow(
        event, one.kind, DELETED if text is None else text, text is None, one.reply_id, one.likes,
        one.expected, one.copies, one.event_post, one.similarity, one.score,
    )  # fmt: skip


async def read_responses(settings: Settings, last: int) -> ResponsesView:
    """Read what is kept of the last events.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    store, view = make_store(settings), ResponsesView()
    try:
        for stored in await store.responses.events(last):
            view.take(stored)
    finally:
        await store.close()
    return view
