"""From Jetstream events to posts and post events. Pure but for the clock time handed in.

What stands beside a post's text and is not as the lexicon has it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from core.authors import author_hasher
from core.clock import EPOCH
from core.schemas import MAX_AUTHOR_CHARS, MAX_ID_CHARS, Attached, Post, PostEvent
from core.settings import Secret
from core.text import plain_text
from services.ingest.sources.base import Ignored, Unmappable
from services.ingest.sources.bluesky.options import LIKE, POST, REPOST
from services.ingest.sources.bluesky.wire import NOTHING, Event, LexiconRecord, Reference
from services.ingest.sources.records import (
    attached_of,
    dict_of,
    dicts_of,
    language_of,
    time_of,
)

SOURCE: Final = "bluesky"
_decoder: Final = msgspec.json.Decoder()
GONE: Final = frozenset(("deactivated", "deleted", "suspended", "takendown"))
"""Accounts in these states want, or are not allowed, to be read. Others (`throttled`,
`desynchronized`) say something of their server only."""

Mapped = Sequence[Post | PostEvent | Unmappable | Ignored]
_IGNORED: Final = (Ignored(),)
_cached_language: Final = lru_cache(maxsize=1_024)(language_of)


class EventMapper:
    """Makes records of events.

    Ids are at-uris in which the account stands as it does in `author`: hashed, unless there is no
    key or the accounts are public. So an id gives nobody away, and what happens to a post can name
    it without having seen it.

    Args:
        author_key: The key of the author hashes; empty leaves accounts as they are.
        posts_of: Returns the ids of an author's posts that are still held.
    """

    def __init__(self, author_key: Secret, posts_of: Callable[[str], Sequence[str]]) -> None:
        self._hide = author_hasher(author_key)
        self._is_hidden = bool(author_key)
        self._posts_of = posts_of

    def records(self, event: Event, raw: bytes, now: datetime) -> Mapped:
        """Return what an event becomes, never nothing: an event that is none of ours is `Ignored`.

        Args:
            event: The event as parsed.
            raw: Its bytes, kept if it cannot be mapped.
            now: The ingest time.
        """
        if event.kind == "commit":
            if event.collection == POST:
                return self._post(event, raw, now)
            if event.collection in (LIKE, REPOST):
                return self._reaction(event, raw, now)
        elif event.kind == "account" and event.account is not None:
            account = event.account
            if not account.active and account.status in GONE:
                return self._account_gone(event, now)
        return _IGNORED

    def post_id(self, author: str, rkey: str) -> str:
        """Return the id of a post; `author` is as on the post."""
        return f"at://{author}/{POST}/{rkey}"

    def _post(self, event: Event, raw: bytes, now: datetime) -> Mapped:
        fault = _fault(event.did, event.rkey)
        if fault:
            return (Unmappable(raw, fault),)
        author = self._hide(event.did)
        post_id = self.post_id(author, event.rkey)
        if event.operation == "delete":
            return (self._event("delete", post_id, author, now, at_us(event.us)),)
        record = event.record
        if record is None:
            return (Unmappable(raw, "a post that is created or updated without its record"),)
        lang = _cached_language(record.langs[0]) if record.langs else ""
        if event.operation == "update":
            return (
                PostEvent(
                    kind="edit", post_id=post_id, source=SOURCE, author=author, ingested_at=now,
                    claimed_at=at_us(event.us), text=plain_text(record.text), lang=lang,
                    attached=attached_to(record),
                ),
            )  # fmt: skip
        if event.operation != "create":
            return (Unmappable(raw, "an operation on a post that is none of the three known ones"),)
        return self._new_post(event, record, post_id, author, lang, now)

    def _new_post(
        self,
        event: Event,
        record: LexiconRecord,
        post_id: str,
        author: str,
        lang: str,
        now: datetime,
    ) -> Mapped:
        claimed_at = time_of(record.created_at)
        parent = self._post_named(record.reply.parent) if record.reply else None
        post = Post(
            id=post_id,
            source=SOURCE,
            author=author,
            ingested_at=now,
            text=plain_text(record.text),
            claimed_at=claimed_at,
            lang=lang,
            reply_to=parent[0] if parent else None,
            attached=attached_to(record),
            # The address names the account: it is for accounts that are not hidden only.
            url=None if self._is_hidden else f"https://bsky.app/profile/{author}/post/{event.rkey}",
        )
        if parent is None:
            return (post,)
        return (post, self._event("reply", *parent, now, claimed_at))

    def _reaction(self, event: Event, raw: bytes, now: datetime) -> Mapped:
        # A deletion does not say whose post it was, and nobody edits a like.
        if event.operation != "create":
            return _IGNORED
        record = event.record
        if record is None or not isinstance(record.subject, Reference):
            return (Unmappable(raw, "a like or repost without its subject"),)
        # Feeds and lists are liked, too.
        if f"/{POST}/" not in record.subject.uri:
            return _IGNORED
        named = self._post_named(record.subject)
        if named is None:
            return (Unmappable(raw, "a like or repost of something that is no at-uri"),)
        kind: Literal["like", "repost"] = "like" if event.collection == LIKE else "repost"
        return (self._event(kind, *named, now, time_of(record.created_at)),)

    def _account_gone(self, event: Event, now: datetime) -> Mapped:
        author = self._hide(event.did)
        at = at_us(event.us)
        gone = [self._event("delete", post, author, now, at) for post in self._posts_of(author)]
        return gone or _IGNORED

    def _post_named(self, reference: Reference | None) -> tuple[str, str] | None:
        """Return id and author of the post that a reference names, None if it names none."""
        if reference is None or not reference.uri.startswith("at://"):
            return None
        did, _, rest = reference.uri[5:].partition("/")
        collection, _, rkey = rest.partition("/")
        if collection != POST or _fault(did, rkey):
            return None
        author = self._hide(did)
        return self.post_id(author, rkey), author

    def _event(
        self,
        kind: Literal["delete", "like", "repost", "reply"],
        post_id: str,
        author: str,
        now: datetime,
        at: datetime | None,
    ) -> PostEvent:
        return PostEvent(
            kind=kind, post_id=post_id, source=SOURCE, author=author,
            ingested_at=now, claimed_at=at,
        )  # fmt: skip


def at_us(us: int) -> datetime | None:
    """Return the time of microseconds since 1970, None beyond the calendar.

    Example:
        >>> at_us(1_783_175_888_085_434).isoformat()
        '2026-07-04T14:38:08.085434+00:00'
    """
    try:
        return EPOCH + timedelta(microseconds=us)
    except OverflowError:
        return None


def _fault(did: str, rkey: str) -> str:
    if not did.startswith("did:") or len(did) > MAX_AUTHOR_CHARS or "/" in did:
        return "the account is no did, or a very long one"
    if not rkey or "/" in rkey:
        return "no record key, or one that is none"
    if len(did) + len(rkey) + len(POST) + 7 > MAX_ID_CHARS:
        return f"the id would have more than {MAX_ID_CHARS} characters"
    return ""


def attached_to(record: LexiconRecord) -> Attached | None:
    """Return the tags, addresses, link card and alt texts of a post."""
    if record.facets is NOTHING and record.tags is NOTHING and record.embed is NOTHING:
        return None
    return attached_of(**pieces_of(*map(_json, (record.facets, record.tags, record.embed))))


def pieces_of(facets: Any, tags: Any, embed: Any) -> dict[str, list[Any]]:
    """Return what these fields of a post say beside its text, as `attached_of` takes it."""
    features = [
        feature for facet in dicts_of(facets) for feature in dicts_of(facet.get("features"))
    ]
    embed = dict_of(embed)
    media = dict_of(embed.get("media"))  # of a quotation with pictures
    cards = [dict_of(one.get("external")) for one in (embed, media)]
    return {
        "tags": [*(one.get("tag") for one in features), *(tags if isinstance(tags, list) else ())],
        "links": [*(one.get("uri") for one in features), *(card.get("uri") for card in cards)],
        "cards": [card.get(name) for card in cards for name in ("title", "description")],
        "alts": [alt for one in (embed, media) for alt in _alts(one)],
    }


def _alts(embed: dict[str, Any]) -> Iterator[Any]:
    yield embed.get("alt")  # of a film
    for image in dicts_of(embed.get("images")):
        yield image.get("alt")


def _json(raw: msgspec.Raw) -> Any:
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
