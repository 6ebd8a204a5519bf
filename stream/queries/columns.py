"""Terms that the columns of a post settle: its author, language and source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from core.languages import language_tag
from stream.queries.expression import AuthorTerm, LangTerm, SourceTerm
from stream.queries.folding import fold_form
from stream.queries.plan import Plan

# Distinct languages and sources are few; the bound is against a source that writes rubbish.
_MAX_REMEMBERED_VALUES = 4096


class Columns:
    """Literals that are settled by the author, language and source of a post."""

    def __init__(
        self, plan: Plan, author_key: Callable[[str], str] | None, *, plain_authors: bool
    ) -> None:
        """Index the literals of `plan`; see `stream.queries.matcher.Matcher` for the rest."""
        self._keyed_authors: defaultdict[str, list[int]] = defaultdict(list)
        self._plain_authors: defaultdict[str, list[int]] = defaultdict(list)
        self._langs: dict[str, int] = {}
        self._sources: dict[str, int] = {}
        for literal, term in enumerate(plan.literals):
            if isinstance(term, AuthorTerm):
                if author_key is not None:
                    self._keyed_authors[author_key(term.handle)].append(literal)
                if plain_authors:
                    self._plain_authors[term.handle].append(literal)
            elif isinstance(term, LangTerm):
                self._langs[term.tag] = literal
            elif isinstance(term, SourceTerm):
                self._sources[term.name] = literal
        reaching = {
            literal
            for literal in range(len(plan.literals))
            if plan.direct[literal] or plan.triggered[literal]
        }
        self._reaching_langs = reaching.intersection(self._langs.values())
        self._reaching_sources = reaching.intersection(self._sources.values())
        self._remembered_langs: dict[str, frozenset[int]] = {}
        self._remembered_sources: dict[str, frozenset[int]] = {}

    def find(
        self, authors: Sequence[str], langs: Sequence[str], sources: Sequence[str]
    ) -> list[tuple[int, int]]:
        """Return the (post, literal) pairs of authors, and those of columns that reach queries."""
        found: list[tuple[int, int]] = []
        for literals, keys in (
            (self._keyed_authors, authors),
            (self._plain_authors, [a.lower() if a.isascii() else fold_form(a) for a in authors]),
        ):
            if literals:
                found += [
                    (i, literal)
                    for i, key in enumerate(keys)
                    if key in literals
                    for literal in literals[key]
                ]
        if self._reaching_langs:
            for i, lang in enumerate(langs):
                found += [(i, n) for n in self.of_lang(lang) & self._reaching_langs]
        if self._reaching_sources:
            for i, source in enumerate(sources):
                found += [(i, n) for n in self.of_source(source) & self._reaching_sources]
        return found

    def of_lang(self, lang: str) -> frozenset[int]:
        """Return the literals that hold for a language: its tag and all the tag's beginnings."""
        known = self._remembered_langs.get(lang)
        if known is None:
            parts = (language_tag(lang) or lang).lower().replace("_", "-").split("-")
            tags = ["-".join(parts[: n + 1]) for n in range(len(parts))]
            known = frozenset(self._langs[tag] for tag in tags if tag in self._langs)
            _remember(self._remembered_langs, lang, known)
        return known

    def of_source(self, source: str) -> frozenset[int]:
        """Return the literals that hold for a source."""
        known = self._remembered_sources.get(source)
        if known is None:
            literal = self._sources.get(source.lower())
            known = frozenset(() if literal is None else (literal,))
            _remember(self._remembered_sources, source, known)
        return known


def _remember(memory: dict[str, frozenset[int]], value: str, literals: frozenset[int]) -> None:
    if len(memory) >= _MAX_REMEMBERED_VALUES:
        memory.clear()
    memory[value] = literals
