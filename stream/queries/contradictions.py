"""Which parts of a query can never match, as far as can be told without looking at posts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from stream.queries.expression import (
    And,
    LangTerm,
    Near,
    Node,
    Not,
    Or,
    SourceTerm,
    Term,
    TextTerm,
    push_negations_down,
)

_MOST_TERMS = 200
"""Of one conjunction; pairs of more are not looked at."""


def contradictions(tree: Node) -> list[str]:
    """Return a sentence for each conjunction that holds for no post."""
    return list(dict.fromkeys(_found(push_negations_down(tree))))


def _found(node: Node) -> Iterator[str]:
    if isinstance(node, Or):
        for child in node.children:
            yield from _found(child)
    if not isinstance(node, And):
        return
    terms = [child for child in node.children if not isinstance(child, Not | And | Or)]
    negated = [child.child for child in node.children if isinstance(child, Not)]
    excluded = [child for child in negated if not isinstance(child, Not | And | Or)]
    if len(terms) + len(excluded) <= _MOST_TERMS:
        yield from _between(terms, excluded)
    for child in node.children:
        yield from _found(child)


def _between(terms: Sequence[Term], excluded: Sequence[Term]) -> Iterator[str]:
    for one, other in combinations(terms, 2):
        is_pair = isinstance(one, LangTerm | SourceTerm) and type(one) is type(other)
        if is_pair and not implies(one, other) and not implies(other, one):
            yield f"'{one} {other}' can never match: a post has one of them only"
    for one, other in product(terms, excluded):
        if implies(one, other):
            yield f"'{one} NOT {other}' can never match: what holds the first holds the second"


def implies(one: Term, other: Term) -> bool:
    """Tell whether every post that holds one term holds the other."""
    if isinstance(one, LangTerm) and isinstance(other, LangTerm):
        return f"{one.tag}-".startswith(f"{other.tag}-")
    if isinstance(one, Near):
        return _near_implies(one, other)
    if not isinstance(one, TextTerm) or not isinstance(other, TextTerm):
        return one == other
    if (other.is_hashtag and not one.is_hashtag) or (one.parts & ~other.parts):
        return False
    length = len(other.words)
    last_start = 0 if other.is_hashtag else len(one.words) - length
    return any(
        _begins(one.words[start : start + length], other, one, start + length)
        for start in range(last_start + 1)
    )


def _near_implies(one: Near, other: Term) -> bool:
    if not isinstance(other, Near):
        return any(all(implies(term, other) for term in side) for side in one.sides)
    if one.distance > other.distance:
        return False
    left, right = other.sides
    return any(
        set(mine) <= set(left) and set(yours) <= set(right)
        for mine, yours in (one.sides, one.sides[::-1])
    )


def _begins(words: Sequence[str], other: TextTerm, one: TextTerm, end: int) -> bool:
    if len(words) != len(other.words) or tuple(words[:-1]) != other.words[:-1]:
        return False
    if other.is_prefix:
        return words[-1].startswith(other.words[-1])
    is_whole = not (one.is_prefix and end == len(one.words))
    return is_whole and words[-1] == other.words[-1]
