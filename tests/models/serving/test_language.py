import pytest

from models.serving.language import LanguageGate, count_letters

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def gate() -> LanguageGate:
    return LanguageGate(("en",))


@pytest.mark.parametrize("tag", ["en", "en-GB", "EN_us"])
def test_a_tag_of_a_trained_language_is_believed(gate: LanguageGate, tag: str) -> None:
    assert gate.admits("la biblioteca abre a las nueve", tag)


@pytest.mark.parametrize("tag", ["fr", "pt-BR", "zh-Hant", "und", "eng-nonsense", "e"])
def test_any_other_tag_means_abstaining(gate: LanguageGate, tag: str) -> None:
    assert not gate.admits("what a lovely morning", tag)


@pytest.mark.parametrize(
    "text",
    [
        "what a lovely morning, thank you all",
        "@user I can't believe they lost again!!! http",
        "this is so good tears of joy",
        "no",
    ],
)
def test_untagged_english_passes(gate: LanguageGate, text: str) -> None:
    assert gate.admits(text, "")


@pytest.mark.parametrize(
    "text",
    [
        "la biblioteca abre a las nueve de la mañana y cierra tarde",
        "今日はとてもいい天気ですね、散歩に行きましょう",
        "Η βιβλιοθήκη ανοίγει στις εννέα το πρωί",
        "je ne sais pas pourquoi le train est encore en retard",
        "@user @user http",
        "!!! 123",
        "",
    ],
)
def test_untagged_text_that_is_not_english_is_not_admitted(gate: LanguageGate, text: str) -> None:
    assert not gate.admits(text, "")


def test_letters_of_user_names_and_links_do_not_count() -> None:
    assert count_letters("@user http #1 ok") == 2
    assert count_letters("日本") == 2
