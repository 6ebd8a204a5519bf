"""The matcher against an evaluator that is slow and obvious.

The twin shares only the tree and `fold` with the matcher: it splits words and finds sigils by
itself, character by character, and evaluates every query on every post.
"""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.queries import Query, QuerySyntaxError, parse
from stream.queries.expression import (
    And,
    AuthorTerm,
    LangTerm,
    Near,
    Node,
    Not,
    Or,
    SourceTerm,
    TextTerm,
)
from stream.queries.folding import fold
from stream.queries.matcher import Matcher

Tokens = list[tuple[str, str]]  # sigil ("", "#" or "@") and word


def is_alone(character: str) -> bool:
    name = unicodedata.name(character, "")
    scripts = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "THAI")
    return unicodedata.category(character) == "So" or name.startswith(scripts)


def is_of_word(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] in "LN" or kind in ("Mn", "Mc", "Pc") or is_alone(character)


def is_spaced(character: str) -> bool:
    return is_of_word(character) and not is_alone(character)


def without_emphasis(kept: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out the underscores at the edges of words; elsewhere than after # a space is left."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(kept):
        if kept[at][0] != "_":
            found.append(kept[at])
            at += 1
            continue
        end = at
        while end < len(kept) and kept[end][0] == "_":
            end += 1
        is_inside = at > 0 and is_spaced(kept[at - 1][0])
        is_inside = is_inside and end < len(kept) and is_spaced(kept[end][0])
        if is_inside:
            found += kept[at:end]
        elif at == 0 or kept[at - 1][0] != "#":
            found.append((" ", ""))
        at = end
    return found


def is_regional(character: str) -> bool:
    return unicodedata.name(character, "").startswith("REGIONAL INDICATOR")


def tokenise(text: str) -> Tokens:
    kept: list[tuple[str, str]] = []  # character, and what was dropped before it
    dropped = ""
    for character in fold(text):
        if character in ("\ufe0f", "\u200d", "\u200c", "\U0001f3fd"):
            dropped += character
        else:
            kept.append((character, dropped))
            dropped = ""
    kept = without_emphasis(kept)
    tokens: Tokens = []
    for i, (character, dropped) in enumerate(kept):
        before = kept[i - 1][0] if i else " "
        if not is_of_word(character):
            continue
        are_words = is_spaced(before) and is_spaced(character)
        are_pictures = unicodedata.category(before) == unicodedata.category(character) == "So"
        # Two signs may stand before the joiner: of a picture, its tone and its variant.
        is_joined = are_pictures and dropped.endswith("\u200d") and len(dropped) <= 3
        is_flag = is_regional(before) and is_regional(character) and not dropped
        if are_words or is_joined or (is_flag and len(tokens[-1][1]) == 1):
            sigil, word = tokens.pop()
            tokens.append((sigil, word + character))
            continue
        is_sigil = before == "#" and not (i >= 2 and is_of_word(kept[i - 2][0]))
        tokens.append((before if is_sigil else "", character))
    return tokens


def is_of_handle(character: str) -> bool:
    return (character.isalnum() or character == "_") and not is_alone(character)


def mentions(text: str) -> set[str]:
    """Return the handles mentioned, each with its beginnings up to a sign."""
    folded = fold(text).lower() + " "
    found: set[str] = set()
    end = 0
    for i, character in enumerate(folded):
        if i < end or character != "@" or (i and folded[i - 1].isalnum()):
            continue
        end = start = i + 1
        while is_of_handle(folded[end]):
            end += 1
            after = end
            while folded[after] in ".:@":
                after += 1
            after += folded[after] == "-" and after == end
            if after > end and is_of_handle(folded[after]):
                end = after
        if end == start:
            while folded[end].isalnum() or folded[end] == "_":
                end += 1
        handle = folded[start:end]
        before = folded[:i]
        if before.endswith("_") and before.rstrip("_")[-1:] in ("", " ", "\n", "("):
            # Emphasis, unless the handle goes on behind a sign.
            handle = handle.rstrip("_")
        found.add(handle)
        found.update(handle[:at] for at, sign in enumerate(handle) if sign in ".:@")
    return found


def spans(tokens: Tokens, term: TextTerm) -> set[tuple[int, int]]:
    """Return the numbers of the first and the last word of each place of a term."""
    words, sigil = term.words, "#" if term.is_hashtag else ""
    found: set[tuple[int, int]] = set()
    for start in range(len(tokens) - len(words) + 1):
        here = tokens[start : start + len(words)]
        last = here[-1][1]
        ends = last.startswith(words[-1]) if term.is_prefix else last == words[-1]
        begins = [word for _, word in here[:-1]] == list(words[:-1])
        if ends and begins and sigil in ("", here[0][0]):
            found.add((start, start + len(words) - 1))
    return found


def stand_near(tokens: Tokens, node: Near) -> bool:
    """Look at each pair of places: how many words are between them?"""
    left, right = (
        {place for term in side for place in spans(tokens, term)}
        for side in (node.left, node.right)
    )
    for one in left:
        for other in right:
            (_, end), (start, _) = sorted((one, other))
            if end < start and len(range(end + 1, start)) < node.distance:
                return True
    return False


def holds(node: Node, text: str, author: str, lang: str, source: str) -> bool:
    if isinstance(node, And):
        return all(holds(child, text, author, lang, source) for child in node.children)
    if isinstance(node, Or):
        return any(holds(child, text, author, lang, source) for child in node.children)
    if isinstance(node, Not):
        return not holds(node.child, text, author, lang, source)
    if isinstance(node, LangTerm):
        return f"{lang.lower()}-".startswith(f"{node.tag}-")
    if isinstance(node, SourceTerm):
        return node.name == source
    if isinstance(node, AuthorTerm):
        return fold(author) == node.handle or node.handle in mentions(text)
    if isinstance(node, Near):
        return stand_near(tokenise(text), node)
    assert isinstance(node, TextTerm)
    return bool(spans(tokenise(text), node))


WORDS = [
    "aa",
    "ab",
    "aab",
    "b",
    "Éa",
    "straße",
    "STRASSE",
    "東",
    "京東",
    "a東b",
    "ไท",
    "🔥",
    "a_b",
    "🇦🇧",
    "🔥\u200d🔥",
    "🇧",
]
TERMS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(["aa*", "ab*", "#aa", "#ab*", "#東", "@aa", "@ab.aa", "@_aa", "@ab-aa",
                     "_ab_", "lang:en", "lang:pt-br",
                     "source:rss", "source:demo"]),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(lambda w: f'"{" ".join(w)}"'),
)  # fmt: skip
WORDY = TERMS.filter(lambda term: term[0] != "@" and ":" not in term)
SIDES = st.lists(WORDY, min_size=1, max_size=3).map(lambda terms: f"({' OR '.join(terms)})")
NEARS = st.tuples(SIDES, st.sampled_from([1, 2, 3, 5, 100]), SIDES).map(
    lambda near: "{} NEAR/{} {}".format(*near)
)
EXPRESSIONS = st.recursive(
    st.one_of(TERMS, NEARS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda e: f"({e[0]} {e[1]})"),
        st.tuples(inner, inner).map(lambda e: f"({e[0]} OR {e[1]})"),
        inner.map(lambda e: f"NOT {e}"),
    ),
    max_leaves=8,
)
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *WORDS,
                *(w.upper() for w in WORDS),
                "bob@aa",
                "@ab.aa",
                "a#aa",
                "@ab-aa",
                "_@aa_",
                "🇧🇦🇧",
            ]
        ),
        st.sampled_from([" ", " ", " ", "#", "@", ". ", "-", "\n", "\x00", "\u200d", "\ufe0f"]),
        st.text(alphabet="abAB #@_.-:é東京🔥\U0001f3fd🇦🇧\u200d", max_size=4),
    ),
    max_size=12,
).map("".join)
POSTS = st.tuples(
    TEXTS,
    st.sampled_from(["aa", "AB.aa", "someone", ""]),
    st.sampled_from(["en", "en-US", "pt", "pt-BR", ""]),
    st.sampled_from(["rss", "demo", ""]),
)


def parse_valid(expressions: list[str]) -> list[Query]:
    queries: list[Query] = []
    for expression in expressions:
        try:
            queries.append(Query(f"q{len(queries)}", parse(expression)))
        except QuerySyntaxError as error:
            assert "NOT alone" in error.problem  # noqa: PT017 - the only mistake possible here
    return queries


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=8), st.lists(POSTS, max_size=6))
def test_matcher_equals_the_slow_evaluator(
    expressions: list[str], posts: list[tuple[str, str, str, str]]
) -> None:
    queries = parse_valid(expressions)
    columns = [[post[i] for post in posts] for i in range(4)]
    found = Matcher(queries).match_batch(columns[0], columns[1], columns[2], columns[3])
    expected = [
        (0, *(i for i, q in enumerate(queries, 1) if holds(q.expression, text, *rest)))
        for text, *rest in posts
    ]
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=4), st.lists(POSTS, max_size=8), st.data())
def test_matching_does_not_depend_on_how_posts_are_batched(
    expressions: list[str], posts: list[tuple[str, str, str, str]], data: st.DataObject
) -> None:
    matcher = Matcher(parse_valid(expressions))

    def match(batch: list[tuple[str, str, str, str]]) -> list[tuple[int, ...]]:
        columns = [[post[i] for post in batch] for i in range(4)]
        return matcher.match_batch(columns[0], columns[1], columns[2], columns[3])

    cut = data.draw(st.integers(0, len(posts)))
    assert match(posts[:cut]) + match(posts[cut:]) == match(posts)
