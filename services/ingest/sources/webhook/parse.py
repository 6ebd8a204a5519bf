"""What a request carries, and the records it comes to. Pure; never raises.

The types below are the contract: decoding checks them, errors name the field, and the JSON Schema
that the webhook serves is derived from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from core.clock import EPOCH
from core.schemas import Attached, AuthorId, Count, Language, Post, PostEvent, PostId, Time
from core.text import plain_text
from services.ingest.sources.base import SourceItem, Unmappable
from services.ingest.sources.records import language_of, recorded
from services.ingest.sources.webhook import MANIFEST
from services.ingest.sources.webhook.wire import WrongField

SOURCE: Final = MANIFEST.name
_KEPT_BYTES: Final = 65_536
_PATH: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`\Z")
_NAMED: Final = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]+)`")

Text = Annotated[str, Meta(max_length=100_000)]
Url = Annotated[str, Meta(max_length=2_048)]


class GivenPost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published text.

    Attributes:
        id: The sender's own, unique; a second post with it is counted once.
        author: The account that published it.
        text: What it says; may be empty.
        created_at: When it was published, with a zone.
        lang: The BCP-47 tag of its language.
        reply_to: The id of the post that this one answers.
        repost_of: The id of the post that this one repeats.
        url: Where people can read it.
        attached: What it says beside its text.
    """

    id: PostId
    author: AuthorId
    text: Text
    created_at: Time | None = None
    lang: Language = ""
    reply_to: PostId | None = None
    repost_of: PostId | None = None
    url: Url | None = None
    attached: Attached | None = None


class GivenEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened to a post.

    Attributes:
        kind: `edit` has `text`; `counts` has totals so far.
        post_id: The id of the post.
        author: The author of the post.
        at: When it happened, with a zone.
    """

    kind: Literal["edit", "delete", "counts", "like", "repost", "reply"]
    post_id: PostId
    author: AuthorId
    at: Time | None = None
    text: Text | None = None
    lang: Language = ""
    likes: Count | None = None
    replies: Count | None = None
    reposts: Count | None = None
    quotes: Count | None = None
    attached: Attached | None = None


class GivenItems(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request: posts, events, or both; in this order."""

    posts: tuple[GivenPost, ...] = ()
    events: tuple[GivenEvent, ...] = ()


_WORDS: Final = re.compile(r"[^.\[\]]+")
_FIELDS: Final = frozenset(
    name
    for kind in (GivenItems, GivenPost, GivenEvent)
    for name in (field.encode_name for field in msgspec.structs.fields(kind))
)
_decoder: Final = msgspec.json.Decoder(GivenItems)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a body."""
    return msgspec.json.schema(GivenItems)


def parse_body(body: bytes, max_items: int) -> GivenItems | WrongField:
    """Return what a body carries, or the field that is wrong; all of it is taken or nothing."""
    try:
        found = _decoder.decode(body)
    except msgspec.ValidationError as error:
        return _refusal(str(error))
    except UnicodeDecodeError:
        return WrongField("", "expected UTF-8")
    except RecursionError:
        return WrongField("", "expected less nesting")
    except msgspec.MsgspecError:
        return WrongField("", "expected JSON")
    count = len(found.posts) + len(found.events)
    if not count:
        return WrongField("", "expected at least one of `posts` and `events`")
    if count > max_items:
        return WrongField("", f"expected at most {max_items} posts and events in one request")
    for place, event in enumerate(found.events):
        if event.kind == "edit" and event.text is None:
            return WrongField(f"events[{place}].text", "expected the new text of an edit")
    return found


def _refusal(message: str) -> WrongField:
    found = _PATH.search(message)
    path = found["path"].strip(".") if found else ""
    what = message[: found.start()] if found else message
    named = _NAMED.search(what)
    if named:
        path = f"{path}.{named['name']}".lstrip(".")
    return WrongField(path, what[:300])


class GivenMapper:
    """Makes records of what was given.

    Args:
        author: Hides an account's name.
        now: Returns the ingest time.
    """

    def __init__(self, author: Callable[[str], str], now: Callable[[], datetime]) -> None:
        self._author = author
        self._now = now

    def records(self, given: GivenItems) -> list[Post | PostEvent]:
        """Return the records of a body, posts first."""
        now = self._now()
        posts = [self._post(post, now) for post in given.posts]
        return [*posts, *(self._event(event, now) for event in given.events)]

    def _post(self, given: GivenPost, now: datetime) -> Post:
        return Post(
            id=given.id,
            source=SOURCE,
            author=self._author(given.author),
            ingested_at=now,
            text=plain_text(given.text),
            claimed_at=_utc(given.created_at),
            lang=language_of(given.lang),
            reply_to=given.reply_to,
            repost_of=given.repost_of,
            url=given.url,
            attached=given.attached,
        )

    def _event(self, given: GivenEvent, now: datetime) -> PostEvent:
        return PostEvent(
            kind=given.kind,
            post_id=given.post_id,
            source=SOURCE,
            author=self._author(given.author),
            ingested_at=now,
            claimed_at=_utc(given.at),
            text=plain_text(given.text or "") if given.kind == "edit" else None,
            lang=language_of(given.lang),
            likes=given.likes,
            replies=given.replies,
            reposts=given.reposts,
            quotes=given.quotes,
            attached=given.attached if given.kind == "edit" else None,
        )


def _utc(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    try:
        return at.astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar
        return None


def unmappable(body: bytes, refusal: WrongField) -> Unmappable:
    """Return a refused body as it is kept; its sender is told more than what is kept beside it.

    What was expected may quote a value, and the name of a field may be any text.
    """
    words = _WORDS.findall(refusal.field)
    if not words:
        place = "the whole body"
    elif all(word.isdigit() or word in _FIELDS for word in words):
        place = refusal.field
    else:
        place = "a field that is not known"
    return Unmappable(body[:_KEPT_BYTES], f"refused at {place}")


def parse(body: bytes) -> list[SourceItem]:
    """Return what a body comes to, with 1970 as the ingest time."""
    found = parse_body(body, 1_000)
    if isinstance(found, WrongField):
        return recorded([unmappable(body, found)])
    return recorded(GivenMapper(str, lambda: EPOCH).records(found))
