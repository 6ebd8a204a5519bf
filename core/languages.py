"""Languages as BCP-47 tags, whatever a platform calls them. Pure; never raises.

Tags, codes of two and three letters, aliases and names in many languages come from `langcodes` and
its data (CLDR and the registry of subtags of IANA).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, Final

import langcodes
from language_data import names as known_names  # pyright: ignore[reportMissingTypeStubs]

MAX_TAG_CHARS: Final = 35
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:[_-][A-Za-z0-9]{1,8}){0,6}")
_MAX_NAME_CHARS: Final = 60
# "und" and its like; from qaa to qtz whoever sends them gives them a meaning of his own.
_NO_LANGUAGE: Final = re.compile(r"(?:und|mul|zxx|mis|q[a-t][a-z])(?:-|$)")

# Without the codes that stand for no country: AA, QM to QZ, XA to XZ, ZZ.
_COUNTRY: Final = re.compile(r"(?!AA|Q[M-Z]|X|ZZ)[A-Z]{2}", re.IGNORECASE)


_KNOWN: Final[Any] = known_names  # without types


@lru_cache(maxsize=4096)
def language_tag(value: str) -> str:
    """Return the BCP-47 tag of a tag, code, locale or name of a language; "" if it is none.

    What a tag says beyond its language is left out where it is not valid.

    Example:
        >>> [language_tag(value) for value in ("pt_BR", "eng", "EN", "en_US.UTF-8", "iw")]
        ['pt-BR', 'en', 'en', 'en-US', 'he']
        >>> [language_tag(value) for value in ("English", "Deutsch", "日本語", "und", "nobody")]
        ['en', 'de', 'ja', '', '']
    """
    value = value.strip()
    if not value or len(value) > _MAX_NAME_CHARS or not value.isprintable():
        return ""
    tag = _standard(re.split(r"[.@]", value, maxsplit=1)[0])
    # Two and three Latin letters are a code: "mo" is no beginning of a name.
    if not tag and not (value.isascii() and len(value) <= 3):
        tag = _named(value)
    return "" if len(tag) > MAX_TAG_CHARS or _NO_LANGUAGE.match(tag) else tag


def _standard(value: str) -> str:
    if not _TAG.fullmatch(value):
        return ""
    try:
        tag = langcodes.standardize_tag(value)
        if langcodes.tag_is_valid(tag):
            return tag
        language = langcodes.Language.get(tag).language or ""
    except ValueError:  # as langcodes says of what is no tag
        return ""
    return language if langcodes.tag_is_valid(language) else ""


def _named(value: str) -> str:
    """Return the tag of a language by its name in any language, written as it is."""
    # The library is content with the beginning of a name: "Some words" would be Fasu.
    if _KNOWN.normalize_name(value) not in _names():
        name, opening, _ = value.partition("(")  # "Portuguese (Brazil)"
        return _named(name.strip()) if opening else ""
    try:
        return langcodes.find(value).to_tag()
    except LookupError:
        return ""


@cache
def _names() -> Any:
    """Return every name of a language in any language, normalised."""
    return _KNOWN.load_trie(_KNOWN.data_filename("trie/und/name_to_language.marisa"))


def near_language(value: str) -> str:
    """Return the language that may be meant by what is none, such as a country's code; or "".

    Example:
        >>> near_language("jp"), near_language("english"), near_language("xx")
        ('ja', 'en', '')
    """
    named = language_tag(value)
    if named or not _COUNTRY.fullmatch(value):
        return named
    country = langcodes.Language.make(territory=value.upper())
    if not country.is_valid():
        return ""
    likely = country.maximize().language or ""
    return "" if _NO_LANGUAGE.match(likely) else likely
