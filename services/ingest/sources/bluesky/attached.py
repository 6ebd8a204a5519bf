"""What a post of Bluesky says beside its text. Pure; never raises.

What is not as the lexicon has it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from core.schemas import Attached
from services.ingest.sources.bluesky.wire import NOTHING, Record
from services.ingest.sources.records import attached_of, dict_of, dicts_of

_decoder = msgspec.json.Decoder()


def attached_to(record: Record) -> Attached | None:
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
