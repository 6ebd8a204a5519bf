"""Terms that came and went, counted by author, and posts that show it."""

from datetime import UTC, datetime

from core.heads import HEADS
from core.schemas import ScoredPost
from services.alerting.evidence import PostsAround

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def post(number: int, mood: str = "negative", author: str = "") -> ScoredPost:
    row = [1_000_000 if label == mood else 0 for label in HEADS["sentiment"]]
    return ScoredPost(
        id=str(number), source="s", author=author or f"a{number}", event_at=NOON,
        ingested_at=NOON, model_version="m", rated=True, scores={"sentiment": row},
        queries=["all"], stratum="s|en|none", pane_start=NOON,
    )  # fmt: skip


def test_what_many_say_since_then_is_told_with_posts_for_and_against_it() -> None:
    said = PostsAround()
    for number in range(60):
        said.add(post(number, "positive"), "nice flight, thanks", is_after=False)
        said.add(post(100 + number), "@usairways flight cancelled", is_after=True)
    said.add(post(999, "positive"), "nice flight with @usairways", is_after=True)
    telling, examples = said.explain(-0.8)
    came = {one.term for one in telling if one.weight > 0}
    went = {one.term for one in telling if one.weight < 0}
    assert came == {"@usairways", "cancelled"}
    assert went == {"nice", "thanks"}
    assert [one.post_id for one in examples if one.why == "against"] == ["999"]
    assert all(one.source == "s" for one in examples)


def test_one_author_who_repeats_a_word_does_not_make_it_a_term() -> None:
    said = PostsAround()
    for number in range(60):
        said.add(post(number), "the train", is_after=False)
        said.add(post(100 + number), "the train", is_after=True)
        said.add(post(200 + number, author="loud"), "buy balloons", is_after=True)
    telling, _ = said.explain(-0.5)
    assert "balloons" not in {one.term for one in telling}
