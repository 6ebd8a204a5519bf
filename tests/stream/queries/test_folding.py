import pytest

from stream.queries.folding import fold, is_unspaced, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  ... ", ()),
        ("It's 5pm, U.S. snake_case!", ("it", "s", "5pm", "u", "s", "snake_case")),
        ("ÉCOLE e\u0301cole", ("école", "école")),
        ("ﬁre ①", ("fire", "1")),
        ("ΣΊΣΥΦΟΣ σίσυφος", ("σίσυφοσ", "σίσυφοσ")),
        ("हिन्दी में", ("हिन्दी", "में")),
        ("می\u200cخواهم", ("میخواهم",)),
        ("한국어 뉴스", ("한국어", "뉴스")),
        ("東京タワー", ("東", "京", "タ", "ワ", "ー")),
        ("สวัสดี", tuple("สวัสดี")),
        ("go👍🏽👍go", ("go", "👍", "👍", "go")),
        ("❤️", ("❤",)),
        ("1️⃣ first", ("1", "first")),
        ("soft\u00adhyphen", ("softhyphen",)),
        ("price€5", ("price", "5")),
    ],
)
def test_text_is_split_into_folded_words(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


def test_folding_plain_ascii_is_lower_case() -> None:
    assert fold("FLOOD Relief_1") == "flood relief_1"


def test_only_single_characters_of_unspaced_scripts_are_unspaced() -> None:
    assert is_unspaced("東")
    assert is_unspaced("🔥")
    assert not is_unspaced("a")
    assert not is_unspaced("ab")
