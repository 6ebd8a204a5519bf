"""What queries look for, as a short text: two that look for the same have the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

import msgspec

from stream.queries.expression import Node, iterate_terms
from stream.queries.parts import ALL_PARTS, names_of


class NamedExpression(Protocol):
    """What the matcher needs of a query; `stream.queries.catalog.Query` is one."""

    @property
    def name(self) -> str:
        """Unique among the queries of a matcher, and not `ALL`."""
        ...

    @property
    def expression(self) -> Node:
        """Parsed by `stream.queries.grammar.parse`."""
        ...


def meaning_of(expression: Node) -> str:
    """Return 16 hexadecimal digits that stand for an expression and the parts it looks in."""
    parts = [getattr(term, "parts", None) for term in iterate_terms(expression)]
    looked_in = next((part for part in parts if part is not None), ALL_PARTS)
    return _digest([str(expression), list(names_of(looked_in))])


def digest_of(queries: Iterable[NamedExpression]) -> str:
    """Return 16 hexadecimal digits that stand for names and meanings of queries, in their order."""
    return _digest([[query.name, meaning_of(query.expression)] for query in queries])


def _digest(of: list[object]) -> str:
    return hashlib.sha256(msgspec.json.encode(of)).hexdigest()[:16]
