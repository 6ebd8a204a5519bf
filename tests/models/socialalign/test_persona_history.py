"""What of an author's history has to do with an event, and a persona in words."""

from core.heads import HEADS
from models.socialalign.persona_history import PERSONAL_HEADS, Occasion, RememberedPost, relevant
from models.socialalign.persona_text import describe


def topics(label: str) -> dict[str, tuple[float, ...]]:
    return {"topics": tuple(float(one == label) for one in HEADS["topics"])}


def post(text: str, label: str = "music", number: int = 0) -> RememberedPost:
    return RememberedPost(float(number), f"p{number}", f"t{number}", text, topics(label))


def test_rare_words_of_the_event_come_before_frequent_ones() -> None:
    posts = [post("the rain", number=1), post("the strike", number=2), post("the sun", number=3)]
    event = Occasion(9.0, "e", "the strike again", {})
    assert relevant(posts, event, 1) == [posts[1]]


def test_the_same_topic_in_other_words_counts_and_so_does_another_script() -> None:
    posts = [post("great concert", "music", 1), post("oh dear", "sports", 2)]
    assert relevant(posts, Occasion(9.0, "e", "new album", topics("music")), 5) == posts[:1]
    chinese = [post("今天下雨了", "music", 1), post("足球比赛", "music", 2)]
    assert relevant(chinese, Occasion(9.0, "e", "又下雨", {}), 5) == chinese[:1]


def test_posts_without_text_or_anything_in_common_are_left_out() -> None:
    event = Occasion(9.0, "e", "rain", {})
    assert relevant([post(""), post("sun")], event, 5) == []
    assert relevant([], event, 5) == []


def test_what_is_a_matter_of_groups_is_no_personal_head() -> None:
    assert PERSONAL_HEADS == ("sentiment", "emotion", "topics")


def test_a_persona_in_words_says_topics_tone_and_length_and_quotes_nobody() -> None:
    means = {
        "topics": tuple(0.6 * (one == "film_tv_&_video") for one in HEADS["topics"]),
        "sentiment": (0.6, 0.3, 0.1), "emotion": (0.4, 0.3, 0.2, 0.1),
    }  # fmt: skip
    said = describe(means, [post("zebra crossing")])
    assert said == (
        "Often writes about film tv and video. The tone is mostly negative. Posts are short."
    )
    assert describe({}, []) == ""
