"""Mastodon's statuses and streaming events as records. Pure; never raises.

What is taken: public statuses of accounts that do not ask to be left out (`noindex`), boosts as
posts with `repost_of`, edits and deletions. Everything else is skipped by name of its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from core.clock import EPOCH
from core.schemas import Post, PostEvent
from core.text import html_text, plain_text, read_html
from services.ingest.sources.base import SourceItem, Unmappable
from services.ingest.sources.mastodon import MANIFEST
from services.ingest.sources.mastodon.wire import EventDecoder
from services.ingest.sources.records import (
    Found,
    Skipped,
    attached_of,
    count_of,
    decode_json,
    dict_of,
    dicts_of,
    edit_of,
    fitted_event,
    fitted_post,
    language_of,
    recorded,
    text_of,
    time_of,
)

SOURCE: Final = MANIFEST.name
TAKEN_EVENTS: Final = ("update", "status.update", "delete")

NOT_PUBLIC: Final = "not_public"
NO_INDEX: Final = "noindex"
UNKNOWN_POST: Final = "unknown_post"
OTHER_EVENT: Final = "other_event"


class StatusMapper:
    """Maps what one server sends.

    Args:
        host: The name of the server, put behind the names of its own accounts.
        author: Hides an account's name.
        now: Returns the ingest time.
        author_of: Returns who wrote a post that was delivered; None if it is not known. A deletion
            names the post only.
    """

    def __init__(
        self,
        host: str,
        author: Callable[[str], str],
        now: Callable[[], datetime],
        author_of: Callable[[str], str | None] = lambda post_id: None,
    ) -> None:
        self._host = host
        self._author = author
        self._now = now
        self._author_of = author_of

    def event(self, name: str, data: bytes) -> Found:
        """Map one streaming event."""
        if name == "delete":
            return self._delete(data)
        if name not in TAKEN_EVENTS:
            return Found(Skipped(OTHER_EVENT))
        tree = decode_json(data)
        if isinstance(tree, Unmappable):
            return Found(tree)
        return self.edit(tree, data) if name == "status.update" else self.status(tree, data)

    def status(self, tree: Any, raw: bytes) -> Found:
        """Map a status as a post; `raw` are its bytes, kept if it cannot be one."""
        found = self._opened(tree, raw)
        if isinstance(found, Unmappable | Skipped):
            return Found(found)
        account, shown, original_id = found
        record = Post(
            id=text_of(tree.get("id")),
            source=SOURCE,
            author=account,
            ingested_at=self._now(),
            text=_text(shown),
            claimed_at=time_of(tree.get("created_at")),
            lang=language_of(shown.get("language")),
            reply_to=text_of(tree.get("in_reply_to_id")),
            repost_of=original_id,
            url=text_of(shown.get("url")) or text_of(shown.get("uri")),
            attached=attached_of(**pieces_of(shown)),
        )
        return _found(fitted_post(record, raw), shown)

    def edit(self, tree: Any, raw: bytes) -> Found:
        """Map a status as the new text of a post."""
        post = self.status(tree, raw)
        if not isinstance(post.record, Post):
            return post
        shown = tree.get("reblog") or tree
        record = replace(edit_of(post.record), claimed_at=time_of(shown.get("edited_at")))
        return Found(record, post.version, post.post_id)

    def counts(self, tree: Any, raw: bytes) -> Found:
        """Map a status as the totals of likes, replies, reposts and quotes so far."""
        found = self._opened(tree, raw)
        if isinstance(found, Unmappable | Skipped):
            return Found(found)
        record = PostEvent(
            kind="counts",
            post_id=text_of(tree.get("id")),
            source=SOURCE,
            author=found[0],
            ingested_at=self._now(),
            likes=count_of(tree.get("favourites_count")),
            replies=count_of(tree.get("replies_count")),
            reposts=count_of(tree.get("reblogs_count")),
            quotes=count_of(tree.get("quotes_count")),
        )
        return _found(fitted_event(record, raw), tree)

    def removal(self, post_id: str, raw: bytes) -> Found:
        """Return the deletion of a post; skipped if it was not delivered."""
        author = self._author_of(post_id)
        if author is None:
            return Found(Skipped(UNKNOWN_POST), post_id=post_id)
        record = PostEvent(
            kind="delete", post_id=post_id, source=SOURCE, author=author, ingested_at=self._now()
        )
        return Found(fitted_event(record, raw), post_id=post_id)

    def _delete(self, data: bytes) -> Found:
        try:
            post_id = data.decode().strip().strip('"')
        except UnicodeDecodeError:
            return Found(Unmappable(data, "not UTF-8"))
        if not post_id or not post_id.isprintable():
            return Found(Unmappable(data, "a deletion without the id of a status"))
        return self.removal(post_id, data)

    def _opened(
        self, tree: Any, raw: bytes
    ) -> tuple[str, dict[str, Any], str] | Unmappable | Skipped:
        """Return author, the status whose text is shown, and its id if it is boosted."""
        if not isinstance(tree, dict):
            return Unmappable(raw, f"expected a status, got a JSON {type(tree).__name__}")
        shown: Any = tree
        original_id = ""
        if tree.get("reblog") is not None:
            shown = tree["reblog"]
            if not isinstance(shown, dict):
                return Unmappable(raw, "the boosted status is no object")
            original_id = text_of(shown.get("id"))
            if not original_id:
                return Unmappable(raw, "the boosted status has no id")
        for status in (tree, shown):
            refusal = _refusal(status, raw)
            if refusal is not None:
                return refusal
        return self._name(tree["account"]), shown, original_id

    def _name(self, account: dict[str, Any]) -> str:
        name = text_of(account.get("acct"))
        if not name:
            return ""
        # Accounts of the server itself come without its name: the same name on two servers is
        # two people.
        return self._author(name if "@" in name else f"{name}@{self._host}")


def _refusal(status: dict[str, Any], raw: bytes) -> Unmappable | Skipped | None:
    account = status.get("account")
    if not isinstance(account, dict):
        return Unmappable(raw, "no account")
    if not isinstance(status.get("content"), str):
        return Unmappable(raw, "no content")
    if status.get("visibility") != "public":
        return Skipped(NOT_PUBLIC)
    if account.get("noindex") is True:
        return Skipped(NO_INDEX)
    return None


def _found(record: Post | PostEvent | Unmappable, shown: dict[str, Any]) -> Found:
    version = text_of(shown.get("edited_at"))
    if isinstance(record, Post):
        return Found(record, version, record.id)
    return Found(record, version, record.post_id if isinstance(record, PostEvent) else "")


def _text(status: dict[str, Any]) -> str:
    """Return what people read: the warning above a post, and the post."""
    warning = plain_text(text_of(status.get("spoiler_text"))).strip()
    text = html_text(status["content"])
    return f"{warning}\n\n{text}" if warning and text else warning or text


def pieces_of(status: dict[str, Any]) -> dict[str, list[Any]]:
    """Return what a status says beside its text, as `attached_of` takes it.

    The addresses of its links are among it: they stand cut in the text.
    """
    card, poll = dict_of(status.get("card")), dict_of(status.get("poll"))
    _, links = read_html(text_of(status.get("content")))
    return {
        "tags": [tag.get("name") for tag in dicts_of(status.get("tags"))],
        "links": [*links, card.get("url")],
        "cards": [card.get("title"), card.get("description")],
        "alts": [media.get("description") for media in dicts_of(status.get("media_attachments"))],
        "polls": [option.get("title") for option in dicts_of(poll.get("options"))],
    }


def parse(body: bytes) -> list[SourceItem]:
    """Return what a whole recorded stream comes to, with 1970 as the ingest time.

    Skipped events are `Ignored`; deletions are known by the posts of the same body.
    """
    authors: dict[str, str] = {}
    mapper = StatusMapper("localhost", str, lambda: EPOCH.astimezone(UTC), authors.get)
    found: list[Post | PostEvent | Unmappable | Skipped] = []
    for event in EventDecoder().feed(body):
        record = Unmappable(event.data, "too long") if event.cut else (
            mapper.event(event.name, event.data).record
        )  # fmt: skip
        if isinstance(record, Post):
            authors[record.id] = record.author
        found.append(record)
    return recorded(found)
