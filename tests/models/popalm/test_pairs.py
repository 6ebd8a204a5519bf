"""Likes decide which reply is preferred, whatever a file says."""

from math import log

import pytest

from models.popalm.pairs import LikedReply, PairBuilder, off_topic_pairs


def test_a_pair_has_the_logarithm_of_its_ratio_as_margin() -> None:
    builder = PairBuilder()
    assert builder.add("post", LikedReply("good", 30), LikedReply("bad", 10))
    assert builder.pairs[0].margin == pytest.approx(log(3))


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (LikedReply("a", 1), LikedReply("b", 30), "inverted"),
        (LikedReply("a", 29), LikedReply("b", 10), "close"),
        (LikedReply("A ", 30), LikedReply("a", 1), "same"),
        (LikedReply(" ", 30), LikedReply("b", 1), "empty"),
        (LikedReply("a", 30, 0.0), LikedReply("b", 1, 3_601.0), "ages"),
    ],
)
def test_what_teaches_something_false_is_refused(
    one: LikedReply, other: LikedReply, reason: str
) -> None:
    builder = PairBuilder()
    assert not builder.add("post", one, other)
    assert (builder.pairs, builder.refused) == ([], {reason: 1})


def test_a_repeated_pair_is_refused_in_either_order() -> None:
    builder = PairBuilder()
    assert builder.add("post", LikedReply("a", 30), LikedReply("b", 1))
    assert not builder.add("Post", LikedReply("B", 90), LikedReply("A", 2))
    assert builder.refused == {"repeated": 1}


def test_pairs_are_put_in_the_order_of_likes() -> None:
    builder = PairBuilder()
    builder.add_all("post", [LikedReply("few", 1), LikedReply("many", 9)])
    assert (builder.pairs[0].preferred, builder.pairs[0].rejected) == ("many", "few")


def test_off_topic_pairs_are_apart_and_each_is_there_once() -> None:
    rows = [("post", "own", "foreign"), ("post", "OWN", "foreign"), ("post", "own", "own")]
    assert len(off_topic_pairs(rows)) == 1
