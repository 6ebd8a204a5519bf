"""What a valid query may not mean as it is read: said to who checks it, never an error."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final
from unicodedata import normalize

from core.languages import language_tag, near_language
from core.suggest import did_you_mean
from stream.queries.contradictions import contradictions
from stream.queries.expression import LangTerm, Node, SourceTerm, TextTerm
from stream.queries.folding import SEPARATOR, character_classes, split_words
from stream.queries.lexer import Lexeme, lex

_OPERATORS: Final = ("and", "or", "not")
_OPERATORS_ELSEWHERE: Final = {
    "UND": "AND", "ODER": "OR", "NICHT": "NOT", "ET": "AND", "OU": "OR", "SAUF": "NOT",
    "Y": "AND", "O": "OR", "E": "AND", "XOR": "OR", "ANDNOT": "NOT", "WITHOUT": "NOT",
    **dict.fromkeys(("NEAR", "ONEAR", "WITHIN", "AROUND"), "NEAR/5"), "ADJ": "NEAR/1",
}  # fmt: skip
_DISTANCE_WITHOUT_STROKE: Final = re.compile(r"NEAR[-_.]?([0-9]{1,3})")
_ENTITY: Final = re.compile(r"&(?:#\w+|\w+);")
# Inside words they are what everybody expects: "don't", "flood-relief", "U.S.".
_EXPECTED: Final = re.compile(r"(?<=\w)['’ʼʻ‘`´.-](?=\w)|\s")
# Between words and around them, in a phrase; signs that stand alone.
_PUNCTUATION: Final = frozenset(".,:;!?'’‘-–—()…/\"¿¡、。・「」")
_ALONE: Final = re.compile(r"(?<!\S)[^\w\s](?!\S)")


@dataclass(frozen=True, slots=True)
class Hint:
    """Something to look at twice.

    Attributes:
        column: of its place in the expression, from 1.
        text: what was read, and what to write if something else was meant.
    """

    column: int
    text: str


def hints(expression: str, tree: Node, sources: Collection[str]) -> list[Hint]:
    """Return what to look at twice in a valid expression, in the order of its columns.

    Args:
        expression: as it was written.
        tree: what it was parsed to.
        sources: names of the sources that there are.
    """
    found: list[Hint] = []
    for lexeme in lex(expression):
        found += [Hint(lexeme.position + 1, text) for text in _of_lexeme(lexeme, sources)]
    found += [Hint(1, text) for text in contradictions(tree)]
    return found


def _of_lexeme(lexeme: Lexeme, sources: Collection[str]) -> Iterator[str]:
    term, text = lexeme.term, lexeme.text
    if isinstance(term, LangTerm):
        yield from _of_language(term.tag, text)
    elif isinstance(term, SourceTerm) and term.name not in sources:
        near = did_you_mean(term.name, sources)
        meant = near or f" (did you mean one of {', '.join(sources)}?)"
        yield f"no such source {term.name!r}{meant}"
    elif isinstance(term, TextTerm):
        is_phrase = split_words(text[:1]) == () and text[:1] not in "#＃"
        if not is_phrase or not _is_quoted(text):
            yield from _of_word(term, text)
        else:
            yield from _of_phrase(text[1:-1])


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and not text[0].isalnum() and text[0] not in "#＃$€£"


def _of_language(tag: str, text: str) -> Iterator[str]:
    if language_tag(tag):
        return
    near = near_language(tag)
    meant = repr(near) if near else "a code such as en, de or pt-br"
    yield f"no such language {text.partition(':')[2]!r} (did you mean {meant}?)"


def _of_word(term: TextTerm, text: str) -> Iterator[str]:
    if text.lower() in _OPERATORS:
        yield f"{text!r} is read as a word; operators are written in capitals: {text.upper()}"
        return
    if text in _OPERATORS_ELSEWHERE:
        yield f"{text!r} is read as a word; did you mean {_OPERATORS_ELSEWHERE[text]}?"
        return
    if distance := _DISTANCE_WITHOUT_STROKE.fullmatch(text):
        yield f"{text!r} is read as a word; did you mean NEAR/{distance.group(1)}?"
        return
    text = normalize("NFKC", text)
    body = text[1:] if term.is_hashtag else text
    unread = _unread(body.removesuffix("*"), by_itself=not term.is_hashtag)
    if unread:
        words = " ".join(term.words)
        read = f"the word {words!r}" if len(term.words) == 1 else f"the phrase {words!r}"
        if term.is_hashtag and len(term.words) > 1:
            read = f"the hashtag {'#' + term.words[0]!r} and then {' '.join(term.words[1:])!r}"
        yield f"{text!r} is read as {read}: {_listed(unread)} separates words and is not looked at"


def _of_phrase(inside: str) -> Iterator[str]:
    entity = _ENTITY.search(inside)
    if entity is not None:
        yield (
            f"{entity.group()!r} is read as letters and will not be found: in posts it has become "
            "the sign that it stands for"
        )
        return
    unread = [
        sign for sign in _unread(_ALONE.sub("", inside), by_itself=True) if sign not in _PUNCTUATION
    ]
    if unread:
        yield f"{_listed(unread)} is not looked at in a phrase"


def _unread(text: str, *, by_itself: bool) -> list[str]:
    """Return the distinct characters of a term that only separate its words."""
    shown = _EXPECTED.sub("", text) if by_itself else text
    classes = character_classes()
    return list(dict.fromkeys(sign for sign in shown if classes[ord(sign)] == SEPARATOR))


def _listed(signs: list[str]) -> str:
    return ", ".join(map(repr, signs))
