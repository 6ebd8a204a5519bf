"""Feeds as entries, and entries as posts. Pure; never raises.

Entities that a document declares are not expanded: a document that declares any is refused.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import feedparser
from msgspec import Struct

from core.clock import EPOCH
from core.schemas import MAX_AUTHOR_CHARS, MAX_ID_CHARS, Post
from core.text import read_html
from services.ingest.sources.base import SourceItem, Unmappable
from services.ingest.sources.records import (
    attached_of,
    fitted_post,
    language_of,
    recorded,
    text_of,
)
from services.ingest.sources.rss import MANIFEST
from services.ingest.sources.rss.wire import date_of, read_document

SOURCE: Final = MANIFEST.name
MAX_ENTRIES: Final = 5_000
_KEPT_BYTES: Final = 65_536
_URI: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")
_NAME_CHARS: Final = 120
# What generators write where they have no id.
_NO_IDS: Final = frozenset(("", "0", "-1", "null", "none", "undefined", "#", "/"))


class Entry(Struct, frozen=True):
    """One entry of a feed.

    Attributes:
        record: The post, or why it cannot be one.
        key: The hash of its identity.
        version: The hash of what it says: another one is an edit.
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
        body: The body of the answer, decompressed.
        url: The address of the feed; names it in ids and authors that are not unique by themselves.
        now: The ingest time.
        author: Hides an author's name.
        content_type: The header of the answer; its character set counts.
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
    entries = [
        entry
        for entry in reversed(tree.get("entries", [])[:MAX_ENTRIES])
        if isinstance(entry, Mapping)
    ]
    shared = _shared_ids(entries)
    found: list[Entry] = []
    for entry in entries:
        try:
            found.append(_entry(entry, feed, url, now, author, shared, hides_ids))
        except Exception as error:  # noqa: BLE001, RUF100 - one entry never costs the others
            found.append(_unreadable(entry, error))
    return found


def _read(body: bytes, content_type: str) -> Mapping[str, Any] | str:
    """Return feedparser's reading of a document, or why it is not read."""
    try:
        plain = read_document(body, content_type)
    except ValueError as error:
        return str(error)
    # A stream on purpose: bytes would be tried as the name of a file.
    tree = feedparser.parse(
        io.BytesIO(plain.encode()),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    if not tree.get("entries") and not tree.get("version"):
        return "neither RSS nor Atom"
    return tree


def _shared_ids(entries: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the ids and links that different entries of one document share: they name none."""
    said_by: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        said = f"{text_of(entry.get('title'))} {text_of(entry.get('summary'))}"
        for found in _given_ids(entry):
            said_by[found].add(said)
    return frozenset(found for found, said in said_by.items() if len(said) > 1)


def _given_ids(entry: Mapping[str, Any]) -> list[str]:
    found = (text_of(entry.get(name)).strip() for name in ("id", "link"))
    return [one for one in dict.fromkeys(found) if one.lower() not in _NO_IDS]


def _unreadable(entry: Mapping[str, Any], error: Exception) -> Entry:
    raw = repr(entry)[:_KEPT_BYTES].encode("utf-8", "replace")
    record = Unmappable(raw, f"unreadable entry: {type(error).__name__}")
    key = hashlib.blake2b(raw, digest_size=8).hexdigest()
    return Entry(record, key, key)


def _entry(
    entry: Mapping[str, Any],
    feed: Mapping[str, Any],
    url: str,
    now: datetime,
    author: Callable[[str], str],
    shared: frozenset[str],
    hides_ids: bool,
) -> Entry:
    title, _ = _plain(entry.get("title_detail"), entry.get("title"))
    text, links = _body(entry)
    said = f"{title}\n\n{text}" if title and text and not text.startswith(title) else text or title
    link = text_of(entry.get("link")).strip()
    identity = _identity(entry, link, url, said, shared)
    raw = repr({"id": identity, "link": link, "title": title[:1000]}).encode("utf-8", "replace")
    if not identity:
        record: Post | Unmappable = Unmappable(raw, "neither id, link, title nor text")
    else:
        post = Post(
            id=_hidden_id(identity, author) if hides_ids else identity,
            source=SOURCE,
            author=author(_author(entry, feed, url)),
            ingested_at=now,
            text=said,
            claimed_at=_time(entry),
            lang=_language(entry, feed),
            url=link if urlsplit_is_web(link) else None,
            attached=attached_of(tags=_categories(entry), links=links),
        )
        record = fitted_post(post, raw)
    return Entry(record, _short_hash(identity or said), _short_hash(said))


def _identity(
    entry: Mapping[str, Any], link: str, url: str, said: str, shared: frozenset[str]
) -> str:
    """Return an id that stays the same and is unique among feeds; "" if there is nothing to it."""
    given = next((one for one in _given_ids(entry) if one not in shared), "")
    if not given:
        # What it leads to and says is all that tells it from others.
        told = f"{link} {said}" if link else said
        return f"{_short_hash(url)}:{_short_hash(told)}" if told else ""
    if not _URI.match(given):
        given = f"{_short_hash(url)}:{given}"
    if len(given) > MAX_ID_CHARS or not given.isprintable():
        return f"{_short_hash(url)}:{_digest(given)}"
    return given


def _categories(entry: Mapping[str, Any]) -> list[str]:
    tags = entry.get("tags")
    found = [tag for tag in tags if isinstance(tag, Mapping)] if isinstance(tags, list) else []
    return [text_of(tag.get("label")) or text_of(tag.get("term")) for tag in found]


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


def _body(entry: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the longest of what an entry says, its content or its summary, and its links."""
    contents = entry.get("content")
    found = [_plain(one, None) for one in contents] if isinstance(contents, list) else []
    found.append(_plain(entry.get("summary_detail"), entry.get("summary")))
    return max(found, key=lambda one: len(one[0]))


def _plain(detail: Any, fallback: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(detail, Mapping):
        return read_html(text_of(fallback))
    value = text_of(detail.get("value"))
    return (value.strip(), ()) if detail.get("type") == "text/plain" else read_html(value)


def _time(entry: Mapping[str, Any]) -> datetime | None:
    for name in ("published", "updated", "created"):
        # Asked for what it lacks, feedparser gives something else, and warns.
        found = date_of(entry.get(name)) if name in entry else None
        if found is not None:
            return found
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
    return recorded([found] if isinstance(found, Unmappable) else [one.record for one in found])
