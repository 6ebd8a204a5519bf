"""The query language.

::

    expression  = conjunction { "OR" conjunction } ;
    conjunction = negation { [ "AND" ] negation } ;       (* neighbours are joined by AND *)
    negation    = "NOT" negation | nearness ;
    nearness    = side "NEAR/" distance side | primary ;
    side        = text | "(" text { "OR" text } ")" ;     (* brackets may be doubled *)
    primary     = "(" expression ")" | term ;
    text        = word | prefix "*" | '"' phrase '"' | "#" hashtag ;
    term        = text | "@" author | "lang:" tag | "source:" name ;

A distance is a number of words from 1 to `stream.queries.expression.MAX_DISTANCE`.
Operators are upper case only: ``and`` is a word like any other. `docs/queries.md` explains the
language to those who write queries; `stream.queries.folding` says what a word is.
"""

from __future__ import annotations

from stream.queries.expression import (
    Near,
    Node,
    Not,
    Or,
    TextTerm,
    conjoin,
    disjoin,
    first_unbounded,
)
from stream.queries.expression import push_negations_down as normalise_negations
from stream.queries.lexer import Lexeme, QuerySyntaxError, lex

__all__ = ["MAX_DEPTH", "MAX_EXPRESSION_CHARACTERS", "QuerySyntaxError", "parse"]

# The parser descends once per bracket or NOT; far beyond what a person writes, far below
# Python's own recursion limit.
MAX_DEPTH = 50
MAX_EXPRESSION_CHARACTERS = 20_000

_NAMES = {"end": "the end of the expression"}
_TERM_EXPECTED = "expected a word, a phrase, a #hashtag, an @author, lang:, source:, NOT or '('"

_ONE_NEAR = "a NEAR joins two sides; expected AND before another: a NEAR/5 b AND b NEAR/5 c"
_SIDE_EXPECTED = "expected words, phrases or hashtags beside NEAR, of several an OR in brackets"


def parse(expression: str) -> Node:
    """Return the tree of `expression`.

    Raises:
        QuerySyntaxError: it is empty, too long or malformed, or it would match posts that hold
            none of its terms, as ``NOT flood`` does: that is nearly every post, at the price of
            a window for each, and is not something that can be watched. ``lang:en NOT flood``
            is fine.
    """
    if len(expression) > MAX_EXPRESSION_CHARACTERS:
        problem = (
            f"expected at most {MAX_EXPRESSION_CHARACTERS} characters, found {len(expression)}"
        )
        raise QuerySyntaxError(expression[:80] + " ...", 0, problem)
    tree = _Parser(expression).parse()
    unbounded = first_unbounded(normalise_negations(tree))
    if unbounded is not None:
        raise QuerySyntaxError(
            expression,
            unbounded.position,
            "this NOT alone would match nearly every post; expected a term joined to it by AND",
        )
    return tree


class _Parser:
    """Recursive descent over the lexemes of one expression."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._lexemes = lex(expression)
        self._index = 0
        self._depth = 0

    @property
    def _next(self) -> Lexeme:
        return self._lexemes[self._index]

    def _advance(self) -> Lexeme:
        lexeme = self._next
        self._index += 1
        return lexeme

    def _fail(self, lexeme: Lexeme, problem: str) -> QuerySyntaxError:
        return QuerySyntaxError(self._expression, lexeme.position, problem)

    def parse(self) -> Node:
        tree = self._disjunction()
        if self._next.kind != "end":
            # Only a closing bracket can be left: everything else continues the expression.
            raise self._fail(self._next, "this ')' closes nothing; expected '(' before it")
        return tree

    def _disjunction(self) -> Node:
        children = [self._conjunction()]
        while self._next.kind == "OR":
            self._advance()
            children.append(self._conjunction())
        return disjoin(children)

    def _conjunction(self) -> Node:
        children = [self._negation()]
        while self._next.kind in ("AND", "NOT", "(", "term"):
            if self._next.kind == "AND":
                self._advance()
            children.append(self._negation())
        return conjoin(children)

    def _negation(self) -> Node:
        if self._next.kind != "NOT":
            return self._nearness()
        operator = self._advance()
        self._descend(operator)
        child = self._negation()
        self._depth -= 1
        return Not(child, operator.position)

    def _nearness(self) -> Node:
        first = self._index
        node = self._primary()
        if self._next.kind != "NEAR":
            return node
        left = self._side(node, first)
        operator = self._advance()
        first = self._index
        right = self._side(self._primary(), first)
        if self._next.kind == "NEAR":
            raise self._fail(self._next, _ONE_NEAR)
        return Near(left, right, operator.distance)

    def _side(self, node: Node, first: int) -> tuple[TextTerm, ...]:
        """Return the terms of a side of a NEAR that was read from the lexeme `first` on."""
        lexemes = self._lexemes[first : self._index]
        ends_with_one = False
        for lexeme in lexemes:
            is_text = isinstance(lexeme.term, TextTerm)
            # Neighbours without an operator between them are joined by AND.
            is_and = ends_with_one and (is_text or lexeme.kind == "(")
            if is_and or not (is_text or lexeme.kind in ("(", ")", "OR")):
                raise self._fail(lexeme, f"{_SIDE_EXPECTED}, found {lexeme.text!r}")
            ends_with_one = is_text or lexeme.kind == ")"
        children = node.children if isinstance(node, Or) else (node,)
        return tuple(child for child in children if isinstance(child, TextTerm))

    def _primary(self) -> Node:
        lexeme = self._advance()
        if lexeme.term is not None:
            return lexeme.term
        if lexeme.kind != "(":
            found = _NAMES.get(lexeme.kind, repr(lexeme.text))
            raise self._fail(lexeme, f"{_TERM_EXPECTED}, found {found}")
        self._descend(lexeme)
        tree = self._disjunction()
        if self._next.kind != ")":
            raise self._fail(lexeme, "this '(' is never closed; expected ')'")
        self._advance()
        self._depth -= 1
        return tree

    def _descend(self, lexeme: Lexeme) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fail(lexeme, f"expected at most {MAX_DEPTH} nested brackets and NOTs")
