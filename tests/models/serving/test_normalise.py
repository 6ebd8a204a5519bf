import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.serving.normalise import MAX_CHARACTERS, normalise


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("@jane_doe hi", "@user hi"),
        ("@me@social.example.org and @you.bsky.social.", "@user and @user."),
        ("write to me@example.org", "write to me@example.org"),
        ("see https://t.co/AbC and www.example.org/x?y=1", "see http and http"),
        ("&lt;3 &amp; more", "<3 & more"),
        ("#ThankYouAll #NHS #iPhone6s #snake_case", "#Thank You All #NHS #iPhone6s #snake case"),
        ("nooooooo!!!!!!", "nooo!!!"),
        ("  a\n\tb\u00a0c ", "a b c"),
        ("I\u2019m \u201cok\u201d\u2026", 'I\'m "ok"...'),
        ("so\U0001f602\U0001f602\U0001f602", "so tears of joy"),
        ("\u2764\ufe0f you", "love heart you"),
        ("\U0001f44d\U0001f3fd", "thumbs up"),
        ("", ""),
    ],
)
def test_text_is_normalised(raw: str, expected: str) -> None:
    assert normalise(raw) == expected


def test_lone_surrogate_becomes_encodable() -> None:
    assert normalise("a\ud800b") == "a?b"


def test_megabytes_cost_no_more_than_a_long_post() -> None:
    # Bounded by what is left after the cut, whatever an emoji's name adds.
    assert len(normalise("x y " * 2_000_000)) <= MAX_CHARACTERS


@given(st.text(max_size=300))
def test_any_text_gives_utf8_without_stray_white_space(text: str) -> None:
    result = normalise(text)
    result.encode("utf-8")
    assert result == " ".join(result.split())


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=100))
def test_normalised_user_names_and_links_stay(text: str) -> None:
    result = normalise(f"@user http {text}")
    assert result.startswith("@user http") or text[:1] not in (" ", "")
