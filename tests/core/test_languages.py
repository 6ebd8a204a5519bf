"""Languages by whatever name a platform has for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.languages import MAX_TAG_CHARS, language_tag, near_language


@pytest.mark.parametrize(
    ("given_as", "tag"),
    [
        ("English", "en"), ("english", "en"), ("eng", "en"), ("en_US", "en-US"), ("EN", "en"),
        ("en-us", "en-US"), ("pt_BR", "pt-BR"), ("ger", "de"), ("deu", "de"), ("Deutsch", "de"),
        ("français", "fr"), ("Español", "es"), ("日本語", "ja"), ("العربية", "ar"), ("iw", "he"),
        ("in", "id"), ("zh_Hant_TW", "zh-Hant-TW"), ("zh-CN", "zh-CN"), ("chi", "zh"),
        ("en_GB.UTF-8", "en-GB"), ("sr-Latn", "sr-Latn"), (" de ", "de"), ("en-UK", "en-GB"),
        ("Brazilian Portuguese", "pt-BR"), ("", ""), ("und", ""), ("mul", ""), ("zxx", ""),
        ("qme", ""), ("xx", ""), ("none", ""), ("null", ""), ("unknown", ""), ("C", ""),
        ("n/a", ""), ("12", ""), ("en-", ""), ("x" * 99, ""),
    ],
)  # fmt: skip
def test_a_language_is_known_by_any_of_its_names(given_as: str, tag: str) -> None:
    assert language_tag(given_as) == tag


@given(st.text(max_size=70) | st.text(alphabet="abcdeqxyzENuU-_.@0123", max_size=45))
def test_any_text_gives_a_tag_that_stays_or_none(value: str) -> None:
    tag = language_tag(value)
    assert len(tag) <= MAX_TAG_CHARS
    assert language_tag(tag) == tag


@pytest.mark.parametrize(
    ("value", "near"),
    [("jp", "ja"), ("cn", "zh"), ("english", "en"), ("xx", ""), ("zz", ""), ("?!", "")],
)
def test_a_countrys_code_stands_for_its_language(value: str, near: str) -> None:
    assert near_language(value) == near


@pytest.mark.parametrize("value", ["Some words", "Klingonish talk", "frensh", "en english"])
def test_a_text_that_begins_like_a_name_is_no_language(value: str) -> None:
    assert language_tag(value) == ""
