"""From a number to the posts behind it: those of the window alone, to who may see them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import epoch_ms
from core.codec import encode
from core.heads import HEADS
from core.schemas import ScoredPost
from core.settings import KafkaSettings
from services.alerting import showing
from services.alerting.showing import THERE, ExampleText
from services.console import window_posts
from services.console.keys import Role
from services.console.window_posts import EACH, choose, posts_of, read_window_posts
from services.kafka_client.messages import Record
from stream.topics import POST_EVENTS, POSTS, SCORED_POSTS
from testkit.builders import NOON, make_event, make_post
from testkit.console import PANE_S, START_S, TEXT, ConsoleRig, MemoryData, console_rig, pane

ASKED = {"start": "2026-03-01T12:00:00Z"}
SHOWN = ExampleText("typical", "mastodon", "p1", THERE, TEXT, "https://social.example/1")


def scored(number: int, sentiment: float | None = 0.0, **changes: Any) -> ScoredPost:
    """Return the scoring of `make_post(number)`: its sentiment in [-1, 1], None if not rated."""
    post = make_post(number)
    at = sentiment or 0.0
    odds = {"negative": max(0.0, -at), "neutral": 1 - abs(at), "positive": max(0.0, at)}
    fields: dict[str, Any] = {
        "id": post.id, "source": post.source, "author": post.author, "event_at": post.claimed_at,
        "ingested_at": post.ingested_at, "model_version": "m", "rated": sentiment is not None,
        "scores": {"sentiment": [round(1e6 * odds[name]) for name in HEADS["sentiment"]]},
        "queries": ["all", "trains"], "stratum": "synthetic|en|none", "pane_start": NOON,
    }  # fmt: skip
    return ScoredPost(**(fields | changes))


def record(value: Any, offset: int = 0, **changes: Any) -> Record:
    raw = value if isinstance(value, bytes) else encode(value)
    fields = {"timestamp_ms": epoch_ms(NOON) + 1_000, "value": raw, "key": None}
    return Record(**({"partition": 0, "offset": offset} | fields | changes))


def test_of_a_window_only_its_own_posts_are_found_and_each_once() -> None:
    written = [
        scored(1),
        scored(1, 0.9),  # scored twice: the first was counted
        scored(2, pane_start=NOON + timedelta(seconds=PANE_S)),
        scored(3, pane_start=NOON - timedelta(seconds=PANE_S)),
        scored(4, queries=["all"]),
        scored(5, pane_start=None, edit=True),
        scored(6),
    ]
    records = [record(b"a stranger's"), *(record(one) for one in written)]
    found = posts_of(records, "trains", START_S, START_S + PANE_S)
    assert [(post.id, post.scores) for post, _ in found] == [
        (one.id, one.scores) for one in (written[0], written[6])
    ]
    assert len(posts_of(records, "all", START_S, START_S + 2 * PANE_S)) == 4


def test_posts_are_chosen_from_both_sides_and_the_middle_and_no_author_twice() -> None:
    posts = [scored(n, (n - 10) / 10, author=f"a{n}") for n in range(21)]
    chosen = choose(posts)
    by_why: dict[str, list[str]] = {}
    for why, post in chosen:
        by_why.setdefault(why, []).append(post.id)
    assert set(by_why["typical"]) == {"p9", "p10", "p11"}
    assert by_why["most negative"] == ["p0", "p1", "p2"]
    assert by_why["most positive"] == ["p20", "p19", "p18"]
    one_author = [scored(n, (n - 10) / 10, author="a") for n in range(21)]
    assert len(choose(one_author)) == 1
    assert choose([]) == []


def test_what_is_on_one_side_only_is_not_shown_as_the_other() -> None:
    posts = [scored(n, 0.2 + n / 100, author=f"a{n}") for n in range(12)]
    assert {why for why, _ in choose(posts)} == {"typical", "most positive"}


def test_of_posts_without_a_rating_the_last_are_shown() -> None:
    posts = [scored(n, None, author=f"a{n}") for n in range(9)]
    assert [(why, post.id) for why, post in choose(posts)] == [
        ("recent", f"p{n}") for n in (8, 7, 6)
    ]


class Topics:
    """The topics, in place of a broker."""

    def __init__(self) -> None:
        self.held: dict[str, list[Record]] = {SCORED_POSTS: [], POSTS: [], POST_EVENTS: []}

    def read(
        self, _: KafkaSettings, topic: str, *, last: int | None = None,
        before_ms: int | None = None, only: set[int] | None = None,
    ) -> Iterator[Record]:  # fmt: skip
        del only
        held = self.held[topic]
        if before_ms is not None:
            held = [one for one in held if one.timestamp_ms < before_ms]
        return iter(held if last is None else held[-last:])


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    made = Topics()
    for module in (window_posts, showing):
        monkeypatch.setattr(module, "read_topic", made.read)
    for number in (1, 2):
        written = {"timestamp_ms": epoch_ms(NOON) + 1_000}
        made.held[POSTS].append(record(make_post(number), number, **written))
        made.held[SCORED_POSTS].append(record(scored(number), number, **written))
    return made


def read(query: str = "trains") -> window_posts.WindowPosts:
    return read_window_posts(KafkaSettings(), query, START_S, START_S + PANE_S)


def test_texts_are_those_of_now_and_a_deleted_post_is_gone(topics: Topics) -> None:
    found = read()
    assert found.found == 2
    assert {one.text for one in found.posts} == {make_post(1).text, make_post(2).text}
    topics.held[POST_EVENTS] = [
        record(make_event("edit", 1, text="as edited")), record(make_event("delete", 2)),
    ]  # fmt: skip
    assert [(one.post_id, one.text) for one in read().posts] == [("p1", "as edited")]


def test_a_text_past_its_retention_is_nowhere(topics: Topics) -> None:
    topics.held[POSTS] = []
    assert {(one.state, one.text) for one in read().posts} == {("gone", "")}


def test_posts_that_were_scored_long_after_their_window_are_found(topics: Topics) -> None:
    for topic in (POSTS, SCORED_POSTS):
        topics.held[topic] = [
            Record(one.partition, one.offset, one.key, one.value, (), one.timestamp_ms + 86_400_000)
            for one in topics.held[topic]
        ]
    assert read().found == 2
    assert {one.state for one in read().posts} == {THERE}


def test_a_window_without_posts_says_so(topics: Topics) -> None:
    assert read("weather") == window_posts.WindowPosts()


async def test_the_posts_of_a_window_are_shown_to_analysts_and_operators(rig: ConsoleRig) -> None:
    rig.data.shown = [SHOWN]
    for role in (Role.ANALYST, Role.OPERATOR):
        answer = (await rig.ask("/queries/trains/posts", role, params=ASKED)).json()
        (post,) = answer["posts"]
        assert (post["text"], post["why"], answer["withheld"]) == (TEXT, "typical", False)
    assert set(rig.data.windows_asked) == {("trains", START_S, START_S + PANE_S)}
    asked = len(rig.data.windows_asked)
    seen = await rig.ask("/queries/trains/posts", Role.VIEWER, params=ASKED)
    assert (seen.json()["posts"], seen.json()["withheld"]) == ([], True)
    assert TEXT not in seen.text
    assert len(rig.data.windows_asked) == asked  # nothing was looked up for a viewer


async def test_viewers_see_posts_where_that_is_configured(tmp_path: Path) -> None:
    data = MemoryData(kept=[pane(START_S)], shown=[SHOWN])
    async with console_rig(tmp_path, data, viewers_see_posts=True) as rig:
        answer = await rig.ask("/queries/trains/posts", Role.VIEWER, params=ASKED)
        assert TEXT in answer.text


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "start"),
        ({"start": "2026-03-01T12:00:01Z"}, "start"),
        ({"start": "2026-03-01T12:00:00"}, "start"),
        ({"start": "1960-01-01T00:00:00Z"}, "start"),
        ({"start": "9999-12-31T23:59:00Z", "step": "1d"}, "start"),
        (ASKED | {"step": "90s"}, "step"),
    ],
)
async def test_a_wrong_window_is_named(rig: ConsoleRig, asked: dict[str, str], field: str) -> None:
    answer = await rig.ask("/queries/trains/posts", Role.ANALYST, params=asked)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_a_query_that_is_not_watched_has_no_posts(rig: ConsoleRig) -> None:
    answer = await rig.ask("/queries/tranis/posts", Role.ANALYST, params=ASKED)
    assert answer.status_code == 404


async def test_from_a_number_of_the_page_one_click_leads_to_its_posts(rig: ConsoleRig) -> None:
    evil = "<script>alert(1)</script>"
    rig.data.shown = [SHOWN, ExampleText("recent", "x", "p2", THERE, evil, "javascript:alert(1)")]
    await rig.sign_in(Role.ANALYST)
    link = f"/queries/trains/posts?start={START_S}&length={PANE_S}"
    assert link.replace("&", "&amp;") in (await rig.client.get("/queries/trains")).text
    text = (await rig.client.get(link)).text
    assert TEXT in text
    assert "&lt;script&gt;" in text
    assert "javascript:" not in text
    await rig.sign_in(Role.VIEWER)
    seen = (await rig.client.get(link)).text
    assert TEXT not in seen
    assert "shown to analysts" in seen
    rig.data.away_now = ("broker",)
    await rig.sign_in(Role.ANALYST)
    assert (await rig.client.get(link)).status_code == 503
    for wrong in (f"start={START_S + 1}&length=60", "start=0", f"start={START_S}&length=61"):
        assert (await rig.client.get(f"/queries/trains/posts?{wrong}")).status_code == 422


def test_no_more_is_shown_than_a_few_of_each_reason() -> None:
    posts = [scored(n, (n % 21 - 10) / 10, author=f"a{n}") for n in range(500)]
    assert len(choose(posts)) == 3 * EACH
