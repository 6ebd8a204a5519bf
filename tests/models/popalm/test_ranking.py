"""Replies are ranked by what they will have; copies stand together, the deleted are gone."""

import random

import numpy as np
import pytest

from models.popalm.expected_likes import ExpectedLikes
from models.popalm.ranking import EventReplies, Signature

HOUR_S = 3_600.0


def by_letters(text: str) -> Signature | None:
    """Return which of 24 hashes of pairs of letters is least: a small MinHash for tests."""
    letters = "".join(filter(str.isalpha, text.lower()))
    if len(letters) < 20:
        return None
    runs = {letters[row : row + 3] for row in range(len(letters) - 2)}
    least = [min(hash_of(run, factor) for run in runs) for factor in range(24)]
    return np.array(least, np.uint32)


def hash_of(run: str, factor: int) -> int:
    return (
        (int.from_bytes(run.encode(), "little") + 977)
        * (2 * factor + 2_654_435_761)
        % 4_294_967_291
    )


def event(*replies: tuple[str, str, float, int], capacity: int = 256) -> EventReplies:
    found = EventReplies(ExpectedLikes(), by_letters, capacity)
    for reply_id, text, at_s, likes in replies:
        found.add(reply_id, text, at_s, likes)
    return found


def ids(replies: EventReplies, number: int = 10, now_s: float = HOUR_S) -> list[str]:
    return [one.reply_id for one in replies.top(number, now_s)]


def test_a_young_reply_overtakes_an_old_one_that_has_more_likes() -> None:
    replies = event(("old", "nobody saw this", 0, 12), ("young", "what a day", HOUR_S - 120, 9))
    assert ids(replies) == ["young", "old"]
    found = {one.reply_id: one for one in replies.top(2, HOUR_S)}
    assert found["young"].worth > found["old"].worth
    assert found["young"].likes == 9
    assert ids(replies, now_s=30 * 86_400.0) == ["old", "young"]  # nothing is to come any more


def test_likes_that_arrive_move_a_reply_up() -> None:
    replies = event(("a", "first thing", 0, 3), ("b", "second thing", 0, 2))
    assert ids(replies) == ["a", "b"]
    assert replies.observe("b", 30)
    assert ids(replies) == ["b", "a"]
    assert not replies.observe("unknown", 5)


def test_nearly_the_same_is_said_once_with_its_copies() -> None:
    text = "they closed the bridge again and nobody told the people who live there"
    replies = event(
        ("a", text, 0, 5), ("b", text.upper() + "!!", 0, 50), ("c", "ha", 0, 4), ("d", "Ha!", 0, 1),
        ("e", "a wholly other opinion about something else entirely", 0, 2),
    )  # fmt: skip
    found = replies.top(10, HOUR_S)
    assert [(one.reply_id, one.copies) for one in found] == [
        ("b", ("a",)), ("c", ("d",)), ("e", ()),
    ]  # fmt: skip


def test_two_replies_without_words_are_not_copies_of_one_another() -> None:
    assert len(event(("a", "!!!", 0, 2), ("b", "???", 0, 1)).top(5, HOUR_S)) == 2


@pytest.mark.parametrize(
    "texts",
    [
        ("one two three", "three two four", "five six seven"),
        ("今天天气好", "天气好今天吗", "别的事情"),
    ],
)
def test_what_was_said_above_falls_behind_what_is_new(texts: tuple[str, str, str]) -> None:
    first, alike, new = texts
    replies = event(("first", first, 0, 20), ("alike", alike, 0, 12), ("new", new, 0, 10))
    assert ids(replies) == ["first", "new", "alike"]
    assert ids(replies, number=2) == ["first", "new"]


def test_a_deleted_reply_is_gone_with_its_text() -> None:
    replies = event(("a", "secret", 0, 9), ("b", "other", 0, 1))
    assert replies.remove("a")
    assert not replies.remove("a")
    assert ids(replies) == ["b"]
    assert not replies.observe("a", 100)


def test_a_reply_that_comes_again_keeps_its_place_and_gets_its_new_text() -> None:
    replies = event(("a", "before", 0, 1), ("b", "other", 0, 1))
    replies.add("a", "after the edit", 500, 1)
    assert replies.arrived == 2
    assert ids(replies) == ["a", "b"]
    assert replies.top(1, HOUR_S)[0].text == "after the edit"


def test_what_is_dropped_is_the_least_and_is_counted() -> None:
    replies = event(capacity=8)
    for number in range(100):
        replies.add(f"r{number}", f"word{number}", 0, number % 10)
    assert len(replies) <= 10
    assert replies.dropped == 100 - len(replies)
    assert replies.top(1, HOUR_S)[0].likes == 9
    assert {one.likes for one in replies.top(3, HOUR_S)} == {9}
    with pytest.raises(ValueError, match="capacity 0"):
        event(capacity=0)


def test_the_same_calls_give_the_same_ranking_and_no_reply_twice() -> None:
    def ranked() -> list[str]:
        rng = random.Random(5)
        replies = event()
        for number in range(200):
            replies.add(f"r{number}", f"w{rng.randrange(40)} v{number}", number, rng.randrange(4))
        return ids(replies, 50)

    assert ranked() == ranked()
    assert len(set(ranked())) == 50


def test_an_event_without_replies_has_no_leader() -> None:
    assert event().top(5, HOUR_S) == []


def test_the_order_in_which_replies_arrive_makes_no_difference() -> None:
    said = [(f"r{n}", f"thing number {n}", n % 40 * 60.0, n * 7 % 31) for n in range(100)]
    shuffled = random.Random(3).sample(said, len(said))
    assert event(*said).top(20, HOUR_S) == event(*shuffled).top(20, HOUR_S)
