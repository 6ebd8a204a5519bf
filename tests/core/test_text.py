"""What platforms send as the text that a reader sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.text import html_text, is_markup, plain_text, read_html, readable_text

LINK = (
    '<a href="https://far.test/long/path"><span class="invisible">https://</span>'
    '<span class="ellipsis">far.test/long</span><span class="invisible">/path</span></a>'
)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p><p>two<br>three</p>", "one\n\ntwo\nthree"),
        (f"<p>see {LINK}</p>", "see far.test/long…"),
        ('<p><span class="h-card">@<span>ana</span></span> hi</p>', "@ana hi"),
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<ul><li>x</li><li>y</li></ul>", "- x\n\n- y"),
        ("<p>a</p><script>alert(1)</script><style>p{}</style>b", "a\n\nb"),
        ('<img src="x" alt="a cat">', "a cat"),
        ("<p>a\n   b</p>", "a b"),
        ("plain", "plain"),
        ("", ""),
        ("<p>unclosed <b>bold", "unclosed bold"),
        ('<p class="quote-inline">RE: x</p><p>y</p>', "y"),
    ],
)
def test_text_is_what_a_reader_sees(markup: str, text: str) -> None:
    assert html_text(markup) == text


@given(st.text(alphabet=st.sampled_from("<>/&;pbr ='\"a!-#x\x00\ud800é"), max_size=80))
def test_any_markup_gives_text(markup: str) -> None:
    html_text(markup).encode()


def test_deep_nesting_is_walked_without_recursion() -> None:
    assert html_text("<b>" * 5_000 + "deep") == "deep"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("food &amp; drink", "food & drink"),
        ("don&#39;t, don&#x27;t, don&apos;t", "don't, don't, don't"),
        ("flood&nbsp;relief", "flood\u00a0relief"),
        ("&lt;3 &#128293;", "<3 🔥"),
        ("&amp;amp; &amp;lt;", "&amp; &lt;"),
        ("&#0; &#xD83D; &#99999999;", "\ufffd \ufffd &#99999999;"),
        ("AT&T & R&D; fish&chips; &;", "AT&T & R&D; fish&chips; &;"),
        ("https://x.example/?a=1&copy=2&lang=en", "https://x.example/?a=1&copy=2&lang=en"),
        ("<p>stays</p>", "<p>stays</p>"),
    ],
)
def test_entities_of_a_plain_text_are_undone_once(text: str, read: str) -> None:
    assert plain_text(text) == read


@given(st.text(alphabet="&#;xamplt0123 é", max_size=40))
def test_a_text_whose_signs_were_made_entities_reads_as_it_was(text: str) -> None:
    assert plain_text(text.replace("&", "&amp;")) == text


@pytest.mark.parametrize(
    "text", ["I <3 you", "a < b > c", "<name> says", "<", "x <https://x.example> y", "<3 <p"]
)
def test_angle_brackets_alone_are_no_markup(text: str) -> None:
    assert not is_markup(text)
    assert readable_text(text) == text


def test_markup_is_read_as_markup_where_nobody_says_which() -> None:
    assert readable_text("<p>flood &amp; x<br/>y</p>") == "flood & x\ny"
    assert readable_text("flood &amp; x") == "flood & x"
    assert readable_text("<p>about &amp;amp;</p>") == "about &amp;"


def test_addresses_of_links_are_kept_without_those_of_people_and_hashtags() -> None:
    markup = (
        f'<p>{LINK} {LINK} <a class="u-url mention" href="https://a.test/@ana">@ana</a> '
        '<a class="mention hashtag" href="https://a.test/tags/x">#x</a> '
        '<a href="/here">h</a> <a href="javascript:x()">j</a></p>'
    )
    text, links = read_html(markup)
    assert text == "far.test/long… far.test/long… @ana #x h j"
    assert links == ("https://far.test/long/path",)
