"""What NEAR finds; the twin of the matcher tries it on made-up posts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from core.schemas import Attached
from stream.queries import Query, parse
from stream.queries.expression import look_in
from stream.queries.matcher import Matcher
from stream.queries.parts import Part


def matches(expression: str, text: str, attached: Attached | None = None) -> bool:
    (found,) = match_all([Query("q", parse(expression))], [text], [attached])
    return found == (0, 1)


def match_all(
    queries: Sequence[Query],
    texts: Sequence[str],
    attached: Sequence[Attached | None] | None = None,
) -> list[tuple[int, ...]]:
    none = [""] * len(texts)
    return Matcher(queries).match_batch(texts, none, none, none, attached)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("climate NEAR/1 strike", "the climate strike"),
        ("climate NEAR/1 strike", "a strike: climate!"),
        ("climate NEAR/5 strike", "climate one two three four strike"),
        ("climate NEAR/5 strike", "strike one two three four climate"),
        ("climate NEAR/5 strike", "strike, far off and away, climate and then strike"),
        ('"us airways" NEAR/2 strike', "strike at us airways"),
        ('"us airways" NEAR/2 strike', "US Airways: no strike"),
        ("climat* NEAR/3 #strik*", "#Strikes for the climate"),
        ("(flood OR storm) NEAR/2 (relief OR help)", "help after storm"),
        ("strike NEAR/3 strike", "strike after strike"),
        ("strike NEAR/1 strike*", "strike strikes"),
        ("flood NEAR/2 flood*", "floods and flood"),
        ("don't NEAR/2 know", "I don’t really know"),
        ("東京 NEAR/3 大阪", "東京から大阪"),
        ("東京 NEAR/1 大阪", "大阪東京"),
        ("🔥 NEAR/1 derby", "🔥🔥derby"),
        ("aa NEAR/100 bb", "aa " + "x " * 99 + "bb"),
    ],
)
def test_words_within_the_distance_are_near_in_either_order(expression: str, text: str) -> None:
    assert matches(expression, text)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("climate NEAR/5 strike", "climate one two three four five strike"),
        ("climate NEAR/5 strike", "climate and climate"),
        ("climate NEAR/5 strike", "strike"),
        ('"us airways" NEAR/2 strike', "strike at the us airways"),
        ('"us airways" NEAR/2 strike', "us strike airways"),
        ('"us airways" NEAR/2 airways', "us airways"),
        ("strike NEAR/3 strike", "a strike"),
        ("strike NEAR/3 strike*", "a strike"),
        ('"a b" NEAR/1 "b c"', "a b c"),
        ("climat* NEAR/3 #strik*", "strikes for the climate"),
        ("東京 NEAR/2 大阪", "東京から大阪"),
        ("aa NEAR/100 bb", "aa " + "x " * 100 + "bb"),
    ],
)
def test_words_further_away_or_shared_are_not_near(expression: str, text: str) -> None:
    assert not matches(expression, text)


BESIDE = Attached(tags=("rain",), cards=("storm warning", "hail at noon"), alts=("snow",))


def test_near_reaches_neither_into_another_part_nor_over_an_address() -> None:
    assert not matches("flood NEAR/100 storm", "flood", BESIDE)
    assert not matches("rain NEAR/100 storm", "flood", BESIDE)
    assert not matches("noon NEAR/100 warning", "flood", BESIDE)
    assert matches("storm NEAR/1 warning", "flood", BESIDE)
    assert not matches("flood NEAR/100 news", "flood https://news.example/storm")
    assert not matches("flood NEAR/100 rain", "flood https://news.example/storm rain")
    assert matches("storm NEAR/2 news", "flood https://news.example/storm rain")


def test_near_is_looked_for_in_the_parts_of_its_query_only() -> None:
    expression = parse("(storm OR hail) NEAR/2 (warning OR noon)")
    queries = [Query("everywhere", expression)]
    queries += [Query(f"p{part}", look_in(expression, part)) for part in (Part.TEXT, Part.CARDS)]
    texts = ["a storm warning", "flood", "storm"]
    found = match_all(queries, texts, [None, BESIDE, BESIDE])
    assert found == [(0, 1, 2), (0, 1, 3), (0, 1, 3)]


def test_what_stands_in_another_post_of_the_batch_is_not_near() -> None:
    queries = [Query("q", parse("aa NEAR/100 bb")), Query("a", parse("bb"))]
    texts = ["aa", "bb", "bb aa", "", "aa"]
    found = match_all(queries, texts)
    assert found == [(0,), (0, 2), (0, 1, 2), (0,), (0,)]


def test_near_is_a_term_like_others_in_a_query() -> None:
    queries = [
        Query("both", parse("aa NEAR/2 bb cc NOT dd NEAR/1 ee")),
        Query("any", parse("ff OR aa NEAR/2 bb")),
        Query("groups", parse("(aa OR ff) NEAR/2 (bb OR ff)")),
    ]
    texts = ["aa bb cc", "aa bb cc dd ee", "aa bb cc dd x ee", "aa x x bb cc", "ff", "ff aa ff"]
    found = match_all(queries, texts)
    assert found == [(0, 1, 2, 3), (0, 2, 3), (0, 1, 2, 3), (0,), (0, 2), (0, 2, 3)]


def test_near_is_exact_where_patterns_take_two_bytes() -> None:
    words = ["".join(map(chr, range(0x4E00 + i, 0x4E02 + i))) for i in range(0, 600, 2)]
    nears = [f"{one} NEAR/3 {other}" for one, other in pairwise(words)]
    queries = [Query(f"q{i}", parse(near)) for i, near in enumerate(nears)]
    texts = [f"{words[7]}一番{words[6]}", f"{words[6]}xyz{words[7]}", f"{words[6]}{words[8]}"]
    assert match_all(queries, texts) == [(0, 7), (0, 7), (0,)]
