import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
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
from stream.queries.grammar import (
    MAX_DEPTH,
    MAX_EXPRESSION_CHARACTERS,
    QuerySyntaxError,
    parse,
)


def word(*words: str, is_hashtag: bool = False, is_prefix: bool = False) -> TextTerm:
    return TextTerm(words, is_hashtag, is_prefix)


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ("flood", word("flood")),
        ("FLOOD", word("flood")),
        ("Ｆｌｏｏｄ", word("flood")),
        ("STRASSE", word("strasse")),
        ("straße", word("strasse")),
        ("climat*", word("climat", is_prefix=True)),
        ('"us  airways"', word("us", "airways")),
        ("“us airways”", word("us", "airways")),
        ("don't", word("don", "t")),
        ("#Climate", word("climate", is_hashtag=True)),
        ("＃climate", word("climate", is_hashtag=True)),
        ("#climat*", word("climat", is_hashtag=True, is_prefix=True)),
        ("@United", AuthorTerm("united")),
        ("@ann.example.org", AuthorTerm("ann.example.org")),
        ("lang:pt-BR", LangTerm("pt-br")),
        ("source:bluesky", SourceTerm("bluesky")),
        ("東京", word("東", "京")),
        ("iPhone発売", word("iphone", "発", "売")),
        ("東*", word("東", is_prefix=True)),
        ("👍🏽", word("👍")),
        ("and or not", And((word("and"), word("or"), word("not")))),
        ("ANDES ORGAN NOTES", And((word("andes"), word("organ"), word("notes")))),
    ],
)
def test_term_is_read(expression: str, tree: Node) -> None:
    assert parse(expression) == tree


A, B, C, D = (word(letter * 2) for letter in "abcd")


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ("aa bb", And((A, B))),
        ("aa AND bb", And((A, B))),
        ("aa OR bb cc", Or((A, And((B, C))))),
        ("aa AND bb OR cc AND dd", Or((And((A, B)), And((C, D))))),
        ("aa NOT bb OR cc", Or((And((A, Not(B))), C))),
        ("aa NOT (bb OR cc)", And((A, Not(Or((B, C)))))),
        ("(aa OR bb) (cc OR dd)", And((Or((A, B)), Or((C, D))))),
        ("aa AND NOT NOT bb", And((A, Not(Not(B))))),
        ("((aa))", A),
        ("(aa bb) cc", And((A, B, C))),
        ("aa OR (bb OR cc)", Or((A, B, C))),
        ("NOT (NOT aa OR NOT bb)", Not(Or((Not(A), Not(B))))),
        ("\taa\n bb ", And((A, B))),
        ('aa"bb"(cc)', And((A, B, C))),
        ("aa NEAR/5 bb", Near((A,), (B,), 5)),
        ("aa NEAR/1 bb cc", And((Near((A,), (B,), 1), C))),
        ("aa bb NEAR/100 cc OR dd", Or((And((A, Near((B,), (C,), 100))), D))),
        ("aa NOT bb NEAR/5 cc", And((A, Not(Near((B,), (C,), 5))))),
        ("(aa OR (bb OR cc)) NEAR/2 ((dd))", Near((A, B, C), (D,), 2)),
        ('"aa bb" NEAR／５ aa*', Near((word("aa", "bb"),), (word("aa", is_prefix=True),), 5)),
    ],
)
def test_near_binds_tighter_than_not_then_and_then_or(expression: str, tree: Node) -> None:
    assert parse(expression) == tree


@pytest.mark.parametrize(
    ("expression", "column", "problem"),
    [
        ("", 1, "found the end of the expression"),
        ("   ", 4, "found the end of the expression"),
        ("flood OR", 9, "found the end of the expression"),
        ("flood AND OR rain", 11, "found 'OR'"),
        ("AND flood", 1, "found 'AND'"),
        ("flood NOT", 10, "found the end of the expression"),
        ("()", 2, "found ')'"),
        ("flood (rain OR", 15, "found the end of the expression"),
        ("flood (rain", 7, "this '(' is never closed"),
        ("flood) rain", 6, "this ')' closes nothing"),
        ('rain "flood relief', 6, "this quotation mark is never closed"),
        ('rain "!?"', 6, "expected at least one word in the phrase"),
        ('"flood rel*"', 11, "'*' is not allowed in a phrase"),
        ("rain cl*mate", 8, "'*' is only allowed at the end of a word"),
        ("rain f*", 6, "expected at least 2 characters before '*', found 'f'"),
        ("rain *", 6, "expected a word, found '*'"),
        ("rain #", 7, "expected a word after '#'"),
        ("rain #!", 7, "expected a word after '#', found '!'"),
        ("rain @", 7, "expected an author's handle after '@'"),
        ("rain @unit*", 11, "'*' is not allowed in an author's handle"),
        ("rain @united,", 7, "expected a handle such as"),
        ("rain -flood", 6, "write NOT to exclude a word"),
        ("rain !flood", 6, "write NOT to exclude a word"),
        ("rain || flood", 6, "write OR"),
        ("rain & flood", 6, "write AND, or nothing"),
        ("rain ?", 6, "'?' stands for no letter"),
        ("rain $", 6, "expected a word, found '$'"),
        ("rain lang:english", 11, "expected a language code"),
        ("rain lang:", 11, "expected a language code"),
        ("rain source:", 13, "expected the name of a source"),
        ("rain sorce:rss", 6, "unknown field 'sorce' (did you mean 'source'?)"),
        ("https://example.org", 1, "unknown field 'https'"),
        ("rain NEAR/5", 12, "found the end of the expression"),
        ("NEAR/5 rain", 1, "found 'NEAR/5'"),
        ("rain NEAR/5 OR flood", 13, "found 'OR'"),
        ("rain NEAR/5 NOT flood", 13, "found 'NOT'"),
        ("rain NEAR/0 flood", 11, "from 1 to 100 behind 'NEAR/', found '0'"),
        ("rain NEAR/101 flood", 11, "from 1 to 100 behind 'NEAR/', found '101'"),
        ("rain NEAR/-3 flood", 11, "from 1 to 100 behind 'NEAR/', found '-3'"),
        (f"rain NEAR/{'0' * 9_000} flood", 11, "from 1 to 100 behind 'NEAR/', found '0000"),
        ("rain NEAR/ 5 flood", 11, "from 1 to 100 behind 'NEAR/', found nothing"),
        ("rain NEAR/5 @united", 13, "expected words, phrases or hashtags beside NEAR"),
        ("lang:en NEAR/5 rain", 1, "expected words, phrases or hashtags beside NEAR"),
        ("(hail rain) NEAR/5 flood", 7, "of several an OR in brackets, found 'rain'"),
        ("(hail OR (rain) flood) NEAR/5 storm", 17, "found 'flood'"),
        ("(hail (rain)) NEAR/5 flood", 7, "found '('"),
        ("flood NEAR/5 (hail AND rain)", 20, "found 'AND'"),
        ("flood NEAR/5 (hail OR NOT rain)", 23, "found 'NOT'"),
        ("rain NEAR/5 flood NEAR/3 storm", 19, "expected AND before another"),
        ("(rain NEAR/5 flood) NEAR/3 storm", 7, "found 'NEAR/5'"),
        ("NOT (rain NEAR/5 flood)", 1, "this NOT alone would match nearly every post"),
        ("NOT flood", 1, "this NOT alone would match nearly every post"),
        ("rain OR NOT flood", 9, "this NOT alone would match nearly every post"),
        ("rain OR (NOT a NOT b)", 10, "this NOT alone would match nearly every post"),
        ("NOT (flood OR rain)", 1, "this NOT alone would match nearly every post"),
        ("NOT (NOT flood rain)", 1, "this NOT alone would match nearly every post"),
    ],
)
def test_mistake_is_reported_at_its_column(expression: str, column: int, problem: str) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse(expression)
    assert problem in caught.value.problem
    assert (caught.value.line, caught.value.column) == (1, column)
    assert caught.value.position == column - 1


def test_message_draws_a_caret_under_the_column() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("rain cl*mate")
    assert str(caught.value) == (
        "column 8: '*' is only allowed at the end of a word\n    rain cl*mate\n           ^"
    )


def test_caret_follows_wide_characters_and_tabs() -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse("東京\t-rain")
    assert caught.value.column == 4
    assert str(caught.value).splitlines()[-1] == "    " + "    \t" + "^"


def test_mistake_in_a_long_expression_shows_its_line_only() -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse("flood OR\nrain -hail\nOR snow")
    assert (caught.value.line, caught.value.column) == (2, 6)
    assert str(caught.value).startswith("line 2, column 6: ")
    assert str(caught.value).splitlines()[1:] == ["    rain -hail", "         ^"]


@pytest.mark.parametrize("expression", ["lang:de NOT flood", "NOT flood rain", "NOT NOT flood"])
def test_not_is_accepted_where_a_term_must_be_present(expression: str) -> None:
    parse(expression)


def test_nesting_has_a_limit_and_not_a_crash() -> None:
    parse("(" * MAX_DEPTH + "flood" + ")" * MAX_DEPTH)
    for opening in ("(", "NOT "):
        with pytest.raises(QuerySyntaxError, match="nested") as caught:
            parse("rain " + opening * 4000 + "flood")
        assert caught.value.position == 5 + MAX_DEPTH * len(opening)


def test_length_has_a_limit() -> None:
    with pytest.raises(QuerySyntaxError, match="at most 20000 characters") as caught:
        parse("flood " * (MAX_EXPRESSION_CHARACTERS // 5))
    assert len(str(caught.value)) < 400


def test_many_alternatives_are_no_nesting() -> None:
    tree = parse(" OR ".join(f"w{i}" for i in range(1500)))
    assert isinstance(tree, Or)
    assert len(tree.children) == 1500


_TERMS = st.sampled_from(
    ["flood", "climat*", '"us airways"', "#tag", "#pre*", "@ann.example.org", "lang:en",
     "source:rss", "東京", "don't", "Straße", "flood NEAR/3 (#rain OR climat*)",
     '"us airways" NEAR/100 東京']
)  # fmt: skip
_TREES = st.recursive(
    _TERMS.map(parse),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(
            lambda c: parse(" ".join(f"({child})" for child in c))
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda c: parse(" OR ".join(f"({child})" for child in c))
        ),
        inner.map(lambda child: parse(f"rain NOT ({child})")),
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_TREES)
def test_printed_tree_parses_to_the_same_tree(tree: Node) -> None:
    assert parse(str(tree)) == tree


@given(st.text(alphabet='ab"#@*():-.,! \n東é🔥ANDORNTElang/05', max_size=40))
def test_any_text_is_a_query_or_a_syntax_error_inside_it(expression: str) -> None:
    position = 0
    try:
        parse(expression)
    except QuerySyntaxError as error:
        position = error.position
    assert 0 <= position <= len(expression)
