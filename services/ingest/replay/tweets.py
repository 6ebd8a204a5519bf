"""Tweets of API v1.1 and v2 and of archives as plain objects with our names. Pure; never raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.ingest.sources.records import dict_of, dicts_of, text_of


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
    """Return media and polls that a page of Twitter's API v2 lists, as `_pieces` takes it."""
    found: dict[str, Any] = {
        f"media:{media.get('media_key')}": {"alt_text": media.get("alt_text")}
        for media in dicts_of(includes.get("media"))
    }
    for poll in dicts_of(includes.get("polls")):
        found[f"poll:{poll.get('id')}"] = dicts_of(poll.get("options"))
    return found


def tweet_v2(tree: dict[str, Any], apart: Mapping[str, Any]) -> dict[str, Any]:
    """Read a tweet of API v2; what its page names apart is as `apart_of` returns it."""
    referenced = tree.get("referenced_tweets")
    by_type = {
        text_of(other.get("type")): text_of(other.get("id"))
        for other in (referenced if isinstance(referenced, list) else ())
        if isinstance(other, dict)
    }
    note = tree.get("note_tweet")
    whole = text_of(note.get("text")) if isinstance(note, dict) else ""
    return (
        tree
        | _pieces(tree, apart)
        | {
            "text": whole or tree.get("text"),
            "reply_to": by_type.get("replied_to"),
            "repost_of": by_type.get("retweeted"),
        }
    )


def tweet_v1(tree: dict[str, Any]) -> dict[str, Any]:
    """Read a status of API v1.1 or of an archive, with its whole text."""
    extended = tree.get("extended_tweet")
    whole = text_of(extended.get("full_text")) if isinstance(extended, dict) else ""
    original = tree.get("retweeted_status")
    return (
        tree
        | _pieces(tree | dict_of(extended), {})
        | {
            "id": tree["id_str"],
            "text": whole or tree.get("full_text") or tree.get("text"),
            "author": tree.get("user"),
            "reply_to": tree.get("in_reply_to_status_id_str"),
            "repost_of": text_of(original.get("id_str")) if isinstance(original, dict) else None,
            "url": None,
        }
    )


def _pieces(tree: Mapping[str, Any], includes: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what a tweet of API v1.1 or v2, or of an archive, says beside its text.

    Args:
        tree: The tweet.
        includes: What its page lists apart: `media:KEY` -> alt text, `poll:ID` -> options (v2).
    """
    entities = dict_of(tree.get("entities"))
    urls = dicts_of(entities.get("urls"))
    beside = dict_of(tree.get("attachments"))
    media = dicts_of(dict_of(tree.get("extended_entities") or entities).get("media"))
    card = _card_values(dict_of(tree.get("card")))
    labels = [text for name, text in card.items() if re.fullmatch(r"choice\d_label", name)]
    return {
        "tags": [*_list(entities.get("hashtags")), *_list(entities.get("cashtags"))],
        "links": urls,
        "cards": [*urls, card],
        "alts": [
            *({"ext_alt_text": one.get("ext_alt_text")} for one in media),
            *(includes.get(f"media:{key}") for key in _list(beside.get("media_keys"))),
        ],
        "polls": [
            *labels,
            *(
                option
                for key in _list(beside.get("poll_ids"))
                for option in includes.get(f"poll:{key}", ())
            ),
        ],
    }  # fmt: skip


def _card_values(card: dict[str, Any]) -> dict[str, str]:
    """Return the texts of a link card or poll as Twitter's statuses have them, by name."""
    given = dict_of(card.get("legacy")).get("binding_values") or card.get("binding_values")
    if isinstance(given, list):
        given = {str(one.get("key")): one.get("value") for one in dicts_of(given)}
    return {
        str(name): text
        for name, value in dict_of(given).items()
        if isinstance(text := dict_of(value).get("string_value"), str)
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
