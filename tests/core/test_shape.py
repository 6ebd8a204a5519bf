"""The shape of a text is the same eight numbers wherever it is taken."""

import pytest

from core.post_schemas import Attached
from core.shape import MAX_COUNT, SHAPE, shape_of


def named(text: str, **further: object) -> dict[str, int]:
    return dict(zip(SHAPE, shape_of(text, **further), strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reply_to", "is_reply"),
    [
        ("@ann yes", None, 1),  # an archive of Twitter keeps no name of the post answered
        ("  @ann yes", None, 1),
        ("yes", "at://p/1", 1),
        ("ask @ann", None, 0),
        ("", None, 0),
    ],
)
def test_reply_is_one_feature_for_all_platforms(
    text: str, reply_to: str | None, is_reply: int
) -> None:
    assert named(text, reply_to=reply_to)["reply"] == is_reply


def test_what_stands_beside_the_text_counts_as_what_stands_in_it() -> None:
    attached = Attached(tags=("a", "b"), links=("https://x.example",), alts=("a cat",))
    beside, within = named("", attached=attached), named("#a #b https://x.example")
    for name in ("links", "hashtags"):
        assert beside[name] == within[name]
    assert beside["media"] == named("pic.twitter.com/abc123")["media"] == 1


def test_address_and_fragment_are_no_mention_and_no_hashtag() -> None:
    shape = named("mail a@b.example https://x.example/@ann#top &#39; c#")
    assert (shape["mentions"], shape["hashtags"], shape["links"]) == (0, 0, 1)


def test_counts_stay_within_two_bytes() -> None:
    assert named("!" * 70_000)["exclamations"] == MAX_COUNT
