"""JSON as platforms export it: the posts in pages, wrappers and objects keyed by an id. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

from services.ingest.replay.shapes import LeftOut, Tree, shaped
from services.ingest.sources.records import dict_of, dicts_of, text_of


class OddRecord(Struct, frozen=True):
    """A record that cannot be a post; `detail` has nothing of its text."""

    value: Any
    detail: str


Found: TypeAlias = Tree | LeftOut | OddRecord

OWNER: Final = "archive-owner"
"""Author of the posts of a personal archive that names none: they are one account's."""
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
        yield shaped(value, apart)


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


def apart_of(page: Mapping[str, Any]) -> dict[str, Any]:
    """Return what pages of Twitter's API list under `includes`.

    Returns:
        Account id -> name, and media and polls as in `_included`.
    """
    includes = dict_of(page.get("includes"))
    found = _included(includes) if includes else {}
    for user in dicts_of(includes.get("users")):
        if name := text_of(user.get("username")):
            found[text_of(user.get("id"))] = name
    return found


def _included(includes: Mapping[str, Any]) -> dict[str, Any]:
    """Return media and polls that a page of Twitter's API v2 lists, as `tweet_pieces` takes it."""
    found: dict[str, Any] = {
        f"media:{media.get('media_key')}": {"alt_text": media.get("alt_text")}
        for media in dicts_of(includes.get("media"))
    }
    for poll in dicts_of(includes.get("polls")):
        found[f"poll:{poll.get('id')}"] = dicts_of(poll.get("options"))
    return found
