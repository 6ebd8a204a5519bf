"""Cuts a query expression into brackets, operators and terms, with the position of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn
from unicodedata import east_asian_width

from core.errors import ConfigError
from core.languages import language_tag, near_language
from core.suggest import did_you_mean
from stream.queries.expression import (
    MAX_DISTANCE,
    AuthorTerm,
    LangTerm,
    SourceTerm,
    Term,
    TextTerm,
)
from stream.queries.folding import fold, fold_form, is_unspaced, split_words
from stream.queries.foreign import OPERATORS, distance_hint, field_hint, misplaced

LexemeKind = Literal["(", ")", "AND", "OR", "NOT", "NEAR", "term", "end"]

_FIELDS = ("lang", "source")
_QUOTES = '"“”„‟«»‹›「」『』〝〞〟＂'
# A phrase may stand in these, too, when both are there: an apostrophe is none.
_SINGLE_QUOTED = re.compile(r"['‘‚‛＇](?=\S)((?:[^'‘’＇\n]|['’＇](?![\s)]|$))+)['‘’＇](?=[\s()]|$)")
# Typed or pasted without being seen; inside words some of them are.
_UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_UNSEEN_SIGNS = re.compile(f"[{_UNSEEN}]+")
_BLANKS = re.compile(rf"[\s{_UNSEEN}]+")
_BRACKETS = {"(": "(", ")": ")", "（": "(", "）": ")"}
_RUN = re.compile(rf"[^\s()（）{_QUOTES}]+")
_FULL_WIDTH = {0xFF01 + place: 0x21 + place for place in range(94)}
_FIELD = re.compile(r"([^\W\d]\w*):(.*)", re.DOTALL)
_LANG = re.compile(r"[a-z]{2,3}([_-][a-z0-9]{1,8})*")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Of any platform: united, ann.example.org, ann@social.example, did:plc:abc.
_HANDLE = re.compile(r"\w([\w.:@-]*\w)?")
_MIN_PREFIX_CHARACTERS = 2
_NEAR = "NEAR/"
_DISTANCE = re.compile(r"[0-9]{1,9}")


class QuerySyntaxError(ConfigError):
    """A query expression cannot be parsed.

    The message says what was found and what was expected, then shows the line of the
    expression with a caret under the place.

    Attributes:
        expression: the whole expression.
        position: characters before the place, from 0; the length of the expression at its end.
        line: line of the place, from 1.
        column: character of the place in its line, from 1.
        problem: what is wrong, without the picture.
    """

    def __init__(self, expression: str, position: int, problem: str) -> None:
        before = expression[:position]
        self.expression = expression
        self.position = position
        self.problem = problem
        self.line = before.count("\n") + 1
        line_start = before.rfind("\n") + 1
        self.column = position - line_start + 1
        shown = expression[line_start:].split("\n", 1)[0]
        # A tab stays a tab and a wide character takes two cells, else the caret would drift.
        padding = "".join(
            "\t" if c == "\t" else "  " if east_asian_width(c) in "WF" else " "
            for c in expression[line_start:position]
        )
        place = f"column {self.column}"
        if "\n" in expression:
            place = f"line {self.line}, {place}"
        super().__init__(f"{place}: {problem}\n    {shown}\n    {padding}^")


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One piece of an expression.

    Attributes:
        kind: a bracket, an operator, "term" or "end".
        position: of its first character, from 0.
        text: as it was written; empty at the end.
        term: the parsed term when `kind` is "term".
        distance: in words when `kind` is "NEAR", else 0.
    """

    kind: LexemeKind
    position: int
    text: str
    term: Term | None = None
    distance: int = 0


def lex(expression: str) -> list[Lexeme]:
    """Return the pieces of `expression`, closed by one of kind "end".

    Raises:
        QuerySyntaxError: a term is malformed or a quotation mark is never closed.
    """
    lexemes: list[Lexeme] = []
    position = 0
    while position < len(expression):
        character = expression[position]
        blanks = _BLANKS.match(expression, position)
        if blanks is not None:
            position = blanks.end()
            continue
        bracket = _BRACKETS.get(character)
        single = _SINGLE_QUOTED.match(expression, position)
        if bracket == "(" or bracket == ")":
            lexeme = Lexeme(bracket, position, character)
        elif character in _QUOTES:
            lexeme = _lex_phrase(expression, position)
        elif single is not None:
            lexeme = _lex_single_quoted(expression, single)
        else:
            lexeme = _lex_run(expression, position)
        lexemes.append(lexeme)
        position += len(lexeme.text)
    lexemes.append(Lexeme("end", len(expression), ""))
    return lexemes


def _lex_phrase(expression: str, start: int) -> Lexeme:
    end = start + 1
    while end < len(expression) and expression[end] not in _QUOTES:
        end += 1
    if end == len(expression):
        raise QuerySyntaxError(expression, start, "this quotation mark is never closed")
    return _phrase(expression, start, expression[start + 1 : end])


def _lex_single_quoted(expression: str, quoted: re.Match[str]) -> Lexeme:
    inside = quoted.group(1)
    if any(word in ("AND", "OR", "NOT") or word.startswith(_NEAR) for word in inside.split()):
        problem = "an operator between single quotes; expected double quotes around a phrase"
        raise QuerySyntaxError(expression, quoted.start(), problem)
    return _phrase(expression, quoted.start(), inside)


def _phrase(expression: str, start: int, inside: str) -> Lexeme:
    if "*" in inside:
        raise QuerySyntaxError(
            expression,
            start + 1 + inside.index("*"),
            "'*' is not allowed in a phrase; it stands at the end of a single word",
        )
    words = split_words(inside)
    if not words:
        raise QuerySyntaxError(expression, start, "expected at least one word in the phrase")
    text = expression[start : start + len(inside) + 2]
    spelling = "".join(" " if sign in _QUOTES else sign for sign in inside)
    return Lexeme("term", start, text, TextTerm(words, spelling=f'"{spelling}"'))


def _lex_run(expression: str, start: int) -> Lexeme:
    found = _RUN.match(expression, start)
    assert found is not None  # noqa: S101 - the caller stands on a character of a run
    run = found.group()
    plain = run.translate(_FULL_WIDTH)
    operator = _UNSEEN_SIGNS.sub("", plain)
    if operator == "AND" or operator == "OR" or operator == "NOT":
        return Lexeme(operator, start, run)
    if operator.startswith(_NEAR):
        return Lexeme("NEAR", start, run, distance=_distance(expression, start, operator))
    shown = re.sub(rf"[{_UNSEEN}]+\Z", "", plain)
    return Lexeme("term", start, run, _RunReader(expression, start, shown).read())


def _distance(expression: str, start: int, operator: str) -> int:
    written = operator.removeprefix(_NEAR)
    distance = int(written) if _DISTANCE.fullmatch(written) else 0
    if not 1 <= distance <= MAX_DISTANCE:
        found = repr(written[:20]) if written else "nothing"
        raise QuerySyntaxError(
            expression,
            start + len(_NEAR),
            f"expected a number of words from 1 to {MAX_DISTANCE} behind 'NEAR/', found {found}",
        )
    return distance


class _RunReader:
    """Turns one run of characters without spaces, brackets or quotes into a term."""

    def __init__(self, expression: str, start: int, run: str) -> None:
        self._expression = expression
        self._start = start
        self._run = run

    def read(self) -> Term:
        sigil = self._run[0]
        if sigil == "@":
            return self._author()
        if sigil == "#":
            return self._text(self._run[1:], offset=1)
        if sigil in OPERATORS:
            self._fail(0, f"{self._run[0]!r} is not an operator; {OPERATORS[sigil]}")
        distance = distance_hint(self._run)
        if distance is not None:
            self._fail(0, distance)
        named = _FIELD.fullmatch(self._run)
        if named is not None:
            return self._field(named.group(1), named.group(2))
        return self._text(self._run, offset=0)

    def _fail(self, offset: int, problem: str) -> NoReturn:
        raise QuerySyntaxError(self._expression, self._start + offset, problem)

    def _text(self, body: str, offset: int) -> TextTerm:
        is_hashtag = offset == 1
        foreign = misplaced(body)
        if foreign is not None:
            self._fail(offset + foreign[0], foreign[1])
        is_prefix = body.endswith("*")
        stem = body.removesuffix("*")
        if "*" in stem:
            self._fail(offset + stem.index("*"), "'*' is only allowed at the end of a word")
        words = split_words(stem)
        if not words:
            what = "a word after '#'" if is_hashtag else "a word"
            self._fail(offset, f"expected {what}, found {body!r}" if body else f"expected {what}")
        too_short = len(words) == 1 and len(words[0]) < _MIN_PREFIX_CHARACTERS
        if is_prefix and too_short and not is_unspaced(words[0]):
            self._fail(
                offset,
                f"expected at least {_MIN_PREFIX_CHARACTERS} characters before '*', "
                f"found {stem!r}: it would match most posts",
            )
        return TextTerm(words, is_hashtag, is_prefix, spelling=self._run)

    def _author(self) -> AuthorTerm:
        body = self._run[1:]
        if "*" in body:
            self._fail(1 + body.index("*"), "'*' is not allowed in an author's handle")
        if not split_words(body):
            self._fail(1, "expected an author's handle after '@'")
        if not _HANDLE.fullmatch(body):
            self._fail(1, f"expected a handle such as united or ann@social.example, found {body!r}")
        return AuthorTerm(fold_form(body), spelling=self._run)

    def _field(self, name: str, value: str) -> Term:
        if name not in _FIELDS:
            hint = field_hint(name) or did_you_mean(name, _FIELDS)
            self._fail(
                0,
                f"unknown field {name!r}{hint}; expected "
                f"'lang:' or 'source:' (put quotes around it to search for the text)",
            )
        folded = fold(value)
        if name == "lang":
            if not _LANG.fullmatch(folded):
                near = near_language(value)
                meant = f" (did you mean {near!r}?)" if near else ""
                self._fail(
                    5, f"expected a language code such as en or pt-br, found {value!r}{meant}"
                )
            return LangTerm((language_tag(folded) or folded).lower().replace("_", "-"))
        if not _SOURCE.fullmatch(folded):
            self._fail(7, f"expected the name of a source such as bluesky, found {value!r}")
        return SourceTerm(folded)
