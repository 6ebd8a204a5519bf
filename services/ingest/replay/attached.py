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
from services.ingest.replay.options import ATTACHED_FIELDS
from services.ingest.sources.records import attached_of, dict_of, dicts_of

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
