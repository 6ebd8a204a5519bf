"""JSON as platforms export it: pages, wrappers and statuses as plain objects with our names.

What is known by its own marks is put into the names of `FIELDS` here; any other object is passed
on as it is, and its keys are chosen like the columns of a CSV file. Pure; never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

from services.ingest.replay.attached import note_pieces
from services.ingest.replay.tweets import apart_of, tweet_v1, tweet_v2
from services.ingest.sources.bluesky import parse as bluesky
from services.ingest.sources.mastodon import parse as mastodon
from services.ingest.sources.records import dict_of, text_of
from services.ingest.sources.reddit import parse as reddit
from services.ingest.sources.reddit.parse import COMMENT_KIND, POST_KIND, is_gone


class LeftOut(Struct, frozen=True):
    """A record that is no post, left out on purpose; `why` is from a small closed set."""

    why: str


class OddRecord(Struct, frozen=True):
    """A record that cannot be a post; `detail` has nothing of its text."""

    value: Any
    detail: str


Tree: TypeAlias = dict[str, Any]
Found: TypeAlias = Tree | LeftOut | OddRecord

OWNER: Final = "archive-owner"
"""Author of the posts of a personal archive that names none: they are one account's."""
DELETED: Final = "deleted or removed"
BOOST: Final = "a boost without a text of its own"
_ACTIVITIES: Final = ("Create", "Update", "Announce", "Like", "Follow", "Delete", "Undo", "Accept",
                      "Reject", "Add", "Remove", "Block", "Flag", "Move", "EmojiReact")  # fmt: skip
"""Of ActivityPub, as outboxes have them."""
NO_POST: Final = "no post: a like, follow or the like"

_LISTS: Final = frozenset(
    ("data", "orderedItems", "items", "statuses", "posts", "feed", "results", "tweets", "toots",
     "records", "messages", "comments", "children", "entries", "hits", "activities", "rows",
     "features")
)  # fmt: skip
_OWN_TEXTS: Final = ("text", "full_text", "content", "body", "selftext", "tweet", "rawContent")


def is_list_of_posts(key: str, before: Mapping[str, Any]) -> bool:
    """Tell whether a list under `key` holds posts, given the keys of its object before it."""
    return key in _LISTS and not any(isinstance(before.get(name), str) for name in _OWN_TEXTS)


def posts_of(value: Any, apart: Mapping[str, Any] | None = None) -> Iterator[Found]:
    """Yield the posts in a JSON value, in its order.

    Args:
        value: A post, a page of posts, or a wrapper around one.
        apart: What a page names apart from its posts, as `apart_of` returns it.
    """
    if isinstance(value, list):
        for part in value:
            yield from posts_of(part, apart)
        return
    if not isinstance(value, dict):
        kind = "null" if value is None else type(value).__name__
        yield OddRecord(value, f"not a JSON object: a {kind}")
        return
    apart = {**(apart or {}), **apart_of(value)}
    inner = _inside(value)
    if inner is not None:
        yield from posts_of(inner, apart)
    elif _is_error(value):
        yield OddRecord(value, "an error record of the platform, no post")
    else:
        yield _post(value, apart)


def _inside(tree: Tree) -> Any:
    """Return what an object wraps: a list of posts, or one post under a key; None if nothing."""
    if any(isinstance(tree.get(name), str) for name in _OWN_TEXTS):
        return None
    for key, part in tree.items():
        if key in _LISTS and isinstance(part, list) and all(isinstance(p, dict) for p in part):
            return part
    data = tree.get("data")
    if isinstance(data, dict):
        return {"name": None, **data, "kind": tree["kind"]} if "kind" in tree else data
    for key in ("tweet", "status"):
        if isinstance(tree.get(key), dict) and len(tree) == 1:
            return {"user": OWNER, **tree[key]}
    if isinstance(tree.get("post"), dict) and "uri" in tree["post"]:
        return tree["post"]
    return _wrapped(tree) or _keyed(tree)
    return None


def _wrapped(tree: Tree) -> Any:
    """Return what the wrappers of some services hold, None if it is none of these."""
    event, hits, source = (dict_of(tree.get(key)) for key in ("payload", "hits", "_source"))
    if "did" in event:  # Jetstream, version 2
        return {"did": event["did"], "commit": event}
    if hits or source:  # Elasticsearch
        return hits or {"id": tree.get("_id")} | source
    if tree.get("type") == "Feature" and isinstance(tree.get("properties"), dict):  # GeoJSON
        return tree["properties"]
    snippet = dict_of(tree.get("snippet"))  # YouTube
    top = snippet.get("topLevelComment")
    return top if isinstance(top, dict) else {"id": tree.get("id")} | snippet if snippet else None


def _keyed(tree: Tree) -> list[Tree] | None:
    """Return the posts of an object that has one under each id, or each column under its name."""
    parts = list(tree.values())
    if not parts or not all(isinstance(part, dict) and part for part in parts):
        return None
    if all(any(isinstance(part.get(name), str) for name in _OWN_TEXTS) for part in parts):
        return [{"id": key} | part for key, part in tree.items()]
    if any(name in tree for name in _OWN_TEXTS) and all(p.keys() == parts[0].keys() for p in parts):
        return [{name: part[row] for name, part in tree.items()} for row in parts[0]]
    return None


def _is_error(tree: Tree) -> bool:
    return any(tree.get(key) for key in ("errors", "error")) and not any(
        name in tree for name in _OWN_TEXTS
    )


def _post(tree: Tree, apart: Mapping[str, Any]) -> Found:
    for is_it, read in _KINDS:
        if is_it(tree):
            return read(tree)
    author_id = text_of(tree.get("author_id"))
    if author_id in apart:
        tree = {**tree, "author": apart[author_id]}
    if "edit_history_tweet_ids" in tree or "referenced_tweets" in tree or "note_tweet" in tree:
        return tweet_v2(tree, apart)
    return tree


def _status(tree: Tree) -> Found:
    """Read a status of Mastodon's API, which Truth Social and others speak too."""
    boosted = tree.get("reblog")
    shown = boosted if isinstance(boosted, dict) else tree
    return (
        tree
        | mastodon.pieces_of(shown)
        | {
            "text": _warned(shown.get("spoiler_text"), shown.get("content")),
            "author": tree["account"],
            "lang": shown.get("language"),
            "reply_to": tree.get("in_reply_to_id"),
            "repost_of": text_of(boosted.get("id")) if isinstance(boosted, dict) else None,
            "url": shown.get("url"),
        }
    )


def _warned(warning: Any, content: Any) -> Any:
    """Put a content warning above the post, as people see it."""
    if isinstance(warning, str) and warning.strip() and isinstance(content, str):
        return f"<p>{warning.strip()}</p>{content}"
    return content


def _activity(tree: Tree) -> Found:
    note = tree.get("object")
    kind = tree.get("type", "Create")
    if kind == "Announce":
        return LeftOut(BOOST)
    if not isinstance(note, dict) or kind not in ("Create", "Update"):
        return LeftOut(NO_POST)
    said = {"attributedTo": tree.get("actor"), "published": tree.get("published")}
    return _note(said | {key: value for key, value in note.items() if value is not None})


def _is_activity(tree: Tree) -> bool:
    note = tree.get("object")
    is_note = isinstance(note, dict) and isinstance(note.get("content"), str)
    return is_note or (note is not None and tree.get("type") in _ACTIVITIES)


def _note(tree: Tree) -> Found:
    by_language = tree.get("contentMap")
    language = next(iter(by_language), "") if isinstance(by_language, dict) else ""
    return (
        tree
        | note_pieces(tree)
        | {
            "text": _warned(tree.get("summary"), tree.get("content")),
            "author": tree.get("attributedTo"),
            "created_at": tree.get("published"),
            "lang": language,
            "reply_to": tree.get("inReplyTo"),
            "url": tree.get("url"),
            "title": tree.get("name"),
        }
    )


def _bluesky(tree: Tree) -> Found:
    record = next(part for key in ("record", "value") if isinstance(part := tree.get(key), dict))
    return _bluesky_post(record, tree.get("uri"), tree.get("author") or _did(tree.get("uri")))


def _did(uri: Any) -> str:
    return text_of(uri).removeprefix("at://").partition("/")[0]


def _bluesky_event(tree: Tree) -> Found:
    commit = dict_of(tree.get("commit"))
    uri = f"at://{tree['did']}/{commit.get('collection')}/{commit.get('rkey')}"
    record = commit.get("record")
    if not isinstance(record, dict) or commit.get("operation") != "create":
        return LeftOut(NO_POST)
    return _bluesky_post(record, uri, tree["did"])


def _bluesky_post(record: Tree, uri: Any, author: Any) -> Found:
    if record.get("$type", "app.bsky.feed.post") != "app.bsky.feed.post":
        return LeftOut(NO_POST)
    languages = record.get("langs")
    reply = record.get("reply")
    parent = reply.get("parent") if isinstance(reply, dict) else None
    beside = bluesky.pieces_of(record.get("facets"), record.get("tags"), record.get("embed"))
    return (
        record
        | beside
        | {
            "id": uri,
            "author": author,
            "created_at": record.get("createdAt"),
            "lang": languages[0] if isinstance(languages, list) and languages else "",
            "reply_to": parent.get("uri") if isinstance(parent, dict) else None,
        }
    )


def _thing(tree: Tree) -> Found:
    """Read a post or comment of Reddit; title and body both count, as in the source reddit."""
    kind = COMMENT_KIND if "body" in tree else POST_KIND
    if is_gone({**tree, "removed_by_category": tree.get("removed_by_category")}, kind):
        return LeftOut(DELETED)
    own_id = text_of(tree.get("id"))
    link = text_of(tree.get("permalink"))
    return (
        tree
        | reddit.pieces_of(tree)
        | {
            "id": text_of(tree.get("name")) or (f"{kind}_{own_id}" if own_id else None),
            "text": tree.get("body") if kind == COMMENT_KIND else tree.get("selftext"),
            "title": tree.get("title") if kind == POST_KIND else None,
            "created_at": tree.get("created_utc"),
            "reply_to": tree.get("parent_id") if kind == COMMENT_KIND else None,
            "repost_of": tree.get("crosspost_parent"),
            "url": f"https://www.reddit.com{link}" if link.startswith("/") else None,
        }
    )


def _is_bluesky(tree: Tree) -> bool:
    return text_of(tree.get("uri")).startswith("at://") and any(
        isinstance(tree.get(key), dict) for key in ("record", "value")
    )


def _is_message(tree: Tree) -> bool:
    return "date_unixtime" in tree or (
        isinstance(tree.get("text_entities"), list) and "from_id" in tree
    )


def _message(tree: Tree) -> Found:
    """Read a message of Telegram's export, whose text is cut where a link or name begins."""
    if tree.get("type") == "service":
        return LeftOut(NO_POST)
    text = tree.get("text")
    if isinstance(text, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in text]
        whole = [part for part in parts if isinstance(part, str)]
        text = "".join(whole) if len(whole) == len(parts) else text
    reply = tree.get("reply_to_message_id")
    when = tree.get("date_unixtime") or tree.get("date")
    return tree | {"text": text, "created_at": when, "reply_to": reply}


_KINDS: Final[tuple[tuple[Callable[[Tree], bool], Callable[[Tree], Found]], ...]] = (
    (lambda tree: "id_str" in tree and ("full_text" in tree or "text" in tree), tweet_v1),
    (lambda tree: isinstance(tree.get("account"), dict) and "content" in tree
     and "text" not in tree, _status),
    (_is_activity, _activity),
    (lambda tree: "attributedTo" in tree and "content" in tree, _note),
    (_is_bluesky, _bluesky),
    (lambda tree: "did" in tree and (isinstance(tree.get("commit"), dict)
     or tree.get("kind") in ("identity", "account", "sync")), _bluesky_event),
    (lambda tree: "created_utc" in tree and ("body" in tree or "selftext" in tree), _thing),
    (_is_message, _message),
)  # fmt: skip
