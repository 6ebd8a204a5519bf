"""The shapes that platforms give their posts, in one table: known by what, and what is where.

What is known by its own marks is put into the names of `FIELDS` here; any other object is passed
on as it is, and its keys are chosen like the columns of a CSV file. Pure; never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Struct

from services.ingest.replay.attached import listed, note_pieces, referenced, tweet_pieces
from services.ingest.replay.columns import follow
from services.ingest.sources.bluesky import parse as bluesky
from services.ingest.sources.mastodon import parse as mastodon
from services.ingest.sources.records import count_of, dict_of, text_of
from services.ingest.sources.reddit import parse as reddit
from services.ingest.sources.reddit.parse import COMMENT_KIND, POST_KIND, is_gone


class LeftOut(Struct, frozen=True):
    """A record that is no post, left out on purpose; `why` is from a small closed set."""

    why: str


Tree: TypeAlias = dict[str, Any]

DELETED: Final = "deleted or removed"
BOOST: Final = "a boost without a text of its own"
_ACTIVITIES: Final = ("Create", "Update", "Announce", "Like", "Follow", "Delete", "Undo", "Accept",
                      "Reject", "Add", "Remove", "Block", "Flag", "Move", "EmojiReact")  # fmt: skip
"""Of ActivityPub, as outboxes have them."""
NO_POST: Final = "no post: a like, follow or the like"


def shaped(tree: Tree, apart: Mapping[str, Any]) -> Tree | LeftOut:
    """Return a post under our names, as far as its shape is known; else as it is.

    Args:
        tree: An object that may be a post.
        apart: What its page names apart from its posts, as `apart_of` returns it.
    """
    author_id = text_of(tree.get("author_id"))
    if author_id in apart:
        tree = {**tree, "author": apart[author_id]}
    shape = next((shape for shape in _SHAPES if shape.is_it(tree)), None)
    if shape is None:
        return tree
    own = shape.own(tree)
    if isinstance(own, str):
        return LeftOut(own)
    return own | shape.beside(own, apart) | {name: _at(own, at) for name, at in shape.has.items()}


_Where: TypeAlias = str | tuple[str, ...] | Callable[[Tree], Any]
"""Where an object has something: a path, paths of which the first with a value counts, or a
function; "" is nowhere."""


class _Shape(NamedTuple):
    """What a record of a platform is known by, and where it has what.

    Attributes:
        is_it: Tells a record of this shape by its own marks.
        has: The name that we know -> where the record has it.
        own: Returns the object in the record that is the post, or why it is left out.
        beside: Returns what the post says beside its text.
    """

    is_it: Callable[[Tree], bool]
    has: Mapping[str, _Where]
    own: Callable[[Tree], Tree | str] = lambda tree: tree
    beside: Callable[[Tree, Mapping[str, Any]], Tree] = lambda tree, apart: {}


def _at(tree: Tree, where: _Where) -> Any:
    if callable(where):
        return where(tree)
    paths = (where,) if isinstance(where, str) else where
    found = (follow(tree, path.split(".")) for path in paths)
    return next((value for value in found if value), None)


def _shown(status: Tree) -> Tree:
    """Return the status that people see: the one that is boosted, or itself."""
    return dict_of(status.get("reblog")) or status


def _warned(warning: Any, content: Any) -> Any:
    """Put a content warning above the post, as people see it."""
    if isinstance(warning, str) and warning.strip() and isinstance(content, str):
        return f"<p>{warning.strip()}</p>{content}"
    return content


def _activity(tree: Tree) -> Tree | str:
    note = tree.get("object")
    kind = tree.get("type", "Create")
    if kind == "Announce":
        return BOOST
    if not isinstance(note, dict) or kind not in ("Create", "Update"):
        return NO_POST
    outer = {"attributedTo": tree.get("actor"), "published": tree.get("published")}
    return outer | {key: value for key, value in note.items() if value is not None}


def _is_activity(tree: Tree) -> bool:
    note = tree.get("object")
    is_note = isinstance(note, dict) and isinstance(note.get("content"), str)
    return is_note or (note is not None and tree.get("type") in _ACTIVITIES)


def _bluesky(tree: Tree) -> Tree | str:
    record = next(part for key in ("record", "value") if isinstance(part := tree.get(key), dict))
    did = text_of(tree.get("uri")).removeprefix("at://").partition("/")[0]
    counts = {name: tree[name] for name in _BLUESKY_COUNTS if name in tree}
    return _bluesky_post(record | counts, tree.get("uri"), tree.get("author") or did)


def _bluesky_event(tree: Tree) -> Tree | str:
    commit = dict_of(tree.get("commit"))
    uri = f"at://{tree['did']}/{commit.get('collection')}/{commit.get('rkey')}"
    record = commit.get("record")
    if not isinstance(record, dict) or commit.get("operation") != "create":
        return NO_POST
    return _bluesky_post(record, uri, tree["did"])


def _bluesky_post(record: Tree, uri: Any, author: Any) -> Tree | str:
    if record.get("$type", "app.bsky.feed.post") != "app.bsky.feed.post":
        return NO_POST
    return record | {"id": uri, "author": author}


def _is_bluesky(tree: Tree) -> bool:
    return text_of(tree.get("uri")).startswith("at://") and any(
        isinstance(tree.get(key), dict) for key in ("record", "value")
    )


def _thing(tree: Tree) -> Tree | str:
    gone = is_gone({**tree, "removed_by_category": tree.get("removed_by_category")}, _kind(tree))
    return DELETED if gone else tree


def _kind(thing: Tree) -> str:
    return COMMENT_KIND if "body" in thing else POST_KIND


def _thing_id(thing: Tree) -> str | None:
    own_id = text_of(thing.get("id"))
    return text_of(thing.get("name")) or (f"{_kind(thing)}_{own_id}" if own_id else None)


def _thing_url(thing: Tree) -> str | None:
    link = text_of(thing.get("permalink"))
    return f"https://www.reddit.com{link}" if link.startswith("/") else None


def _is_message(tree: Tree) -> bool:
    return "date_unixtime" in tree or (
        isinstance(tree.get("text_entities"), list) and "from_id" in tree
    )


def _whole_text(message: Tree) -> Any:
    """Return the text of a message of Telegram's export, which is cut where a link begins."""
    text = message.get("text")
    if not isinstance(text, list):
        return text
    parts = [part.get("text") if isinstance(part, dict) else part for part in text]
    whole = [part for part in parts if isinstance(part, str)]
    return "".join(whole) if len(whole) == len(parts) else text


_NOTE: Final[Mapping[str, _Where]] = {
    "text": lambda note: _warned(note.get("summary"), note.get("content")),
    "author": "attributedTo", "created_at": "published", "reply_to": "inReplyTo", "url": "url",
    "title": "name", "lang": lambda note: next(iter(dict_of(note.get("contentMap"))), ""),
}  # fmt: skip
_BLUESKY: Final[Mapping[str, _Where]] = {
    "created_at": "createdAt", "reply_to": "reply.parent.uri",
    "lang": lambda post: next(iter(listed(post.get("langs"))), ""),
}  # fmt: skip

_BLUESKY_COUNTS: Final = ("likeCount", "replyCount", "repostCount", "quoteCount")


def _bluesky_pieces(post: Tree) -> Tree:
    return bluesky.pieces_of(post.get("facets"), post.get("tags"), post.get("embed"))


_SHAPES: Final = (
    _Shape(  # a status of Twitter's API v1.1 or of an archive
        lambda tree: "id_str" in tree and ("full_text" in tree or "text" in tree),
        {
            "id": "id_str", "text": ("extended_tweet.full_text", "full_text", "text"),
            "author": "user", "reply_to": "in_reply_to_status_id_str",
            "repost_of": "retweeted_status.id_str", "url": "",
        },
        beside=lambda tree, _: tweet_pieces(tree | dict_of(tree.get("extended_tweet")), {}),
    ),
    _Shape(  # a status of Mastodon's API, which Truth Social and others speak too
        lambda tree: isinstance(tree.get("account"), dict) and "content" in tree
        and "text" not in tree,
        {
            "text": lambda tree: _warned(*map(_shown(tree).get, ("spoiler_text", "content"))),
            "author": "account", "lang": lambda tree: _shown(tree).get("language"),
            "reply_to": "in_reply_to_id", "repost_of": "reblog.id",
            "url": lambda tree: _shown(tree).get("url"),
        },
        beside=lambda tree, _: mastodon.pieces_of(_shown(tree)),
    ),
    _Shape(_is_activity, _NOTE, _activity, lambda note, _: note_pieces(note)),
    _Shape(lambda tree: "attributedTo" in tree and "content" in tree, _NOTE,
           beside=lambda note, _: note_pieces(note)),
    _Shape(_is_bluesky, _BLUESKY, _bluesky, lambda post, _: _bluesky_pieces(post)),
    _Shape(  # an event of Jetstream
        lambda tree: "did" in tree and (isinstance(tree.get("commit"), dict)
        or tree.get("kind") in ("identity", "account", "sync")),
        _BLUESKY, _bluesky_event, lambda post, _: _bluesky_pieces(post),
    ),
    _Shape(  # a post or comment of Reddit; title and body both count, as in the source reddit
        lambda tree: "created_utc" in tree and ("body" in tree or "selftext" in tree),
        {
            "id": _thing_id, "text": ("body", "selftext"), "created_at": "created_utc",
            "title": lambda thing: None if "body" in thing else thing.get("title"),
            "reply_to": lambda thing: thing.get("parent_id") if "body" in thing else None,
            "repost_of": "crosspost_parent", "url": _thing_url,
            "likes": lambda thing: count_of(thing.get("score")),
            "replies": lambda thing: thing.get("num_comments"),
        },
        _thing,
        lambda thing, _: reddit.pieces_of(thing),
    ),
    _Shape(  # a message of Telegram
        _is_message,
        {"text": _whole_text, "created_at": ("date_unixtime", "date"),
         "reply_to": "reply_to_message_id"},
        lambda tree: NO_POST if tree.get("type") == "service" else tree,
    ),
    _Shape(  # a tweet of Twitter's API v2
        lambda tree: not tree.keys().isdisjoint(
            ("edit_history_tweet_ids", "referenced_tweets", "note_tweet")
        ),
        {
            "text": ("note_tweet.text", "text"),
            "reply_to": lambda tree: referenced(tree, "replied_to"),
            "repost_of": lambda tree: referenced(tree, "retweeted"),
        },
        beside=tweet_pieces,
    ),
)  # fmt: skip
"""The shapes that are known, in the order in which they are tried."""
