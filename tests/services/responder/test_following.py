"""Replies find their event whenever they came, and nothing of what is deleted is shown."""

import random

import pytest

from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.response_schemas import ShownReply
from services.responder.followed import Beside
from services.responder.following import FollowedEvents
from services.responder.intake import TextEdited
from services.responder.learning import LikeCurves
from tests.services.responder.said import (
    NOON_S,
    SETTINGS,
    fires,
    gone,
    likes,
    text,
    world,
)  # fmt: skip


def ids(events: FollowedEvents, post: str = "p") -> list[str]:
    response, _ = events.events[f"s|{post}"].response(10, NOON_S + 100)
    return [one.reply_id for one in response.replies if one.kind == "real"]


def test_replies_from_before_and_after_the_event_are_ranked_together() -> None:
    events = world()
    for said in (
        text("p"), text("a", 1, root="p"), likes("a", 3, 5), fires("p", 10),
        text("b", 11, root="p"), likes("b", 50, 20), text("c", 12, root="elsewhere"),
    ):  # fmt: skip
        events.take(said)
    assert ids(events) == ["b", "a"]
    response, texts = events.events["s|p"].response(10, NOON_S + 100)
    assert (response.state, response.seen) == ("current", 2)
    assert [one.likes for one in response.replies] == [50, 3]
    assert set(texts) == {"s|p", "s|a", "s|b"}


def test_whatever_the_order_of_topics_the_answer_is_the_same() -> None:
    posts = [text(f"r{n}", n, root="p") for n in range(60)]
    counts = [likes(f"r{n}", n * 7 % 23, 60 + n) for n in range(60)]
    first, second = world(), world()
    for said in (text("p"), *posts[:30], fires("p", 30), *posts[30:], *counts):
        first.take(said)
    for said in (fires("p", 30), *random.Random(1).sample(posts, 60), text("p"), *counts):
        second.take(said)
    told = [one.events["s|p"].response(10, NOON_S + 200) for one in (first, second)]
    assert told[0] == told[1]
    assert len(told[0][0].replies) == 10


def test_replies_of_before_the_memory_and_of_after_the_end_are_left_out() -> None:
    events = world()
    for said in (
        text("old", -1_001, root="p"), text("p", -900), text("a", -1_000, root="p"), fires("p", 0),
        fires("p", 50, is_firing=False), text("b", 50, root="p"), text("late", 51, root="p"),
    ):  # fmt: skip
        events.take(said)
    assert sorted(ids(events)) == ["a", "b"]
    assert events.events["s|p"].response(10, NOON_S + 60)[0].state == "over"


def test_replies_and_edits_that_come_too_late_are_counted() -> None:
    metrics = Metrics()
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)

    def late(what: str) -> float | None:
        labels = {"what": what, "reason": "late"}
        return metrics.registry.get_sample_value("groundswell_response_left_out_total", labels)

    for said in (text("p"), fires("p", 0), text("a", 1, root="p"), TextEdited("s|a", "new")):
        events.take(said)
    assert (late("reply"), late("edit")) == (None, None)
    events.take(text("b", 1_001, root="p"))
    assert (late("reply"), late("edit")) == (1, None)
    events.let_pass(NOON_S + 1_500)
    events.take(TextEdited("s|a", "newer"))
    events.take(TextEdited("s|nobody", "newer"))
    assert (late("reply"), late("edit")) == (1, 1)


def test_an_event_of_two_queries_is_over_when_both_are_and_goes_on_if_it_takes_off_again() -> None:
    events = world()
    for said in (text("p"), fires("p", 1, "x"), fires("p", 2, "y"), fires("p", 3, "x", False)):
        events.take(said)
    assert events.events["s|p"].ended_s is None
    events.take(fires("p", 4, "y", False))
    events.take(text("between", 5, root="p"))
    assert ids(events) == []
    events.take(fires("p", 6, "z"))
    assert ids(events) == ["between"]


def test_an_event_is_followed_so_long_and_learnt_from_once_its_last_word_is_said() -> None:
    events = world()
    for said in (text("p"), fires("p", 0), text("a", 1, root="p"), likes("a", 9, 30)):
        events.take(said)
    events.let_pass(NOON_S + SETTINGS.memory_s + 1)
    event = events.events["s|p"]
    assert event.ended_s == NOON_S + SETTINGS.memory_s
    before = event.replies.top(1, NOON_S + 60)[0].expected
    events.let_pass(NOON_S + 2 * SETTINGS.memory_s + 1)
    assert "s|p" in events.events  # nobody was told yet
    event.has_changed = False
    events.let_pass(NOON_S + 2 * SETTINGS.memory_s + 1)
    assert events.events == {}
    assert event.replies.top(1, NOON_S + 60)[0].expected != before


def test_a_deleted_reply_is_gone_whether_its_text_came_before_or_after() -> None:
    events = world()
    for said in (
        text("p"), fires("p", 0), text("a", 1, root="p"), gone("a"), gone("b"),
        text("b", 2, root="p"), text("a", 3, root="p"),
    ):  # fmt: skip
        events.take(said)
    response, texts = events.events["s|p"].response(10, NOON_S + 9)
    assert (response.replies, set(texts)) == ((), {"s|p"})
    assert events.events["s|p"].is_urgent


def test_a_deleted_event_withdraws_everything_also_when_it_is_deleted_first() -> None:
    for order in ((text("p"), fires("p", 0), gone("p")), (gone("p"), text("p"), fires("p", 0))):
        events = world()
        for said in (*order, text("a", 1, root="p")):
            events.take(said)
        response, texts = events.events["s|p"].response(10, NOON_S + 9)
        assert (response.state, response.replies, texts) == ("withdrawn", (), {})
    events = world()
    for said in (text("p"), fires("p", 0), fires("p", 9, is_firing=False, is_deleted=True)):
        events.take(said)
    assert events.events["s|p"].withdrawn


@pytest.mark.parametrize("deleted", ["quoted", "past"])
def test_what_was_quoted_goes_with_its_post_and_with_what_it_answered(deleted: str) -> None:
    events = world()
    for said in (text("p"), fires("p", 0)):
        events.take(said)
    event = events.events["s|p"]
    shown = ShownReply(kind="quoted", reply_id="quoted", event_post="past", similarity=0.5)
    event.quoted = Beside((shown,), "", {"s|quoted": "words of somebody"})
    assert event.response(10, NOON_S)[1]["s|quoted"] == "words of somebody"
    event.has_changed = event.is_urgent = False
    events.take(gone(deleted))
    response, texts = event.response(10, NOON_S)
    assert (response.replies, set(texts), event.is_urgent) == ((), {"s|p"}, True)
    assert response.no_forecast == "what was quoted is deleted"


def test_an_edited_reply_and_an_edited_event_say_what_they_say_now() -> None:
    events = world()
    for said in (
        text("p"), fires("p", 0), text("a", 1, root="p"), likes("a", 4, 9),
        TextEdited("s|a", "something else"), TextEdited("s|p", "another matter"),
    ):  # fmt: skip
        events.take(said)
    response, texts = events.events["s|p"].response(10, NOON_S + 10)
    assert texts == {"s|p": "another matter", "s|a": "something else"}
    assert response.replies[0].likes == 4


def test_no_more_events_are_followed_than_may_be_and_the_rest_is_counted() -> None:
    metrics = Metrics()
    events = FollowedEvents(ResponderSettings(max_events=2), LikeCurves(metrics), metrics)
    for number in range(5):
        events.take(fires(f"p{number}", number))
    assert len(events.events) == 2
    value = metrics.registry.get_sample_value(
        "groundswell_response_left_out_total", {"what": "event", "reason": "full"}
    )
    assert value == 3


def test_events_of_hours_that_are_read_at_once_are_no_more_than_were_followed_then() -> None:
    metrics = Metrics()
    settings = ResponderSettings(max_events=2, memory_s=100)
    events = FollowedEvents(settings, LikeCurves(metrics), metrics)
    for number in range(6):
        events.take(fires(f"p{number}", number * 60))
    assert [one.name for one in events.followed()] == ["s|p4", "s|p5"]
    assert len(events.events) == 6


def test_an_event_with_ten_thousand_replies_keeps_what_is_expected_to_be_liked() -> None:
    events = world()
    events.take(fires("p", 0))
    for number in range(10_000):
        events.take(text(f"r{number}", number / 100, root="p"))
        events.take(likes(f"r{number}", number % 997, 100))
    event = events.events["s|p"]
    assert event.replies.arrived == 10_000
    assert len(event.replies) <= 320
    assert len(event.likes) <= 4 * 256 + 1
    assert all((one.likes or 0) > 900 for one in event.response(3, NOON_S + 200)[0].replies)
