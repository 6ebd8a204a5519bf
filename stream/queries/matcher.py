"""Finds the queries that each post of a batch matches, all queries in one pass.

Letters: B posts in a batch, H hits of patterns in it, Q queries with `all`.

1. `stream.queries.parts` takes the addresses out of the texts and puts what else posts say beside
   them; `stream.queries.alphabet` turns all of it into one byte string.
2. An Aho-Corasick automaton over the words of all queries finds every hit in it (Rust
   `aho-corasick` through ahocorasick-rs: two to three times as fast as pyahocorasick here).
3. Hits become (post, literal) pairs, those that stand close to each other further ones
   (`stream.queries.nearness`), and the pairs reach queries by the plan of
   `stream.queries.plan`: settled at once, or as candidates whose boolean test is then run.

The cost is that of steps 1 and 2, linear in the text, plus a share for each hit. More queries
cost only the processor's cache: about half a microsecond a post from ten to two thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from ahocorasick_rs import BytesAhoCorasick, Implementation
from numpy.typing import NDArray

from core.schemas import Attached
from stream.queries.alphabet import Alphabet, EncodedTexts
from stream.queries.columns import Columns
from stream.queries.expression import MAX_DISTANCE, AuthorTerm, TextTerm
from stream.queries.folding import fold, split_words
from stream.queries.meaning import NamedExpression, digest_of
from stream.queries.mentions import mentioned
from stream.queries.nearness import Nearness
from stream.queries.parts import ALL_PARTS, Part, Pieces, divide
from stream.queries.plan import Plan, make_plan
from stream.queries.tables import Integers, Table

ALL = "all"
"""Name of the implicit query that every post matches; its index is 0."""

_ONLY_ALL = (0,)
_SIGILS = 2
_HASH = 1
# The full automaton takes 1 MB per thousand patterns: an eighth faster than the compact form
# while it fits the processor's cache, up to a third slower at 8,000 patterns that all occur.
_MAX_DFA_PATTERNS = 1000

_NO_INTEGERS: Integers = np.zeros(0, dtype=np.int64)


class Matcher:
    """An immutable set of queries, ready to be matched. Not for use by several threads at once.

    Attributes:
        names: names of the queries by index; `ALL` first, then in the order given.
        digest: stands for the names and what they look for, as `stream.queries.meaning` has it.
    """

    def __init__(
        self,
        queries: Sequence[NamedExpression],
        author_key: Callable[[str], str] | None = None,
        *,
        plain_authors: bool | None = None,
    ) -> None:
        """Compile the queries; a few milliseconds per thousand.

        Args:
            queries: in the order of their indices from 1.
            author_key: what the source made of a folded handle, when authors are keyed hashes;
                then ``@name`` finds the posts of that author only with it, and mentions in the
                text as ever.
            plain_authors: handles are compared as they are, too: for streams in which some sources
                are of public figures. None means only without a key.

        Raises:
            ValueError: two queries have the same name, or one is called `ALL`.
        """
        self.names = (ALL, *(query.name for query in queries))
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"query names must be unique and not {ALL!r}: {self.names[1:]}")
        self.digest = digest_of(queries)
        plan = make_plan([query.expression for query in queries])
        self._tests = plan.tests
        self._direct = Table(plan.direct)
        self._triggered = Table(plan.triggered)
        if plain_authors is None:
            plain_authors = author_key is None
        self._columns = Columns(plan, author_key, plain_authors=plain_authors)
        self._nearness = Nearness(plan.literals)
        self._index_patterns(plan)

    def _index_patterns(self, plan: Plan) -> None:
        self._handles = [
            fold(term.handle) if isinstance(term, AuthorTerm) else "" for term in plan.literals
        ]
        self._is_author = np.array([bool(handle) for handle in self._handles], np.bool_)
        self._parts = np.array([getattr(t, "parts", ALL_PARTS) for t in plan.literals], np.int64)
        self._looks_everywhere = bool((self._parts == ALL_PARTS).all())
        # A mention begins with the words of its handle, or is none.
        terms = [
            (i, TextTerm(split_words(term.handle), is_prefix=True))
            if isinstance(term, AuthorTerm)
            else (i, term)
            for i, term in enumerate(plan.literals)
            if isinstance(term, TextTerm | AuthorTerm)
        ]
        self._alphabet = Alphabet(word for _, term in terms for word in term.words)
        number_of: dict[bytes, int] = {}
        literals_by_key: list[list[int]] = []
        for literal, term in terms:
            pattern = self._alphabet.encode_words(term.words, term.is_prefix)
            number = number_of.setdefault(pattern, len(number_of))
            if number * _SIGILS == len(literals_by_key):
                literals_by_key.extend([] for _ in range(_SIGILS))
            for sigil in (_HASH,) if term.is_hashtag else range(_SIGILS):
                literals_by_key[number * _SIGILS + sigil].append(literal)
        self._literals_of_key = Table(literals_by_key)
        is_small = len(number_of) <= _MAX_DFA_PATTERNS
        chosen = Implementation.DFA if is_small else Implementation.ContiguousNFA
        patterns = list(number_of)
        self._automaton = BytesAhoCorasick(patterns, implementation=chosen) if patterns else None

    def match_batch(
        self,
        texts: Sequence[str],
        authors: Sequence[str],
        langs: Sequence[str],
        sources: Sequence[str],
        attached: Sequence[Attached | None] | None = None,
    ) -> list[tuple[int, ...]]:
        """Return, for each post, the ascending indices (into `names`) of the queries it matches.

        A call costs some 50 microseconds however few the posts are, so match whole batches.

        Args:
            texts: of the posts, as they were published.
            authors: handles, or what `author_key` makes of them.
            langs: BCP-47 tags, "" for unknown.
            sources: names of sources.
            attached: what the posts say beside their texts; None if none of them does.

        Raises:
            ValueError: they do not have the same length.
        """
        lengths = [len(column) for column in (texts, authors, langs, sources)]
        lengths.append(len(texts) if attached is None else len(attached))
        if len(set(lengths)) > 1:
            raise ValueError(
                "texts, authors, langs, sources and attached must have one entry per post, found "
                + ", ".join(map(str, lengths))
            )
        if not self._tests or not texts:
            return [_ONLY_ALL] * len(texts)
        posts, literals = self._find_literals(texts, authors, langs, sources, attached)
        if not len(literals):
            return [_ONLY_ALL] * len(texts)
        rows, queries = self._direct.expand(literals)
        settled = posts[rows] * len(self._tests) + queries
        rows, queries = self._triggered.expand(literals)
        candidates = np.unique(posts[rows] * len(self._tests) + queries)
        accepted = self._test_candidates(candidates, posts, literals, langs, sources)
        return self._collect(len(texts), np.unique(np.concatenate((settled, accepted))))

    def _find_literals(
        self,
        texts: Sequence[str],
        authors: Sequence[str],
        langs: Sequence[str],
        sources: Sequence[str],
        attached: Sequence[Attached | None] | None,
    ) -> tuple[Integers, Integers]:
        """Return (post, literal) pairs, ascending by post; pairs may repeat.

        Languages and sources are among them only where they trigger a query by themselves.
        """
        pieces = divide(texts, attached, by_part=not self._looks_everywhere)
        posts, literals = self._find_in_pieces(pieces)
        more = self._columns.find(authors, langs, sources)
        if not more:
            return posts, literals
        pairs = np.fromiter(chain.from_iterable(more), np.int64, 2 * len(more)).reshape(-1, 2)
        posts = np.concatenate((posts, pairs[:, 0]))
        order = np.argsort(posts, kind="stable")
        return posts[order], np.concatenate((literals, pairs[:, 1]))[order]

    def _find_in_pieces(self, pieces: Pieces) -> tuple[Integers, Integers]:
        if self._automaton is None:
            return _NO_INTEGERS, _NO_INTEGERS
        encoded = self._alphabet.encode_texts(pieces.texts)
        hits = self._automaton.find_matches_as_indexes(encoded.haystack, overlapping=True)
        if not hits:
            return _NO_INTEGERS, _NO_INTEGERS
        # Columns: pattern, start and end in bytes.
        found = np.fromiter(chain.from_iterable(hits), np.int64, 3 * len(hits)).reshape(-1, 3)
        width = self._alphabet.width
        if width > 1:
            found = found[found[:, 1] % width == 0]
        starts = found[:, 1] // width
        keys = found[:, 0] * _SIGILS + encoded.sigils[starts]
        rows, literals = self._literals_of_key.expand(keys)
        starts = starts[rows]
        where = np.searchsorted(encoded.marks, starts) - 1
        if not self._looks_everywhere or self._is_author[literals].any():
            is_held = self._hold(pieces, where, literals)
            where, literals, starts = where[is_held], literals[is_held], starts[is_held]
        if not self._nearness.is_empty:
            where, literals = self._add_near(encoded, where, literals, starts)
        if pieces.posts is None:
            return where, literals
        posts = pieces.posts[where]
        order = np.argsort(posts, kind="stable")
        return posts[order], literals[order]

    def _add_near(
        self, encoded: EncodedTexts, where: Integers, literals: Integers, starts: Integers
    ) -> tuple[Integers, Integers]:
        """Add the literals that are a NEAR to those found, in the order of the pieces."""
        beside = self._nearness.concerns(literals)
        if len(beside) < 2:
            return where, literals
        places = self._alphabet.places(encoded, starts[beside], MAX_DISTANCE)
        rows, found = self._nearness.find(literals[beside], places)
        if not len(rows):
            return where, literals
        where = np.concatenate((where, where[beside[rows]]))
        order = np.argsort(where, kind="stable")
        return where[order], np.concatenate((literals, found))[order]

    def _hold(self, pieces: Pieces, where: Integers, literals: Integers) -> NDArray[np.bool_]:
        """Tell which literals are wanted where they were found and, if of authors, are mentions."""
        is_held = np.ones(len(where), dtype=np.bool_)
        handles = np.flatnonzero(self._is_author[literals])
        if pieces.parts is not None:
            parts = pieces.parts[where]
            is_held &= (self._parts[literals] & parts) != 0
            is_held[handles] &= parts[handles] == Part.TEXT
        names: dict[int, frozenset[str]] = {}
        for row in handles[is_held[handles]].tolist():
            piece = int(where[row])
            if piece not in names:
                names[piece] = mentioned(pieces.texts[piece])
            is_held[row] = self._handles[literals[row]] in names[piece]
        return is_held

    def _test_candidates(
        self,
        candidates: Integers,
        posts: Integers,
        literals: Integers,
        langs: Sequence[str],
        sources: Sequence[str],
    ) -> Integers:
        """Return those of the (post, query) codes, ascending, whose boolean test holds."""
        if not len(candidates):
            return candidates
        tested_posts, queries = np.divmod(candidates, len(self._tests))
        first: list[int] = np.searchsorted(posts, tested_posts, side="left").tolist()
        last: list[int] = np.searchsorted(posts, tested_posts, side="right").tolist()
        pairs: zip[tuple[int, int]] = zip(tested_posts.tolist(), queries.tolist(), strict=True)
        all_literals: list[int] = literals.tolist()
        held = np.zeros(len(candidates), dtype=np.bool_)
        current = -1
        present: set[int] = set()
        for row, (post, query) in enumerate(pairs):
            if post != current:
                current = post
                present = set(all_literals[first[row] : last[row]])
                present.update(self._columns.of_lang(langs[post]))
                present.update(self._columns.of_source(sources[post]))
            test = self._tests[query]
            if test is not None and test(present):
                held[row] = True
        return candidates[held]

    def _collect(self, post_count: int, matches: Integers) -> list[tuple[int, ...]]:
        """Turn ascending (post, query) codes into a tuple of indices per post."""
        result: list[tuple[int, ...]] = [_ONLY_ALL] * post_count
        if not len(matches):
            return result
        posts, queries = np.divmod(matches, len(self._tests))
        begins = np.flatnonzero(np.diff(posts, prepend=-1))
        ends = [*begins[1:].tolist(), len(posts)]
        indices = (queries + 1).tolist()
        for post, begin, end in zip(posts[begins].tolist(), begins.tolist(), ends, strict=True):
            result[post] = (0, *indices[begin:end])
        return result
