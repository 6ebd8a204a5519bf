"""The parts of a post that a query may look in, and a batch of posts divided into them.

What is said of a batch: B posts, P pieces of them. The text of post i is piece i; what else posts
have comes behind, so that a batch of nothing but texts costs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from core.schemas import Attached
from stream.queries.folding import fold, fold_form, refine


class Part(IntFlag):
    """The parts of a post; the names of all but the text are those of `core.schemas.Attached`."""

    TEXT = 1
    LINKS = 2
    TAGS = 4
    CARDS = 8
    ALTS = 16
    POLLS = 32


ALL_PARTS: Final = Part(63)
PART_NAMES: Final = tuple(str(part.name).lower() for part in Part)
PLACEHOLDER: Final = "\x01"
"""Stands for a word that no query has, between what does not belong together."""

_APART: Final = f" {PLACEHOLDER} "

# What an address goes on with: it ends where a script without spaces begins, and before
# punctuation.
_REST: Final = r"[!#-;=?-Z\[\]_a-z~\u00c0-\u0dff\u1e00-\u1fff]*(?<![.,;:!?'\"()\[\]*~_])"
# Nearly all of them, and fast to find.
_WEB: Final = re.compile(rf"(https?://{_REST})")
# What gives away the others: a scheme, a path behind the name of a host, or "www.".
_SIGN: Final = re.compile(
    r"://|\.(?P<last>[^\W\d_]{2,63}|\d{1,3})(?::\d{1,5})?/|\blocalhost(?::\d{1,5})?/|\bwww\.(?=\w)",
    re.IGNORECASE,
)
_HOST_AND_PATH: Final = re.compile(r"\.\w{1,63}(?::\d{1,5})?/")
_TO_ITS_END: Final = re.compile(_REST)
_MAX_HOST_CHARACTERS: Final = 253
_ADDRESS_OF_NUMBERS: Final = re.compile(r"(?:\d{1,3}\.){3}")


def parts_named(names: Sequence[str]) -> Part:
    """Return the parts of these names, each one of `PART_NAMES`."""
    found = Part(0)
    for name in names:
        found |= Part[name.upper()]
    return found


def names_of(parts: Part) -> tuple[str, ...]:
    """Return the names of parts in their order."""
    return tuple(name for name in PART_NAMES if Part[name.upper()] & parts)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A batch of posts as pieces of text.

    Attributes:
        texts: the pieces, folded but for those in plain ASCII; the first B begin with the texts of
            the posts.
        posts: (P,) the post of each piece; None where there is one for each post, of whatever
            parts.
        parts: (P,) the part of each piece, one bit of `Part`; None where `posts` is.
    """

    texts: Sequence[str]
    posts: NDArray[np.int64] | None = None
    parts: NDArray[np.int64] | None = None


def divide(
    texts: Sequence[str], attached: Sequence[Attached | None] | None, *, by_part: bool
) -> Pieces:
    """Fold the posts of a batch and divide them into pieces.

    No phrase reaches from one part into another; in addresses nothing is a hashtag, and people are
    mentioned in texts only.

    Args:
        texts: of the posts.
        attached: what the posts say beside their texts; None if none of them does.
        by_part: each part is a piece by itself; else all of a post are one.
    """
    folded = [text if text.isascii() else refine(fold_form(text)) for text in texts]
    more: list[tuple[int, Part, str]] = []
    for post, text in enumerate(folded):
        if "/" in text or "ww." in text or "WW." in text:
            folded[post] = _set_links_apart(post, text, more if by_part else None)
    if attached is not None:
        for post, one in enumerate(attached):
            if one is not None:
                more += [(post, part, fold(piece)) for part, piece in _said_beside(one)]
    if not more:
        return Pieces(folded)
    if not by_part:
        for post, _, piece in more:
            folded[post] += _APART + piece
        return Pieces(folded)
    count = len(folded)
    return Pieces(
        [*folded, *(piece for _, _, piece in more)],
        np.array([*range(count), *(post for post, _, _ in more)], dtype=np.int64),
        np.array([Part.TEXT] * count + [part for _, part, _ in more], dtype=np.int64),
    )


def _set_links_apart(post: int, text: str, more: list[tuple[int, Part, str]] | None) -> str:
    """Return a text with its addresses set apart; without them if they go to `more`."""
    cut = _WEB.split(text)  # said, address, said, ...
    for said in cut[::2]:
        if ("/" in said or "ww." in said or "WW." in said) and _may_have_others(said):
            cut = [
                piece
                for place, one in enumerate(cut)
                for piece in ([one] if place % 2 else _cut_at_others(one))
            ]
            break
    if len(cut) == 1:
        return text
    cut[1::2] = map(_link_words, cut[1::2])
    if more is None:
        return _APART.join(cut)
    more.append((post, Part.LINKS, _APART.join(cut[1::2])))
    return _APART.join(cut[::2])


def _link_words(link: str) -> str:
    """Return an address as text: nothing in it is a hashtag or mention, escapes are letters."""
    if "%" in link:
        link = fold(unquote(link, errors="replace"))
    if "#" in link or "@" in link:
        link = link.replace("#", " ").replace("@", " ")
    return link


def _said_beside(attached: Attached) -> Iterator[tuple[Part, str]]:
    """Yield the parts that are not empty; people are mentioned in texts only."""
    # A tag of several words is no hashtag of its first.
    tags = [tag if " " in tag.strip() else f"#{tag.lstrip('#')}" for tag in attached.tags]
    links = map(_link_words, attached.links)
    for part, pieces in (
        (Part.TAGS, tags),
        (Part.LINKS, links),
        (Part.CARDS, attached.cards),
        (Part.ALTS, attached.alts),
        (Part.POLLS, attached.polls),
    ):
        said = _APART.join(pieces)
        if said:
            yield part, said.replace("@", " ").replace("＠", " ")


def _may_have_others(text: str) -> bool:
    """Tell at little cost that a text with a slash has no address: "and/or", "24/7"."""
    return (
        _HOST_AND_PATH.search(text) is not None
        or "://" in text
        or "ww." in text
        or "WW." in text
        or "ocalhost" in text
    )


def _cut_at_others(text: str) -> list[str]:
    """Return a text cut at its other addresses: said, address, said, ..."""
    cut: list[str] = []
    done = at = 0
    while (sign := _SIGN.search(text, at)) is not None:
        start = _start_of(text, sign, done)
        at = sign.end()
        if start < 0:
            continue
        rest = _TO_ITS_END.match(text, at)
        at = at if rest is None else rest.end()
        cut += [text[done:start], text[start:at]]
        done = at
    return [*cut, text[done:]]


def _start_of(text: str, sign: re.Match[str], first: int) -> int:
    """Return where the address with this sign begins, not before `first`; -1 if it is none."""
    start = sign.start()
    if text[start] not in ".:":
        return start
    signs = "-._" if text[start] == "." else "+-."
    first = max(first, start - _MAX_HOST_CHARACTERS)
    while start > first and (text[start - 1].isalnum() or text[start - 1] in signs):
        start -= 1
    host = text[start : sign.start()]
    # "@ann.example/" is a mention; "9.5/10" is a mark.
    if not host.strip("-._+") or (start and text[start - 1] == "@"):
        return -1
    is_number = (sign["last"] or "").isdigit()
    if is_number and not _ADDRESS_OF_NUMBERS.fullmatch(f"{host}."):
        return -1
    return start
