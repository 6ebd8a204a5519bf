"""The parsed form of a query: a tree of terms under And, Or and Not.

Trees compare equal when they mean the same words in the same structure, whatever the spelling;
`str` of a tree is an expression that parses to an equal tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from stream.queries.parts import ALL_PARTS, Part


@dataclass(frozen=True, slots=True)
class TextTerm:
    """Words that stand next to each other in the text: a word, a phrase or a hashtag.

    Attributes:
        words: folded, at least one; see `stream.queries.folding`.
        is_hashtag: the first word must follow a ``#`` in the text.
        is_prefix: the last word may go on (``climat*``).
        parts: the parts of a post that it is looked for in; not part of how it is written.
        spelling: as it was written; ignored when comparing.
    """

    words: tuple[str, ...]
    is_hashtag: bool = False
    is_prefix: bool = False
    parts: Part = ALL_PARTS
    spelling: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the term as it was written."""
        return self.spelling


@dataclass(frozen=True, slots=True)
class AuthorTerm:
    """The author of the post, or a mention of that handle in its text.

    Attributes:
        handle: the whole handle, folded, without ``@``; a mention is that handle or begins with it
            up to a sign between its words.
        parts: of them only whether the text, where people are mentioned, is among them.
        spelling: as it was written; ignored when comparing.
    """

    handle: str
    parts: Part = ALL_PARTS
    spelling: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the term as it was written."""
        return self.spelling


@dataclass(frozen=True, slots=True)
class LangTerm:
    """The language of the post: a BCP-47 tag in lower case, which also covers its sub-tags."""

    tag: str

    def __str__(self) -> str:
        """Return ``lang:tag``."""
        return f"lang:{self.tag}"


@dataclass(frozen=True, slots=True)
class SourceTerm:
    """The source that the post came from, in lower case."""

    name: str

    def __str__(self) -> str:
        """Return ``source:name``."""
        return f"source:{self.name}"


@dataclass(frozen=True, slots=True)
class Near:
    """Two text terms that stand close to each other, in either order, in one part of a post.

    From the last word of the first to the first word of the second it is at most `distance`
    words: 1 is next to each other. They share no word.

    Attributes:
        left: what may stand on one side, at least one.
        right: what may stand on the other side, at least one.
        distance: in words, from 1 to `MAX_DISTANCE`.
    """

    left: tuple[TextTerm, ...]
    right: tuple[TextTerm, ...]
    distance: int

    @property
    def sides(self) -> tuple[tuple[TextTerm, ...], tuple[TextTerm, ...]]:
        """What may stand on the one side, and on the other."""
        return self.left, self.right

    @property
    def parts(self) -> Part:
        """The parts of a post that its terms are looked for in."""
        return self.left[0].parts

    def __str__(self) -> str:
        """Return the expression."""
        one, other = map(_side, self.sides)
        return f"{one} NEAR/{self.distance} {other}"


def _side(terms: tuple[TextTerm, ...]) -> str:
    written = " OR ".join(map(str, terms))
    return f"({written})" if len(terms) > 1 else written


MAX_DISTANCE: Final = 100
"""Between the two sides of a `Near`, in words: longer than nearly all posts."""

Term: TypeAlias = TextTerm | AuthorTerm | LangTerm | SourceTerm | Near


@dataclass(frozen=True, slots=True)
class Not:
    """True when `child` is not; `position` is that of the NOT in the expression, from 0."""

    child: Node
    position: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """Return the expression."""
        return f"NOT {_bracketed(self.child)}"


@dataclass(frozen=True, slots=True)
class And:
    """True when every child is; at least two children, none of them an And."""

    children: tuple[Node, ...]

    def __str__(self) -> str:
        """Return the expression."""
        return " AND ".join(
            _bracketed(child) if isinstance(child, Or) else str(child) for child in self.children
        )


@dataclass(frozen=True, slots=True)
class Or:
    """True when any child is; at least two children, none of them an Or."""

    children: tuple[Node, ...]

    def __str__(self) -> str:
        """Return the expression."""
        return " OR ".join(str(child) for child in self.children)


Node: TypeAlias = Term | Not | And | Or


def _bracketed(node: Node) -> str:
    return f"({node})" if isinstance(node, And | Or) else str(node)


def conjoin(children: list[Node]) -> Node:
    """Return the And of `children`, flattened; the child itself when there is only one."""
    flat: list[Node] = []
    for child in children:
        flat.extend(child.children if isinstance(child, And) else (child,))
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjoin(children: list[Node]) -> Node:
    """Return the Or of `children`, flattened; the child itself when there is only one."""
    flat: list[Node] = []
    for child in children:
        flat.extend(child.children if isinstance(child, Or) else (child,))
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def look_in(node: Node, parts: Part) -> Node:
    """Return the tree with all its terms looked for in these parts of a post only."""
    if isinstance(node, And):
        return And(tuple(look_in(child, parts) for child in node.children))
    if isinstance(node, Or):
        return Or(tuple(look_in(child, parts) for child in node.children))
    if isinstance(node, Not):
        return Not(look_in(node.child, parts), node.position)
    if isinstance(node, Near):
        left, right = (tuple(replace(term, parts=parts) for term in side) for side in node.sides)
        return Near(left, right, node.distance)
    if isinstance(node, TextTerm | AuthorTerm):
        return replace(node, parts=parts)
    return node


def push_negations_down(node: Node) -> Node:
    """Return an equivalent tree in which only terms are negated (negation normal form)."""
    if isinstance(node, And):
        return conjoin([push_negations_down(child) for child in node.children])
    if isinstance(node, Or):
        return disjoin([push_negations_down(child) for child in node.children])
    if not isinstance(node, Not):
        return node
    inner = node.child
    if isinstance(inner, Not):
        return push_negations_down(inner.child)
    if isinstance(inner, And):
        return disjoin([push_negations_down(Not(c, node.position)) for c in inner.children])
    if isinstance(inner, Or):
        return conjoin([push_negations_down(Not(c, node.position)) for c in inner.children])
    return node


def iterate_terms(node: Node) -> Iterator[Term]:
    """Yield every term of the tree from left to right, repeats included."""
    if isinstance(node, And | Or):
        for child in node.children:
            yield from iterate_terms(child)
    elif isinstance(node, Not):
        yield from iterate_terms(node.child)
    else:
        yield node


def first_unbounded(node: Node) -> Not | None:
    """Return a NOT through which a post could match without holding any term of the query.

    Args:
        node: a tree in negation normal form.

    Returns:
        None when every match needs at least one term to be present.
    """
    if isinstance(node, Not):
        return node
    if isinstance(node, And):
        found = [first_unbounded(child) for child in node.children]
        return None if None in found else found[0]
    if isinstance(node, Or):
        return next(filter(None, map(first_unbounded, node.children)), None)
    return None
