"""Feeds as entries, and entries as posts. Pure; never raises.

Entities that a document declares are not expanded: a document that declares any is refused.
"""

from __future__ import annotations

import calendar
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import feedparser
from feedparser.encodings import convert_to_utf8
from msgspec import Struct

from core.clock import EPOCH
from core.schemas import MAX_AUTHOR_CHARS, MAX_ID_CHARS, Post
from core.text import html_text
from services.ingest.sources.base import SourceItem, Unmappable
from services.ingest.sources.records import language_of, make_post, text_of

SOURCE: Final = "rss"
MAX_ENTRIES: Final = 5_000
_KEPT_BYTES: Final = 65_536
_URI: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")
_NAME_CHARS: Final = 120


class Entry(Struct, frozen=True):
    """One entry of a feed.

    Attributes:
        record: the post, or why it cannot be one.
        key: hash of its identity.
        version: hash of what it says: another one is an edit.
    """

    record: Post | Unmappable
    key: str
    version: str


def parse_feed(
    body: bytes,
    url: str,
    now: datetime,
    author: Callable[[str], str] = str,
    content_type: str = "",
    hides_ids: bool = False,
) -> list[Entry] | Unmappable:
    """Return the entries of a feed, oldest first, or why this is none.

    Args:
        body: of the answer, decompressed.
        url: of the feed; names it in ids and authors that are not unique by themselves.
        now: the ingest time.
        author: hides an author's name.
        content_type: header of the answer; its character set counts.
        hides_ids: Make ids hashes: entries are named by their addresses, and those name people.
    """
    try:
        tree = _read(body, content_type)
    except Exception as error:  # noqa: BLE001, RUF100 - whatever a document makes the library do
        return Unmappable(body[:_KEPT_BYTES], f"unreadable: {type(error).__name__}")
    if isinstance(tree, str):
        return Unmappable(body[:_KEPT_BYTES], tree)
    feed = tree.get("feed")
    feed = feed if isinstance(feed, Mapping) else {}
    return [
        _entry(entry, feed, url, now, author, hides_ids)
        for entry in reversed(tree.get("entries", [])[:MAX_ENTRIES])
        if isinstance(entry, Mapping)
    ]


def _read(body: bytes, content_type: str) -> Mapping[str, Any] | str:
    """Return feedparser's reading of a document, or why it is not read."""
    headers = {"content-type": content_type or "application/xml"}
    plain = convert_to_utf8(headers, body, {})
    if b"<!ENTITY" in plain:
        return "the document declares entities, which are not expanded"
    # A stream on purpose: bytes would be tried as the name of a file.
    tree = feedparser.parse(
        io.BytesIO(plain),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    if not tree.get("entries") and not tree.get("version"):
        return "neither RSS nor Atom"
    return tree


def _entry(
    entry: Mapping[str, Any],
    feed: Mapping[str, Any],
    url: str,
    now: datetime,
    author: Callable[[str], str],
    hides_ids: bool,
) -> Entry:
    title = _plain(entry.get("title_detail"), entry.get("title"))
    text = _body(entry)
    said = f"{title}\n\n{text}" if title and text and not text.startswith(title) else text or title
    link = text_of(entry.get("link")).strip()
    identity = _identity(entry, link, url, said)
    raw = repr({"id": identity, "link": link, "title": title[:1000]}).encode("utf-8", "replace")
    if not identity:
        record: Post | Unmappable = Unmappable(raw, "neither id, link, title nor text")
    else:
        record = make_post(
            raw,
            source=SOURCE,
            post_id=_hidden_id(identity, author) if hides_ids else identity,
            author=author(_author(entry, feed, url)),
            ingested_at=now,
            text=said,
            claimed_at=_time(entry),
            lang=_language(entry, feed),
            url=link if urlsplit_is_web(link) else "",
        )
    return Entry(record, _short_hash(identity or said), _short_hash(said))


def _identity(entry: Mapping[str, Any], link: str, url: str, said: str) -> str:
    """Return an id that stays the same and is unique among feeds; "" if there is nothing to it."""
    found = text_of(entry.get("id")).strip() or link
    if not found:
        return f"{_short_hash(url)}:{_short_hash(said)}" if said else ""
    if not _URI.match(found):
        found = f"{_short_hash(url)}:{found}"
    if len(found) > MAX_ID_CHARS or not found.isprintable():
        return f"{_short_hash(url)}:{_digest(found)}"
    return found


def _hidden_id(identity: str, author: Callable[[str], str]) -> str:
    # Hashed before it is hidden: names are the same in either case, ids are not.
    return f"entry:{author(_digest(identity))}"


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()


def _author(entry: Mapping[str, Any], feed: Mapping[str, Any], url: str) -> str:
    """Return who wrote an entry: its author, else the feed, with the site's name behind it."""
    host = _host(url)
    for named in (entry.get("author"), feed.get("author"), feed.get("title")):
        name = " ".join(text_of(named).split())[:_NAME_CHARS]
        if name:
            return f"{name}@{host}"[:MAX_AUTHOR_CHARS]
    return host


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "unknown")[:_NAME_CHARS]
    except ValueError:
        return "unknown"


def urlsplit_is_web(link: str) -> bool:
    """Tell whether a link is one that people can open."""
    try:
        return urlsplit(link).scheme in ("http", "https")
    except ValueError:
        return False


def _body(entry: Mapping[str, Any]) -> str:
    """Return the longest of what an entry says: its content or its summary."""
    contents = entry.get("content")
    found = [_plain(one, None) for one in contents] if isinstance(contents, list) else []
    found.append(_plain(entry.get("summary_detail"), entry.get("summary")))
    return max(found, key=len)


def _plain(detail: Any, fallback: Any) -> str:
    if not isinstance(detail, Mapping):
        return html_text(text_of(fallback))
    value = text_of(detail.get("value"))
    return value.strip() if detail.get("type") == "text/plain" else html_text(value)


def _time(entry: Mapping[str, Any]) -> datetime | None:
    for name in ("published_parsed", "updated_parsed", "created_parsed"):
        found = entry.get(name)
        if found is None:
            continue
        try:
            return datetime.fromtimestamp(calendar.timegm(found), UTC)
        except (ValueError, OverflowError, OSError, TypeError):
            continue
    return None


def _language(entry: Mapping[str, Any], feed: Mapping[str, Any]) -> str:
    for place in (entry.get("title_detail"), entry, feed):
        if isinstance(place, Mapping):
            found = language_of(place.get("language"))
            if found:
                return found
    return ""


def _short_hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def parse(body: bytes) -> list[SourceItem]:
    """Return what a feed comes to, with 1970 as the ingest time."""
    found = parse_feed(body, "https://example.org/feed", EPOCH)
    if isinstance(found, Unmappable):
        return [SourceItem(found, 1)]
    return [SourceItem(entry.record, place) for place, entry in enumerate(found, start=1)]
