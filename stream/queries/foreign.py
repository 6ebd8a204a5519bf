"""What people write coming from search engines and other products, and what to write here.

All of it would mean something else here, or nothing, so it is refused with a hint.
"""

from __future__ import annotations

import re
from typing import Final

QUOTE: Final = "; put quotes around it to search for the text"

OPERATORS: Final = {
    "-": "write NOT to exclude a word",
    "!": "write NOT to exclude a word",
    "+": "every word is required unless OR stands between; leave out the '+'",
    "|": "write OR",
    "&": "write AND, or nothing",
}
"""Signs at the beginning of a term."""

_SIGNS: Final = {
    "|": f"is not an operator; write OR{QUOTE}",
    "&": f"is not an operator; write AND, or nothing{QUOTE}",
    ",": f"joins nothing; write OR between words of which any will do{QUOTE}",
    ";": f"joins nothing; write OR between words of which any will do{QUOTE}",
    "?": f"stands for no letter; write each spelling and OR between them{QUOTE}",
    "~": "does not loosen a term: words are found as they are; write each spelling and OR between",
    "^": f"gives no weight to a term: a post matches or not{QUOTE}",
    "[": f"is no bracket of this language; write '('{QUOTE}",
    "]": f"is no bracket of this language; write ')'{QUOTE}",
    "{": f"is no bracket of this language; write '('{QUOTE}",
    "}": f"is no bracket of this language; write ')'{QUOTE}",
    "\\": f"takes no meaning from a sign{QUOTE}",
}
_SIGN_OF: Final = {"、": ",", "،": ",", "؛": ";", "？": "?", "؟": "?"}
_EITHER_ORDER: Final = re.compile(r"(?:near|w|n|within|around|same)[/:~](\d+)", re.IGNORECASE)
_IN_ORDER: Final = re.compile(r"(?:onear|p|pre|adj|fby)[/:~](\d+)|adj(\d+)", re.IGNORECASE)
_SLOP: Final = re.compile(r"~(\d+)")
_FIELDS: Final = {
    **dict.fromkeys(("from", "author", "by", "user", "to", "mentions", "username"), "write @name"),
    **dict.fromkeys(("hashtag", "tag", "tags", "hashtags"), "write #name"),
    **dict.fromkeys(("language", "lg", "locale"), "write lang:en"),
    **dict.fromkeys(("platform", "network", "via", "sourcetype"), "write source:bluesky"),
    **dict.fromkeys(
        ("since", "until", "before", "after", "date"), "posts are watched from now on"
    ),
    **dict.fromkeys(
        ("text", "title", "content", "body", "url", "link", "links", "site", "domain", "inurl",
         "intitle", "allintitle", "intext", "alt", "card", "in"),
        "where a query looks is said by its key `parts`",
    ),
    **dict.fromkeys(
        ("filter", "has", "is", "include", "exclude", "min_faves", "min_likes", "min_retweets",
         "min_replies", "near", "within", "geocode", "place", "list", "conversation_id"),
        "there is nothing like it here",
    ),
}  # fmt: skip


def misplaced(run: str) -> tuple[int, str] | None:
    """Return the first place in a term without quotes that is not of this language, and why.

    Example:
        >>> misplaced("flood|storm")[0], misplaced("don't")
        (5, None)
    """
    if len(run) > 2 and run[0] == run[-1] == "/":
        return 0, f"regular expressions are not supported{QUOTE}"
    for place, sign in enumerate(run):
        known = _SIGNS.get(_SIGN_OF.get(sign, sign))
        if known is not None:
            return place, f"{sign!r} {known}"
    return None


def distance_hint(run: str) -> str | None:
    """Return what to write instead of a distance of another product; None for what is none.

    Example:
        >>> distance_hint("w/5")
        "'w/5' is not an operator; write NEAR/5"
    """
    if found := _EITHER_ORDER.fullmatch(run):
        return f"{run!r} is not an operator; write NEAR/{_number(found)}"
    if found := _IN_ORDER.fullmatch(run):
        return (
            f"{run!r} is not an operator; write NEAR/{_number(found)}, which looks in either "
            "order, or a phrase in quotes"
        )
    if found := _SLOP.fullmatch(run):
        return (
            f"{run!r} does not loosen a phrase: its words stand next to each other; write "
            f"NEAR/{_number(found)} between two words"
        )
    return None


def _number(found: re.Match[str]) -> str:
    return next(filter(None, found.groups()))


def field_hint(name: str) -> str:
    """Return what to write instead of a field of another product; "" for what is none."""
    hint = _FIELDS.get(name.lower())
    return f": {hint}" if hint else ""
