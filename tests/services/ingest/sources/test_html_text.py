"""HTML as the text that a reader sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources.html_text import html_text

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
