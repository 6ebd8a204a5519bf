"""What a row says beside its text: tags, links, cards, alt texts and polls. Pure; never raises.

Platforms keep them in lists of objects, tables in one cell: `['flood', 'relief']`, `flood|relief`,
`#flood #relief`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from core.schemas import Attached
from core.text import is_markup, read_html
from services.ingest.sources.records import attached_of, dict_of, dicts_of, text_of
from services.ingest.sources.replay.options import ATTACHED_FIELDS

_MAX_CELL_CHARS: Final = 16_384
_NOTHING: Final = frozenset(("", "nan", "NaN", "None", "null", "set()"))
"""What data frames write where there is nothing."""
_LISTED: Final = re.compile(r"\s*[\[{(]")
_TAG_BREAKS: Final = re.compile(r"[,;|<>\n]+")
_ADDRESS: Final = re.compile(r"\w+://(?:(?!,\w+://)[^\s'\"<>|;])+")
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "tags": ("tag", "text", "name", "hashtag"),
    "links": ("unwound_url", "expanded_url", "expandedUrl", "url", "uri", "href"),
    "cards": ("title",),
    "alts": ("alt", "alt_text", "altText", "ext_alt_text", "description", "caption", "name"),
    "polls": ("title", "label", "text", "option", "name"),
}
"""Keys under which objects have a piece, the likeliest first."""
_CHOICES: Final = ("options", "choices", "answers")


def attached_to(values: Sequence[Any], text: Any = "") -> Attached | None:
    """Return what a row says beside its text, None for nothing.

    Args:
        values: What it has for each of `ATTACHED_FIELDS`, as the file has it.
        text: Its text, whose links are cut away where it is HTML.

    Example:
        >>> attached_to(["#flood #relief", None, {"title": "Levee"}, None, None]).tags
        ('flood', 'relief')
    """
    hidden = read_html(text)[1] if isinstance(text, str) and is_markup(text) else ()
    if not hidden and not any(values):
        return None
    given = zip(ATTACHED_FIELDS, values, strict=True)
    found = {field: [*_pieces(field, value)] for field, value in given}
    found["links"] = [*hidden, *found["links"]]
    return attached_of(**found)


def _pieces(field: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        value = _cell(field, value)
    for part in value if isinstance(value, list | tuple) else (value,):
        if isinstance(part, str):
            if field != "alts" or not _ADDRESS.match(part):  # of the picture itself
                yield part
        elif isinstance(part, dict):
            yield from _object(field, part)


def _object(field: str, value: dict[str, Any]) -> Iterator[str]:
    choices = next((value[key] for key in _CHOICES if isinstance(value.get(key), list)), None)
    if field == "polls" and choices is not None:
        for choice in choices:
            yield from (choice,) if isinstance(choice, str) else _named(field, dict_of(choice))
        return
    yield from _named(field, value)
    if field == "cards" and isinstance(value.get("description"), str):
        yield value["description"]


def _named(field: str, value: dict[str, Any]) -> Iterator[str]:
    for key in _KEYS[field]:
        if isinstance(value.get(key), str) and value[key]:
            yield value[key]
            return


def _cell(field: str, text: str) -> Any:
    """Return the pieces in a cell of a table: a list as programs print it, or as people write."""
    if text.strip() in _NOTHING:
        return ()
    if _LISTED.match(text) and len(text) <= _MAX_CELL_CHARS:
        for read in (msgspec.json.decode, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError, msgspec.MsgspecError):
                continue
    if field == "tags":
        return [tag for part in _TAG_BREAKS.split(text) for tag in _tags(part)]
    if field == "links":
        return [address.rstrip(",") for address in _ADDRESS.findall(text)]
    return [text]


def _tags(part: str) -> list[str]:
    """Return the tags between two separators; without any, spaces stand between tags."""
    return part.split() if "#" in part else [part]


def note_pieces(note: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what a note of ActivityPub says beside its text; links stand in its HTML."""
    tags = note.get("tag")
    choices = note.get("oneOf") or note.get("anyOf")
    return {
        "tags": [
            tag.get("name")
            for tag in dicts_of(tags if isinstance(tags, list) else [tags])
            if tag.get("type") == "Hashtag"
        ],
        "alts": [{"name": part.get("name")} for part in dicts_of(note.get("attachment"))],
        "polls": dicts_of(choices),
    }


def referenced(tree: Mapping[str, Any], kind: str) -> str | None:
    """Return the id of the tweet that one of API v2 refers to in this way, None for none."""
    others = dicts_of(tree.get("referenced_tweets"))
    ids = {text_of(other.get("type")): text_of(other.get("id")) for other in others}
    return ids.get(kind)


def tweet_pieces(tree: Mapping[str, Any], includes: Mapping[str, Any]) -> dict[str, list[Any]]:
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
        "tags": [*listed(entities.get("hashtags")), *listed(entities.get("cashtags"))],
        "links": urls,
        "cards": [*urls, card],
        "alts": [
            *({"ext_alt_text": one.get("ext_alt_text")} for one in media),
            *(includes.get(f"media:{key}") for key in listed(beside.get("media_keys"))),
        ],
        "polls": [
            *labels,
            *(
                option
                for key in listed(beside.get("poll_ids"))
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


def listed(value: Any) -> list[Any]:
    """Return a list of JSON, an empty one for anything else."""
    return value if isinstance(value, list) else []
