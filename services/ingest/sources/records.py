"""From checked fields to records: what every parser of a platform ends with. Pure; never raises."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from core.languages import language_tag
from core.schemas import (
    MAX_AUTHOR_CHARS,
    MAX_ID_CHARS,
    MAX_PIECE_CHARS,
    MAX_PIECES,
    Attached,
    Post,
    PostEvent,
)
from core.text import plain_text
from services.ingest.sources.base import Ignored, SourceItem, Unmappable

MAX_URL_CHARS: Final = 2048
MAX_COUNT: Final = 2**53 - 1
_NOTHING: Final = Attached()
_decoder: Final = msgspec.json.Decoder()


GONE: Final = frozenset(("deleted", "unknown_post"))
"""Reasons of `Skipped` that say: this post is no longer there."""


class Skipped(msgspec.Struct, frozen=True):
    """Well understood and left out on purpose; `reason` is from the parser's closed set."""

    reason: str

    @property
    def is_gone(self) -> bool:
        """True if its author or the platform took the post away."""
        return self.reason in GONE


class Found(msgspec.Struct, frozen=True):
    """What a thing of a platform came to.

    Attributes:
        record: The record, or why there is none.
        version: The edit it is, in words that rise with time; "" if it was never edited.
        post_id: The post meant, where it is known.
    """

    record: Post | PostEvent | Unmappable | Skipped
    version: str = ""
    post_id: str = ""


def recorded(found: Iterable[Post | PostEvent | Unmappable | Skipped]) -> list[SourceItem]:
    """Return the items of a body that was recorded, for checks of a parser; skipped is ignored."""
    kept = (Ignored() if isinstance(one, Skipped) else one for one in found)
    return [SourceItem(record, place) for place, record in enumerate(kept, start=1)]


def decode_json(raw: bytes) -> Any:
    """Return the JSON value in `raw`, or an `Unmappable` that says why there is none."""
    try:
        return _decoder.decode(raw)
    except UnicodeDecodeError:
        return Unmappable(raw, "not UTF-8")
    except RecursionError:
        return Unmappable(raw, "JSON nested deeper than the decoder follows")
    except msgspec.MsgspecError:
        return Unmappable(raw, "not JSON")


def text_of(value: Any) -> str:
    """Return a string, or a number as one; "" for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


def dict_of(value: Any) -> dict[str, Any]:
    """Return an object of JSON, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def dicts_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list of JSON; none for anything else."""
    found = value if isinstance(value, list) else ()
    return [one for one in found if isinstance(one, dict)]


def count_of(value: Any) -> int | None:
    """Return a count, 0 for a negative one, None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return min(max(value, 0), MAX_COUNT)


def time_of(value: Any) -> datetime | None:
    """Return an RFC 3339 time in UTC; one without a zone is taken as UTC; None if it is none.

    Example:
        >>> time_of("2026-01-01T01:00:00+01:00").isoformat()
        '2026-01-01T00:00:00+00:00'
    """
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is UTC:
            return found
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def language_of(value: Any) -> str:
    """Return a BCP-47 tag, or "" for what names no language: then the language is detected.

    Example:
        >>> language_of("pt_BR"), language_of("und"), language_of("English")
        ('pt-BR', '', 'en')
    """
    return language_tag(value) if isinstance(value, str) else ""


def attached_of(
    *,
    tags: Iterable[Any] = (),
    links: Iterable[Any] = (),
    cards: Iterable[Any] = (),
    alts: Iterable[Any] = (),
    polls: Iterable[Any] = (),
) -> Attached | None:
    """Return what a post says beside its text, or None for nothing.

    What is no string, or an empty one, is left out, as are pieces beyond the bounds of the schema;
    entities are undone. Pieces that are HTML have to be given as text.

    Example:
        >>> attached_of(tags=["#flood", "flood", None], alts=["a road &amp; water"]).tags
        ('flood',)
    """
    found = Attached(
        tags=_pieces(one.lstrip("#＃") if isinstance(one, str) else one for one in tags),
        links=_pieces(links),
        cards=_pieces(cards),
        alts=_pieces(alts),
        polls=_pieces(polls),
    )
    return None if found == _NOTHING else found


def _pieces(values: Iterable[Any]) -> tuple[str, ...]:
    """Return distinct pieces of text, at most as many and as long as the schema has them."""
    found: dict[str, None] = {}
    for value in values:
        if isinstance(value, str) and (piece := _encodable(plain_text(value)).strip()):
            found[piece[:MAX_PIECE_CHARS]] = None
            if len(found) == MAX_PIECES:
                break
    return tuple(found)


def fitted_post(post: Post, raw: bytes) -> Post | Unmappable:
    """Return a post as the schema has it, or why it cannot be one; `raw` is kept then.

    The text is one that readers see (`core.text`): it is taken as it is. What it answers or
    repeats, and its address, are left out where they are none, or too long.
    """
    fault = _fault(post.id, post.author)
    if fault:
        return Unmappable(raw, fault)
    url = post.url or ""
    return msgspec.structs.replace(
        post,
        text=_encodable(post.text),
        reply_to=_id_or_none(post.reply_to),
        repost_of=_id_or_none(post.repost_of),
        url=_encodable(url) if 0 < len(url) <= MAX_URL_CHARS else None,
    )


def fitted_event(event: PostEvent, raw: bytes) -> PostEvent | Unmappable:
    """Return an event as the schema has it, or why it cannot be one; `raw` is kept then."""
    fault = _fault(event.post_id, event.author)
    if fault:
        return Unmappable(raw, fault)
    if event.text is None or event.text.isascii():
        return event
    return msgspec.structs.replace(event, text=_encodable(event.text))


def _id_or_none(value: str | None) -> str | None:
    return value if value and len(value) <= MAX_ID_CHARS else None


def edit_of(post: Post) -> PostEvent:
    """Return the edit that gives a post that was delivered before its present text."""
    return PostEvent(
        kind="edit",
        post_id=post.id,
        source=post.source,
        author=post.author,
        ingested_at=post.ingested_at,
        text=post.text,
        lang=post.lang,
        attached=post.attached,
    )


def _fault(post_id: str, author: str) -> str:
    if not post_id:
        return "no id"
    if len(post_id) > MAX_ID_CHARS:
        return f"the id has {len(post_id)} characters, expected at most {MAX_ID_CHARS}"
    if not author:
        return "no author"
    if len(author) > MAX_AUTHOR_CHARS:
        return f"the author has {len(author)} characters, expected at most {MAX_AUTHOR_CHARS}"
    try:
        (post_id + author).encode()
    except UnicodeEncodeError:
        return "id or author is not Unicode text"
    return ""


def _encodable(text: str) -> str:
    """Return text that UTF-8 can carry: lone surrogates become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
