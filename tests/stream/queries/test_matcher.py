from collections.abc import Sequence

import pytest

from stream.queries import Query, parse
from stream.queries.matcher import ALL, Matcher


def make_matcher(*expressions: str) -> Matcher:
    return Matcher([Query(f"q{i}", parse(e)) for i, e in enumerate(expressions, start=1)])


def match_one(
    expression: str, text: str, author: str = "", lang: str = "", source: str = ""
) -> bool:
    found = make_matcher(expression).match_batch([text], [author], [lang], [source])
    assert found in ([(0,)], [(0, 1)])
    return found == [(0, 1)]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("flood", "FLOOD!"),
        ("flood", "#flood"),
        ("flood", "@flood"),
        ("flood", "(flood)"),
        ("straße", "STRASSE"),
        ("école", "E\u0301COLE"),
        ("climat*", "Climate"),
        ("climat*", "climat"),
        ('"us airways"', "US Airways lost it"),
        ('"us airways"', "us... AIRWAYS"),
        ('"us airways"', "us #airways"),
        ('"us airways"', "@us\nairways"),
        ("#flood", "so #Flood, so"),
        ("#flood", "##flood"),
        ("#flood*", "#floods"),
        ("@united", "thanks @United!"),
        ("@united", "mail @united.example.org"),
        ("@ann.example.org", "ask @ann.example.org."),
        ("@ann", "ask @ann@social.example"),
        ("東京", "私は東京都に"),
        ("発売", "新iPhone発売中"),
        ("iphone発売", "新iPhone発売中"),
        ("#東京", "#東京"),
        ("🔥", "so🔥so"),
        ("👍", "👍🏽"),
        ("aa bb", "bb aa"),
        ("aa OR bb", "bb"),
        ("aa NOT bb", "aa"),
        ("NOT (NOT aa OR bb)", "aa"),
        ("(aa OR bb) (cc OR dd)", "dd bb"),
        ("aa (bb OR NOT cc)", "aa"),
    ],
)
def test_query_matches_text(expression: str, text: str) -> None:
    assert match_one(expression, text)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("flood", "floods"),
        ("flood", "aflood"),
        ("flood", "flood_1"),
        ("flood", ""),
        ("climat*", "aclimate"),
        ('"us airways"', "us the airways"),
        ('"us airways"', "airways us"),
        ('"us airways"', "plus airways"),
        ("#flood", "flood"),
        ("#flood", "a#flood"),
        ("#flood", "# flood"),
        ("#flood", "@flood"),
        ("#flood", "#floods"),
        ("@united", "united"),
        ("@united", "bob@united.com"),
        ("@united", "#united"),
        ("@ann.example.org", "ask @ann.example.com"),
        ("東京", "京東"),
        ("iphone発売", "myiPhone発売"),
        ("aa bb", "aa"),
        ("aa NOT bb", "aa bb"),
        ("aa (bb OR NOT cc)", "aa cc"),
    ],
)
def test_query_does_not_match_text(expression: str, text: str) -> None:
    assert not match_one(expression, text)


def test_author_term_matches_the_whole_handle_of_the_author() -> None:
    assert match_one("@Ann.example.org", "hi", author="ann.Example.org")
    assert not match_one("@ann", "hi", author="ann.example.org")
    assert not match_one("@ann", "hi", author="anna")


def test_keyed_authors_are_found_with_the_key_and_mentions_as_ever() -> None:
    query = Query("q1", parse("@ann"))
    keyed = Matcher([query], author_key=lambda handle: f"hash-of-{handle}")
    columns = ["", ""], ["", ""]
    assert keyed.match_batch(["hi", "hi @ann"], ["hash-of-ann", "x"], *columns) == [(0, 1), (0, 1)]
    assert keyed.match_batch(["hi", "hi"], ["ann", "HASH-OF-ANN"], *columns) == [(0,), (0,)]


def test_where_some_sources_hide_authors_and_some_do_not_both_are_found() -> None:
    query = Query("q1", parse("@ann"))
    mixed = Matcher([query], author_key=lambda handle: f"hash-of-{handle}", plain_authors=True)
    authors = ["hash-of-ann", "Ann", "bob", "hash-of-bob"]
    found = mixed.match_batch(["hi"] * 4, authors, [""] * 4, [""] * 4)
    assert found == [(0, 1), (0, 1), (0,), (0,)]


@pytest.mark.parametrize(
    ("tag", "lang", "expected"),
    [
        ("en", "en", True),
        ("en", "EN-us", True),
        ("en", "en_GB", True),
        ("pt-br", "pt-BR", True),
        ("pt-br", "pt", False),
        ("en", "eng", True),
        ("en", "English", True),
        ("en", "xx", False),
        ("en", "", False),
    ],
)
def test_language_covers_its_sub_tags(tag: str, lang: str, expected: bool) -> None:
    assert match_one(f"lang:{tag}", "hi", lang=lang) is expected
    assert match_one(f"lang:{tag} hi", "hi", lang=lang) is expected
    assert match_one(f"lang:{tag} NOT ho", "hi", lang=lang) is expected
    assert match_one(f"hi NOT lang:{tag}", "hi", lang=lang) is not expected


def test_source_is_compared_as_a_whole() -> None:
    assert match_one("source:rss", "hi", source="RSS")
    assert not match_one("source:rss", "hi", source="rss-2")
    assert match_one("hi (source:rss OR source:replay)", "hi", source="replay")


def test_every_post_gets_all_matching_queries_in_order_of_index() -> None:
    matcher = make_matcher("cc", "bb OR cc", "aa cc", "lang:en", "zz")
    assert matcher.names == (ALL, "q1", "q2", "q3", "q4", "q5")
    found = matcher.match_batch(
        ["cc aa", "none", "bb bb", ""], ["x"] * 4, ["en", "en", "de", ""], ["s"] * 4
    )
    assert found == [(0, 1, 2, 3, 4), (0, 4), (0, 2), (0,)]


def test_phrase_does_not_reach_into_the_next_post() -> None:
    matcher = make_matcher('"us airways"')
    for first, second in (("us", "airways"), ("us\x00", "\x00airways"), ("us ", " airways")):
        assert matcher.match_batch([first, second], [""] * 2, [""] * 2, [""] * 2) == [(0,), (0,)]


def test_post_with_divider_characters_keeps_its_place() -> None:
    matcher = make_matcher("flood", "rain")
    texts = ["\x00", "flood\x00rain", "\x00\x00", "rain"]
    assert matcher.match_batch(texts, [""] * 4, [""] * 4, [""] * 4) == [
        (0,),
        (0, 1, 2),
        (0,),
        (0, 2),
    ]


def test_lone_surrogate_in_a_post_is_no_error() -> None:
    assert match_one("flood", "\ud800 flood")


def test_matcher_without_queries_gives_all() -> None:
    assert Matcher([]).match_batch(["a", "b"], [""] * 2, [""] * 2, [""] * 2) == [(0,), (0,)]


def test_empty_batch_gives_nothing() -> None:
    assert make_matcher("flood").match_batch([], [], [], []) == []


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="found 2, 1, 2, 2, 2"):
        make_matcher("flood").match_batch(["a", "b"], [""], ["", ""], ["", ""])


@pytest.mark.parametrize("names", [("a", "a"), (ALL,)])
def test_names_are_unique_and_all_is_reserved(names: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="must be unique"):
        Matcher([Query(name, parse("flood")) for name in names])


def test_patterns_of_many_distinct_characters_use_two_bytes_and_stay_exact() -> None:
    characters = [chr(0x4E00 + i) for i in range(3000)]
    pairs = ["".join(characters[i : i + 2]) for i in range(0, 3000, 2)]
    matcher = make_matcher(*pairs, "flood", "#flood")
    texts = [f"x{pairs[700]}y", characters[1] + characters[2], "a #flood", "ASCII only: flood"]
    assert matcher.match_batch(texts, [""] * 4, [""] * 4, [""] * 4) == [
        (0, 701),
        (0,),
        (0, 1501, 1502),
        (0, 1501),
    ]


def test_pattern_found_between_two_codes_of_two_bytes_is_no_match() -> None:
    # Of 600 syllables the one at index i has the code i + 7. At an odd byte the codes of this
    # word (0x012C, 0x0100, 0x0101, 0x0100) read as a gap (0x0001), 0x0101 and another gap: the
    # pattern of the syllable at index 250.
    syllables = [chr(0xAC00 + i) for i in range(600)]
    matcher = make_matcher(*syllables)
    text = "".join(syllables[i] for i in (293, 249, 250, 249))
    assert matcher.match_batch([text], [""], [""], [""]) == [(0,)]
    assert matcher.match_batch([syllables[250]], [""], [""], [""]) == [(0, 251)]


def test_many_languages_do_not_grow_memory_without_bound() -> None:
    matcher = make_matcher("lang:en", "source:rss")
    count = 10_000
    langs = [f"x{i}" for i in range(count)]
    matcher.match_batch(["a"] * count, [""] * count, langs, langs)
    columns = matcher._columns  # pyright: ignore[reportPrivateUsage]
    assert len(columns._remembered_langs) <= 4096  # pyright: ignore[reportPrivateUsage]
    assert len(columns._remembered_sources) <= 4096  # pyright: ignore[reportPrivateUsage]
