"""Languages come from outside: how a tag is folded, and that no number of them fills memory."""

from stream.windows.strata import LanguageFold


def test_a_tag_is_folded_by_what_stands_before_its_first_dash_or_underscore() -> None:
    fold = LanguageFold(["en", "es"])
    for tag, expected in {
        "en": "en", "EN-gb": "en", "es_MX": "es", "en-US-x-a": "en", "eng": "other", "-en": "und",
        "": "und", "zz-en": "other",
    }.items():  # fmt: skip
        assert fold(tag) == fold(tag) == expected


def test_a_thousand_tags_are_remembered_and_all_others_folded_just_as_well() -> None:
    fold = LanguageFold(["en"])
    for number in range(1_200):
        assert fold(f"x{number}-{number}") == "other"
    assert len(fold._known) == 1_000
    assert fold("en-after") == "en"
    assert "en-after" not in fold._known
    assert "x999-999" in fold._known
