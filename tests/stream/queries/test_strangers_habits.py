"""What people write elsewhere and expect here: texts as they come, queries as they are used to."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.schemas import Attached
from core.text import clean_text, plain_text
from stream.queries import Query, QuerySyntaxError, parse
from stream.queries.expression import look_in
from stream.queries.folding import split_words
from stream.queries.hints import hints
from stream.queries.matcher import Matcher
from stream.queries.parts import ALL_PARTS, Part

SOURCES = ("replay", "bluesky", "mastodon", "rss")


def matches(expression: str, text: str, attached: Attached | None = None) -> bool:
    matcher = Matcher([Query("q", parse(expression))])
    (found,) = matcher.match_batch([clean_text(plain_text(text))[0]], [""], [""], [""], [attached])
    return found == (0, 1)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ('"food & drink"', "food &amp; drink"),
        ("don't", "don&#39;t"),
        ('"flood relief"', "flood&nbsp;relief"),
        ("istanbul", "İSTANBUL"),
        ("İstanbul", "istanbul"),
        ("ışık", "IŞIK"),
        ("türkiye", "TÜRKİYE"),
        ("izmir", "IZMIR"),
        ("izmir", "İZMİR"),
        ("об'єднані", "обʼєднані"),
        ("don't", "donʼt"),
        ("don't", "don´t"),
        ("don't", "don＇t"),
        ("hawai'i", "Hawaiʻi"),
        ("qur'an", "Qurʾan"),
        ("فيضان", "فيـــضان"),
        ("#غزة", "#غـــزة"),
        ("فيضان", "فَيَضان"),
        ("שלום", "שָׁלוֹם"),
        ("замок", "за́мок"),
        ("flood", "_flood_"),
        ("flood", "__flood__"),
        ("flood relief", "_flood relief_"),
        ('"flood relief"', "_flood relief_"),
        ("flood", "*flood* **flood** ~~flood~~ `flood`"),
        ("#flood", "_#flood_"),
        ("#flood", "#_flood_"),
        ("@ann", "_@ann_"),
        ("snake_case", "a snake_case name"),
        ("@ann", "hi @ann.bsky.social"),
        ("@ann", "hi @ann's"),
        ("@ann", "thanks @annさん"),
        ("@ann", "고마워 @ann님"),
        ("@ann", "＠ann"),
        ("@ann-lee", "hi @ann-lee.bsky.social"),
        ("#flood", "#flood-relief"),
        ("#flood", "＃flood"),
        ("#flood2026", "#Flood2026"),
        ("#climate_march", "#Climate_March"),
        ("#東京", "#東京都"),
        ("tsla", "$TSLA"),
        ("🇺🇸", "🇦🇺🇺🇸🇪🇸"),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", "go 🏴󠁧󠁢󠁳󠁣󠁴󠁿!"),
        ("👩‍🚒", "a 👩🏽‍🚒 b"),
        ("🤷", "🤷🏽‍♀️"),
        ("👍🏿", "👍"),
        ("flood", "ｆｌｏｏｄ ﬂood"),
        ("flood", "fl\u200bood \u2066flood\u2069"),
        ("straße", "STRASSE"),
        ("οδός", "ΟΔΌΣ"),
        ("việt", unicodedata.normalize("NFD", "VIỆT")),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("flood", "f\u0336l\u0336o\u0336o\u0336d\u0336"),
        ("flood", "https://news.example/flood-2026"),
        ("relief", "https://news.example/flood%20relief"),
        ("#flood", "see https://x.example/a, #flood"),
        ("東京", "詳細https://x.example/a東京"),
    ],
)
def test_a_query_finds_what_a_reader_takes_for_the_same(expression: str, text: str) -> None:
    assert matches(expression, text)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("amp", "food &amp; drink"),
        ("39", "don&#39;t"),
        ("nbsp", "flood&nbsp;relief"),
        ("@ann", "hi @ann-lee.bsky.social"),
        ("@delta", "@delta-force.bsky.social"),
        ("@ann", "@ann_lee"),
        ("@ann", "@_ann_"),
        ("@ann", "bob@ann.example"),
        ("@a.b", "@a.c"),
        ("@ann.lee", "@ann lee"),
        ("#flood", "https://x.example/#flood"),
        ("#flood", "x.example/?q=#flood"),
        ("@united", "https://medium.example/@united/post"),
        ("@ann", "m.example/@ann"),
        ("@ann", "localhost:8080/@ann"),
        ("@ann", "WWW.EXAMPLE/@ann"),
        ("@ann", "HTTPS://M.EXAMPLE/@ann"),
        ("#flood", "bob#flood"),
        ("🇺🇸", "🇦🇺🇸🇪"),
        ("🇨🇭", "🇲🇨🇭🇺"),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
        ("🏴", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
        ("👩", "👩‍🚒"),
        ("🏳️", "🏳️‍🌈"),
        ("flood", "flood_1"),
        ('"see flood"', "see https://x.example/flood"),
        ("eleições", "eleicoes"),
    ],
)
def test_a_query_does_not_find_what_only_looks_alike_to_a_program(
    expression: str, text: str
) -> None:
    assert not matches(expression, text)


BESIDE = Attached(
    tags=("flood", "new york"),
    links=("https://news.example/storm-2026/#rain",),
    cards=("Levee breaks @ann", "<b>"),
    alts=("A road under water",),
    polls=("evacuate", "stay"),
)


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("#flood", Part.TAGS), ("flood", Part.TAGS), ('"new york"', Part.TAGS),
        ("storm", Part.LINKS), ("levee*", Part.CARDS), ('"under water"', Part.ALTS),
        ("evacuate", Part.POLLS), ("look", Part.TEXT),
    ],
)  # fmt: skip
def test_what_a_post_says_beside_its_text_is_found_and_can_be_left_out(
    expression: str, part: Part
) -> None:
    assert matches(expression, "look", BESIDE)
    for parts in (part, ALL_PARTS & ~part):
        matcher = Matcher([Query("q", look_in(parse(expression), parts)), Query("x", parse("zz"))])
        (found,) = matcher.match_batch(["look"], [""], [""], [""], [BESIDE])
        assert (1 in found) == (parts == part)


@pytest.mark.parametrize("expression", ["#rain", "#new", "@ann", '"look flood"', '"york news"'])
def test_parts_do_not_run_into_each_other_and_mention_nobody(expression: str) -> None:
    assert not matches(expression, "look", BESIDE)
    matcher = Matcher([Query("q", parse(expression)), Query("x", look_in(parse("zz"), Part.TEXT))])
    assert matcher.match_batch(["look"], [""], [""], [""], [BESIDE]) == [(0,)]


def test_addresses_in_the_text_can_be_left_out() -> None:
    text = "so far https://news.example/flood-2026 and www.storm.example, rain.example/hail"
    without = ALL_PARTS & ~Part.LINKS
    words = ("flood", "storm", "hail", "far", "news")
    everywhere = [Query(word, parse(word)) for word in words]
    left_out = [Query(f"{word}-text", look_in(parse(word), without)) for word in words]
    matcher = Matcher([*everywhere, *left_out])
    (found,) = matcher.match_batch([text], [""], [""], [""])
    assert [matcher.names[index] for index in found[1:]] == [*words, "far-text"]


@pytest.mark.parametrize(
    ("expression", "column", "hint"),
    [
        ("flood|storm", 6, "write OR"),
        ("flood&storm", 6, "write AND"),
        ("AT&T", 3, "quotes"),
        ("flood, storm, rain", 6, "write OR"),
        ("flood,storm", 6, "write OR"),
        ("flood; storm", 6, "write OR"),
        ("東京、大阪", 3, "write OR"),
        ("flood，storm", 6, "write OR"),
        ("organi?ation", 7, "stands for no letter"),
        ('"flood relief"~5', 15, "write NEAR/5 between two words"),
        ("flood~2", 6, "does not loosen"),
        ("flood near/5 storm", 7, "write NEAR/5"),
        ("flood NEAR:5 storm", 7, "write NEAR/5"),
        ("flood NEAR~5 storm", 7, "write NEAR/5"),
        ("flood w/5 storm", 7, "write NEAR/5"),
        ("flood pre/12 storm", 7, "write NEAR/12, which looks in either order"),
        ("flood ONEAR/5 storm", 7, "write NEAR/5, which looks in either order"),
        ("flood NEAR/5f storm", 12, "from 1 to 100"),
        ("[a OR b]", 1, "write '('"),
        ("flood^2", 6, "no weight"),
        ("/flood.*/", 1, "regular expressions"),
        ("*flood", 1, "only allowed at the end"),
        ("word*word", 5, "only allowed at the end"),
        ("+word", 1, "leave out the '+'"),
        ("-word", 1, "write NOT"),
        ("!word", 1, "write NOT"),
        ("from:ann", 1, "write @name"),
        ("to:ann", 1, "write @name"),
        ("filter:links", 1, "nothing like it"),
        ("min_faves:10", 1, "nothing like it"),
        ("rain lang:english", 11, "did you mean 'en'?"),
        ("'a OR b'", 1, "double quotes"),
        ('""', 1, "at least one word"),
        ("a OR", 5, "the end of the expression"),
        ("NOT flood", 1, "this NOT alone"),
        ("(flood OR storm", 1, "never closed"),
        ('"flood', 1, "never closed"),
        ("（flood OR storm", 1, "never closed"),
    ],
)
def test_an_operator_of_another_product_is_refused_with_a_hint(
    expression: str, column: int, hint: str
) -> None:
    with pytest.raises(QuerySyntaxError) as refused:
        parse(expression)
    assert hint in refused.value.problem
    assert refused.value.column == column


@pytest.mark.parametrize(
    "expression",
    ["'flood relief'", "‘flood relief’", "‚flood relief‘", "«flood relief»", "„flood relief“",
     "“flood relief”", "＂flood relief＂", "『flood relief』", "＇flood relief＇"],
)  # fmt: skip
def test_a_phrase_may_stand_in_any_quotation_marks(expression: str) -> None:
    assert parse(expression) == parse('"flood relief"')
    assert parse(f"({expression} OR x)") == parse('"flood relief" OR x')


@pytest.mark.parametrize("expression", ["rock 'n' roll", "'tis", "don't won't", "'don't panic'"])
def test_an_apostrophe_is_no_quotation_mark(expression: str) -> None:
    words = "tis" if expression == "'tis" else expression.strip("'")
    assert matches(expression, words)


@pytest.mark.parametrize(
    "expression",
    ["flood OR\u200b storm", "flood \u200cOR storm", "flood \ufeffOR\ufeff storm",
     "flood \u200b OR storm", "flood ＯＲ storm", "（flood OR storm）", "flood OR storm\u200b"],
)  # fmt: skip
def test_an_operator_beside_what_cannot_be_seen_is_an_operator(expression: str) -> None:
    assert parse(expression) == parse("flood OR storm")


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("flood or storm", "written in capitals: OR"),
        ("flood And storm", "written in capitals: AND"),
        ("flood ODER sturm", "did you mean OR?"),
        ("flood ADJ storm", "did you mean NEAR/1?"),
        ("flood NEAR storm", "'NEAR' is read as a word; did you mean NEAR/5?"),
        ("flood NEAR5 storm", "'NEAR5' is read as a word; did you mean NEAR/5?"),
        ("flood NEAR-12 storm", "'NEAR-12' is read as a word; did you mean NEAR/12?"),
        ("flood AROUND(5) storm", "'AROUND' is read as a word; did you mean NEAR/5?"),
        ("lang:xx flood", "no such language 'xx' (did you mean"),
        ("lang:jp flood", "did you mean 'ja'?"),
        ("source:twitter flood", "no such source 'twitter' (did you mean one of"),
        ("source:blusky flood", "did you mean 'bluesky'?"),
        ("C++", "'C++' is read as the word 'c': '+'"),
        ("$TSLA", "is read as the word 'tsla'"),
        ("a/b", "is read as the phrase 'a b'"),
        ("#flood-relief", "hashtag '#flood' and then 'relief'"),
        ('"food &amp; drink"', "will not be found"),
        ('"#flood relief"', "'#' is not looked at in a phrase"),
        ("lang:de flood lang:en", "can never match"),
        ("source:rss source:replay", "can never match"),
        ("flood NOT flood", "can never match"),
        ("floods NOT flood*", "can never match"),
        ('"flood relief" NOT relief', "can never match"),
        ("#flood NOT flood", "can never match"),
        ("rain OR (lang:pt-br NOT lang:pt)", "can never match"),
        ("flood NEAR/5 storm NOT flood*", "can never match"),
        ("(flood OR floods) NEAR/5 storm NOT flood*", "can never match"),
        ("flood NEAR/5 storm NOT (storm NEAR/5 (flood OR rain))", "can never match"),
    ],
)
def test_a_valid_query_that_may_mean_something_else_gets_a_hint(expression: str, hint: str) -> None:
    found = hints(expression, parse(expression), SOURCES)
    assert hint in " ".join(one.text for one in found)


@pytest.mark.parametrize(
    "expression",
    ["flood", "don't", "flood-relief", "climat*", '"flood relief"', '"food & drink"', "#flood",
     "@ann.example", "lang:pt-BR flood", "source:rss flood", "flood NOT floods", "東京", "🔥",
     "flood NOT #flood", "flood* NOT flood", "lang:en NOT lang:en-us",
     'relief NOT "flood relief"', "flood NEAR/5 storm NOT flood NEAR/4 storm",
     "(flood OR rain) NEAR/5 storm NOT flood", "flood NOT flood NEAR/5 storm",
     "flood NEAR/5 storm NOT flood NEAR/5 rain"],
)  # fmt: skip
def test_an_ordinary_query_gets_no_hint(expression: str) -> None:
    assert hints(expression, parse(expression), SOURCES) == []


LETTERS = st.sampled_from("abiIıİşŞßςΣéñжЖфيضבש東ไ한")
FOLDINGS = (
    str,
    str.lower,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFC", text),
    lambda text: f"_{text}_",
    lambda text: f"**{text}**",
    lambda text: "\u200d".join(text) if text.isalpha() and not text.isascii() else text,
    lambda text: "".join(f"{c}\u0640" if "\u0620" <= c <= "\u064a" else c for c in text),
    lambda text: "".join(f"{c}\u064e" if "\u0620" <= c <= "\u064a" else c for c in text),
    lambda text: "".join(f"{c}\u05b8" if "\u05d0" <= c <= "\u05ea" else c for c in text),
    lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    lambda text: text.replace("I", "ı").replace("i", "İ"),
    lambda text: f"&lt;{text}&gt;",
)


@given(st.lists(LETTERS, min_size=1, max_size=8).map("".join), st.data())
def test_a_text_matches_its_own_terms_after_any_of_the_foldings(
    term: str, data: st.DataObject
) -> None:
    text = term
    for fold in data.draw(st.lists(st.sampled_from(FOLDINGS), max_size=3, unique=True)):
        text = fold(text)
    assert matches(f'"{term}"', f"so {text}, yes")
    assert matches(f'"{term}"', text)


@given(st.text(max_size=30))
def test_any_text_matches_the_phrase_of_its_own_words(text: str) -> None:
    phrase = text.translate({ord(sign): " " for sign in '"“”„‟«»‹›「」『』〝〞〟＂*&/.'})
    if split_words(phrase):
        assert matches(f'"{phrase}"', phrase)
