"""Reddit's things (posts and comments) as records. Pure; never raises."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from core.clock import EPOCH
from core.schemas import Post, PostEvent
from core.text import plain_text
from services.ingest.sources.base import SourceItem, Unmappable
from services.ingest.sources.records import (
    Found,
    Skipped,
    attached_of,
    count_of,
    decode_json,
    dict_of,
    dicts_of,
    fitted_event,
    fitted_post,
    recorded,
    text_of,
)
from services.ingest.sources.reddit import MANIFEST

SOURCE: Final = MANIFEST.name
POST_KIND: Final = "t3"
COMMENT_KIND: Final = "t1"
GONE: Final = frozenset(("[deleted]", "[removed]", "[ Removed by Reddit ]"))
DELETED: Final = "deleted"
PROMOTED: Final = "promoted"
_SITE: Final = "https://www.reddit.com"


class Thing(Found, frozen=True):
    """What one thing of a listing came to; `post_id` is its full name, such as `t3_abc`.

    Attributes:
        created_s: When it was published, seconds since 1970; 0 if it does not say.
        score, replies: The counts so far.
    """

    created_s: float = 0.0
    score: int | None = None
    replies: int | None = None


class Listing(Struct, frozen=True):
    """A page of a listing: its things, newest first, and where the next page is ("" if none)."""

    things: tuple[Thing, ...]
    after: str = ""


class ThingMapper:
    """Maps what Reddit answers.

    Args:
        author: Hides an account's name.
        now: Returns the ingest time.
    """

    def __init__(self, author: Callable[[str], str], now: Callable[[], datetime]) -> None:
        self._author = author
        self._now = now

    def listing(self, tree: Any) -> Listing | Unmappable:
        """Map a listing."""
        page = tree.get("data") if isinstance(tree, dict) else None
        children = page.get("children") if isinstance(page, dict) else None
        if not isinstance(page, dict) or not isinstance(children, list):
            return Unmappable(_raw(tree)[:65_536], "expected a listing with data.children")
        return Listing(tuple(map(self.thing, children)), text_of(page.get("after")))

    def thing(self, tree: Any) -> Thing:
        """Map a post or a comment."""
        raw = _raw(tree)
        fields = tree.get("data") if isinstance(tree, dict) else None
        kind = text_of(tree.get("kind")) if isinstance(tree, dict) else ""
        if not isinstance(fields, dict) or kind not in (POST_KIND, COMMENT_KIND):
            return Thing(Unmappable(raw, "expected a thing of kind t1 or t3"))
        own_id = text_of(fields.get("id"))
        thing_id = text_of(fields.get("name")) or (f"{kind}_{own_id}" if own_id else "")
        created_s = _seconds(fields.get("created_utc"))
        edited = fields.get("edited")
        version = "" if isinstance(edited, bool) or edited is None else str(_seconds(edited))
        return Thing(
            self._record(fields, kind, thing_id, created_s, raw),
            version,
            thing_id,
            created_s,
            count_of(fields.get("score")),
            count_of(fields.get("num_comments")),
        )

    def _record(
        self, fields: dict[str, Any], kind: str, thing_id: str, created_s: float, raw: bytes
    ) -> Post | Unmappable | Skipped:
        if fields.get("promoted") is True:
            return Skipped(PROMOTED)
        if is_gone(fields, kind):
            return Skipped(DELETED)
        name = text_of(fields.get("author"))
        link = text_of(fields.get("permalink"))
        post = Post(
            id=thing_id,
            source=SOURCE,
            author=self._author(name) if name else "",
            ingested_at=self._now(),
            text=_text(fields, kind),
            claimed_at=_time(created_s),
            reply_to=text_of(fields.get("parent_id")) if kind == COMMENT_KIND else None,
            repost_of=text_of(fields.get("crosspost_parent")),
            url=f"{_SITE}{link}" if link.startswith("/") else None,
            attached=attached_of(**pieces_of(fields)),
        )
        return fitted_post(post, raw)

    def counts(self, thing: Thing, author: str) -> Found:
        """Return the counts of a thing so far."""
        record = PostEvent(
            kind="counts",
            post_id=thing.post_id,
            source=SOURCE,
            author=author,
            ingested_at=self._now(),
            likes=thing.score,
            replies=thing.replies,
        )
        return Found(fitted_event(record, _raw(thing.post_id)), post_id=thing.post_id)


def is_gone(fields: dict[str, Any], kind: str) -> bool:
    """Tell whether a thing was deleted by its author or removed by others."""
    if fields.get("author") is None or fields.get("removed_by_category") is not None:
        return True
    body = fields.get("body" if kind == COMMENT_KIND else "selftext")
    return text_of(fields.get("author")) in GONE or text_of(body) in GONE


def _text(fields: dict[str, Any], kind: str) -> str:
    # Markdown, which has entities; Reddit's own escapes are not asked for (`raw_json`).
    return plain_text(_written(fields, kind))


def _written(fields: dict[str, Any], kind: str) -> str:
    if kind == COMMENT_KIND:
        return text_of(fields.get("body")).strip()
    title, body = text_of(fields.get("title")).strip(), text_of(fields.get("selftext")).strip()
    return f"{title}\n\n{body}" if title and body else title or body


def pieces_of(fields: dict[str, Any]) -> dict[str, list[Any]]:
    """Return where a post leads, what is said of its pictures, and what its poll asks."""
    address = text_of(fields.get("url_overridden_by_dest"))
    pictures = dicts_of(dict_of(fields.get("gallery_data")).get("items"))
    options = dicts_of(dict_of(fields.get("poll_data")).get("options"))
    return {
        "links": [address] if address.startswith(("http://", "https://")) else [],
        "alts": [picture.get("caption") for picture in pictures],
        "polls": [option.get("text") for option in options],
    }


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < 1e11 else 0.0


def _time(created_s: float) -> datetime | None:
    return datetime.fromtimestamp(created_s, UTC) if created_s else None


def _raw(tree: Any) -> bytes:
    try:
        return msgspec.json.encode(tree)
    except (TypeError, ValueError, RecursionError):
        return repr(type(tree)).encode()


def parse(body: bytes) -> list[SourceItem]:
    """Return what a listing comes to, with 1970 as the ingest time; skipped is `Ignored`."""
    tree = decode_json(body)
    found = tree if isinstance(tree, Unmappable) else (
        ThingMapper(str, lambda: EPOCH).listing(tree)
    )  # fmt: skip
    if isinstance(found, Unmappable):
        return recorded([found])
    return recorded(thing.record for thing in found.things)
