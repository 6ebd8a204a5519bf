"""The matcher against an evaluator that is slow and obvious.

The twin shares only the tree and `fold` with the matcher: it splits words and finds sigils by
itself, character by character, and evaluates every query on every post.
"""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.queries import Matcher, Query, QuerySyntaxError, parse
from stream.queries.expression import (
    And,
    AuthorTerm,
    LangTerm,
    Node,
    Not,
    Or,
    SourceTerm,
    TextTerm,
)
from stream.queries.folding import fold

Tokens = list[tuple[str, str]]  # sigil ("", "#" or "@") and word


def is_alone(character: str) -> bool:
    name = unicodedata.name(character, "")
    scripts = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "THAI")
    return unicodedata.category(character) == "So" or name.startswith(scripts)


def is_of_word(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] in "LN" or kind in ("Mn", "Mc", "Pc") or is_alone(character)


def tokenise(text: str) -> Tokens:
    dropped = {"\ufe0f", "\u200d", "\u200c", "\U0001f3fd"}
    kept = [c for c in fold(text) if c not in dropped]
    tokens: Tokens = []
    for i, character in enumerate(kept):
        before = kept[i - 1] if i else " "
        if not is_of_word(character):
            continue
        if is_of_word(before) and not is_alone(before) and not is_alone(character):
            sigil, word = tokens.pop()
            tokens.append((sigil, word + character))
            continue
        is_sigil = before in "#@" and not (i >= 2 and is_of_word(kept[i - 2]))
        tokens.append((before if is_sigil else "", character))
    return tokens


def holds_words(tokens: Tokens, words: tuple[str, ...], sigil: str, is_prefix: bool) -> bool:
    for start in range(len(tokens) - len(words) + 1):
        here = tokens[start : start + len(words)]
        found = [word for _, word in here]
        ends = found[-1].startswith(words[-1]) if is_prefix else found[-1] == words[-1]
        if ends and found[:-1] == list(words[:-1]) and sigil in ("", here[0][0]):
            return True
    return False


def holds(node: Node, tokens: Tokens, author: str, lang: str, source: str) -> bool:
    if isinstance(node, And):
        return all(holds(child, tokens, author, lang, source) for child in node.children)
    if isinstance(node, Or):
        return any(holds(child, tokens, author, lang, source) for child in node.children)
    if isinstance(node, Not):
        return not holds(node.child, tokens, author, lang, source)
    if isinstance(node, LangTerm):
        return f"{lang.lower()}-".startswith(f"{node.tag}-")
    if isinstance(node, SourceTerm):
        return node.name == source
    if isinstance(node, AuthorTerm):
        return fold(author) == node.handle or holds_words(tokens, node.words, "@", False)
    assert isinstance(node, TextTerm)
    return holds_words(tokens, node.words, "#" if node.is_hashtag else "", node.is_prefix)


WORDS = ["aa", "ab", "aab", "b", "Éa", "straße", "STRASSE", "東", "京東", "a東b", "ไท", "🔥", "a_b"]
TERMS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(["aa*", "ab*", "#aa", "#ab*", "#東", "@aa", "@ab.aa", "lang:en", "lang:pt-br",
                     "source:rss", "source:demo"]),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(lambda w: f'"{" ".join(w)}"'),
)  # fmt: skip
EXPRESSIONS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda e: f"({e[0]} {e[1]})"),
        st.tuples(inner, inner).map(lambda e: f"({e[0]} OR {e[1]})"),
        inner.map(lambda e: f"NOT {e}"),
    ),
    max_leaves=8,
)
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*WORDS, *(w.upper() for w in WORDS), "bob@aa", "@ab.aa", "a#aa"]),
        st.sampled_from([" ", " ", " ", "#", "@", ". ", "-", "\n", "\x00", "\u200d", "\ufe0f"]),
        st.text(alphabet="abAB #@_.é東京🔥\U0001f3fd", max_size=4),
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


@settings(max_examples=400, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=8), st.lists(POSTS, max_size=6))
def test_matcher_equals_the_slow_evaluator(
    expressions: list[str], posts: list[tuple[str, str, str, str]]
) -> None:
    queries = parse_valid(expressions)
    columns = [[post[i] for post in posts] for i in range(4)]
    found = Matcher(queries).match_batch(columns[0], columns[1], columns[2], columns[3])
    expected = [
        (0, *(i for i, q in enumerate(queries, 1) if holds(q.expression, tokenise(text), *rest)))
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
