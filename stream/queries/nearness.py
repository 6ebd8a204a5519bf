"""Finds which pairs of terms stand close to each other, all of them at once.

What may stand on one side of a NEAR is a *group* of literals; the same group is looked for once,
whatever number of queries has it. Each NEAR is looked at only where its rarer side was found: the
other side is then searched for, in what was found of it, by two bisections. So the cost is that of
sorting what was found, and does not depend on how often the common side of a pair occurs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream.queries.expression import MAX_DISTANCE, Near, Term, TextTerm
from stream.queries.plan import expected_share
from stream.queries.tables import Integers, Table


class Nearness:
    """The literals of a plan that are a NEAR.

    Attributes:
        is_empty: there is none.
    """

    def __init__(self, literals: Sequence[Term]) -> None:
        """Index the terms; a literal is an index into them."""
        literal_of = {term: literal for literal, term in enumerate(literals)}
        group_of: dict[frozenset[int], int] = {}
        rare: list[list[int]] = []
        nears: list[tuple[int, int, int]] = []  # literal, group of the other side, distance
        for literal, term in enumerate(literals):
            if not isinstance(term, Near):
                continue
            one, other = sorted(term.sides, key=lambda side: sum(map(expected_share, side)))
            rarer, commoner = (
                group_of.setdefault(frozenset(literal_of[t] for t in side), len(group_of))
                for side in (one, other)
            )
            rare.extend([] for _ in range(len(group_of) - len(rare)))
            rare[rarer].append(len(nears))
            nears.append((literal, commoner, term.distance))
        groups: list[list[int]] = [[] for _ in literals]
        for members, group in group_of.items():
            for literal in members:
                groups[literal].append(group)
        self.is_empty = not nears
        self._groups_of, self._nears_of = Table(groups), Table(rare)
        self._literals, self._others, self._distances = np.array(nears, np.int64).reshape(-1, 3).T
        self._further_words = np.array(
            [len(t.words) - 1 if isinstance(t, TextTerm) else 0 for t in literals], np.int64
        )
        self._is_beside = np.array([bool(found) for found in groups], np.bool_)

    def concerns(self, literals: Integers) -> Integers:
        """Return the rows, ascending, of the literals that stand beside a NEAR."""
        return np.flatnonzero(self._is_beside[literals])

    def find(self, literals: Integers, places: Integers) -> tuple[Integers, Integers]:
        """Return which NEARs hold: rows of one of their two terms, and their literals.

        Args:
            literals: what was found.
            places: the number of its first word, from 0; those of different texts, and what else
                is not to be joined, differ by more than `MAX_DISTANCE`.
        """
        rows, groups = self._groups_of.expand(literals)
        hits, nears = self._nears_of.expand(groups)
        if not len(hits):
            return rows[:0], nears
        starts = places[rows] + MAX_DISTANCE
        ends = starts + self._further_words[literals[rows]]
        # Far enough apart that no distance leads from one group into the next.
        span = int(ends.max()) + MAX_DISTANCE + 1
        first_words = np.sort(groups * span + starts)
        last_words = np.sort(groups * span + ends)
        others, reach = self._others[nears] * span, self._distances[nears]
        after, before = others + ends[hits], others + starts[hits]
        is_near = _any_within(first_words, after + 1, after + reach)
        is_near |= _any_within(last_words, before - reach, before - 1)
        return rows[hits[is_near]], self._literals[nears[is_near]]


def _any_within(ascending: Integers, first: Integers, last: Integers) -> np.ndarray:
    """Tell for each range, both ends of it included, whether a number is in it."""
    at = np.searchsorted(ascending, first, side="left")
    return at < np.searchsorted(ascending, last, side="right")
