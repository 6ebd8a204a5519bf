"""Compiles queries into what the matcher runs: literals, triggers and tests.

A *literal* is a distinct term of all queries, numbered; what stands beside a NEAR is one, too.
Each query is reached from literals in one of two ways:

- *direct*: the query is a term or an Or of terms, so the presence of a literal settles it;
- *triggered*: a set of literals is chosen of which every match must hold at least one (of the
  parts of an And, the one expected to be rarest); only a post that holds one is tested.

So a query costs nothing on a post that holds none of its triggers, which is why thousands of
queries cost about as much as ten. Every query has triggers: `stream.queries.grammar.parse`
refuses those that could match without any of their terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from stream.queries.expression import (
    And,
    AuthorTerm,
    LangTerm,
    Near,
    Node,
    Not,
    Or,
    SourceTerm,
    Term,
    TextTerm,
    iterate_terms,
    push_negations_down,
)

Test: TypeAlias = Callable[[AbstractSet[int]], bool]

# A word of n letters is taken
# to be about half as common as one of n - 1, a language or source to cover much of the stream.
_COLUMN_SHARE = 0.5
_AUTHOR_SHARE = 1e-5


@dataclass(frozen=True, slots=True)
class Plan:
    """All queries, compiled.

    Attributes:
        literals: the distinct terms; a literal is an index into it.
        direct: per literal, the queries that its presence settles.
        triggered: per literal, the queries to test where it is present.
        tests: per query, the test on the set of literals present; None for direct queries.
    """

    literals: tuple[Term, ...]
    direct: list[list[int]]
    triggered: list[list[int]]
    tests: list[Test | None]


def make_plan(expressions: Sequence[Node]) -> Plan:
    """Compile the parsed expressions; query i is expressions[i]."""
    trees = [push_negations_down(expression) for expression in expressions]
    literal_of: dict[Term, int] = {}
    for tree in trees:
        for term in iterate_terms(tree):
            beside = (one for side in term.sides for one in side) if isinstance(term, Near) else ()
            for one in (term, *beside):
                literal_of.setdefault(one, len(literal_of))
    direct: list[list[int]] = [[] for _ in literal_of]
    triggered: list[list[int]] = [[] for _ in literal_of]
    tests: list[Test | None] = []
    for query, tree in enumerate(trees):
        alternatives = _terms_only(tree)
        if alternatives is not None:
            tests.append(None)
            chosen, reached = alternatives, direct
        else:
            tests.append(_compile_test(tree, literal_of))
            _, chosen = _rarest_triggers(tree)
            reached = triggered
        for term in dict.fromkeys(chosen):
            reached[literal_of[term]].append(query)
    return Plan(tuple(literal_of), direct, triggered, tests)


def _terms_only(tree: Node) -> list[Term] | None:
    """Return the terms of a tree that is a term or an Or of terms, else None."""
    children = tree.children if isinstance(tree, Or) else (tree,)
    terms = [child for child in children if not isinstance(child, Not | And | Or)]
    return terms if len(terms) == len(children) else None


def expected_share(term: Term) -> float:
    """Return the rough share of posts that hold a term; only the order of shares matters."""
    if isinstance(term, LangTerm | SourceTerm):
        return _COLUMN_SHARE
    if isinstance(term, AuthorTerm):
        return _AUTHOR_SHARE
    if isinstance(term, Near):
        one, other = (sum(map(expected_share, side)) for side in term.sides)
        return one * other
    return 2.0 ** -sum(map(len, term.words))


def _rarest_triggers(tree: Node) -> tuple[float, list[Term]]:
    """Return literals of which every match holds one, and the share of posts expected to.

    An empty list means that there are none, with an infinite share.
    """
    if isinstance(tree, Not):
        return float("inf"), []
    if isinstance(tree, And):
        return min(map(_rarest_triggers, tree.children), key=lambda found: found[0])
    if isinstance(tree, Or):
        parts = [_rarest_triggers(child) for child in tree.children]
        share = sum(part_share for part_share, _ in parts)
        return share, [term for _, terms in parts for term in terms]
    return expected_share(tree), [tree]


def _compile_test(tree: Node, literal_of: dict[Term, int]) -> Test:
    """Return a function that says whether the tree holds for a set of present literals.

    The terms directly under an And or Or are tested by one set operation.
    """
    if not isinstance(tree, And | Or):
        tree = And((tree,))
    required, forbidden, rest = _sort_children(tree.children, literal_of)
    return (_all_test if isinstance(tree, And) else _any_test)(required, forbidden, rest)


def _sort_children(
    children: Iterable[Node], literal_of: dict[Term, int]
) -> tuple[frozenset[int], frozenset[int], tuple[Test, ...]]:
    positive: set[int] = set()
    negative: set[int] = set()
    rest: list[Test] = []
    for child in children:
        if isinstance(child, And | Or):
            rest.append(_compile_test(child, literal_of))
        elif not isinstance(child, Not):
            positive.add(literal_of[child])
        elif isinstance(child.child, TextTerm | AuthorTerm | LangTerm | SourceTerm | Near):
            negative.add(literal_of[child.child])
        else:
            raise AssertionError("only terms are negated in negation normal form")
    return frozenset(positive), frozenset(negative), tuple(rest)


def _all_test(required: frozenset[int], forbidden: frozenset[int], rest: tuple[Test, ...]) -> Test:
    def test(present: AbstractSet[int]) -> bool:
        if not (required <= present and forbidden.isdisjoint(present)):
            return False
        for other in rest:  # noqa: SIM110 - all() with a generator costs twice as much here
            if not other(present):
                return False
        return True

    return test


def _any_test(wanted: frozenset[int], absent: frozenset[int], rest: tuple[Test, ...]) -> Test:
    def test(present: AbstractSet[int]) -> bool:
        if not wanted.isdisjoint(present) or not absent <= present:
            return True
        for other in rest:  # noqa: SIM110 - any() with a generator costs twice as much here
            if other(present):
                return True
        return False

    return test
