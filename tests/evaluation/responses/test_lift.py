"""Lift cannot be had by what is said to every post; overlap can."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.encoder.bootstrap import bootstrap
from evaluation.responses.floors import Answer
from evaluation.responses.judging import columns_of
from evaluation.responses.lift import (
    LIFTS,
    Similarities,
    distinct,
    is_copied,
    lifts,
    others,
    references,
)
from evaluation.responses.threads import Thread
from evaluation.responses.words import vocabulary_of
from tests.evaluation.responses.recorded import FUNCTION_WORDS, THINGS, made_up

THREADS = made_up(150)
VOCABULARY = vocabulary_of((r for one in THREADS for r in one.replies), len(FUNCTION_WORDS))
RETOLD = [Answer(f"{one.post.split()[8]} {one.post.split()[9]}") for one in THREADS]


def by_things(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return which things a text names, as vectors of length one: an encoder for these posts."""
    seen = np.array([[thing in text for thing in THINGS] for text in texts], np.float32) + 1e-9
    return seen / np.linalg.norm(seen, axis=1, keepdims=True)


def similarities(answers: Sequence[Answer]) -> Similarities:
    texts = [r for one in THREADS for r in one.replies] + [one.text for one in answers]
    return Similarities(VOCABULARY, dict(zip(texts, by_things(texts), strict=True)))


def test_six_function_words_beat_overlap_and_have_no_lift() -> None:
    words = [Answer(" ".join(FUNCTION_WORDS))] * len(THREADS)
    floor = columns_of(THREADS, words, similarities(words))
    knowing = columns_of(THREADS, RETOLD, similarities(RETOLD))
    assert floor["rouge1"].mean() > 2 * knowing["rouge1"].mean()
    for lift in LIFTS:
        assert floor[lift].mean() == pytest.approx(0, abs=1e-6)
        assert knowing[lift].mean() > 0.05


def test_answers_to_other_posts_have_a_lift_whose_interval_holds_zero() -> None:
    moved = [RETOLD[other] for other in others(len(THREADS), seed=99)]
    found = lifts(THREADS, moved, similarities(moved))
    for name in LIFTS:
        values = found[name]
        mean = bootstrap(lambda rows, v=values: {"mean": v[rows].mean()}, len(values))["mean"]
        assert mean.low < 0 < mean.high
        assert mean.high - mean.low < 0.1


def test_people_have_lift_where_a_post_s_replies_are_all_alike() -> None:
    alike = [Thread(f"p{n}", (f"{thing} is that",) * 4, "test") for n, thing in enumerate(THINGS)]
    human = [Answer(one.replies[0], 0) for one in alike]
    bare = [one.replies[0] for one in alike]
    told = [
        Thread(one.post, (*bare[n : n + 1], *one.replies[1:]), "") for n, one in enumerate(alike)
    ]
    by_word = Similarities(vocabulary_of(["is that"], 2), None)
    found = lifts(told, [Answer(one.text) for one in human], by_word)
    assert found["content_lift"].mean() == pytest.approx(1)
    assert set(found) == {"lift", "content_lift"}


def test_a_reply_is_not_judged_by_itself_nor_by_what_says_the_same() -> None:
    thread = Thread("p", ("best", "Second", "third", "second ", "BEST"), "test")
    assert references(thread, None) == ["Second", "third", "second ", "BEST"]
    assert references(thread, 0) == ["Second", "third", "second "]
    assert references(thread, 1) == ["third"]


def test_where_no_reply_is_left_there_is_no_figure() -> None:
    threads = [Thread("p", ("so", "so", "so"), ""), Thread("q", ("a", "b", "c"), "")]
    found = lifts(threads, [Answer("so", 0), Answer("a", 0)], Similarities(VOCABULARY, None))
    assert np.isnan(found["lift"]).all()  # neither has another post to be compared with


def test_of_two_posts_as_many_replies_are_compared() -> None:
    few = Thread("p", ("held", "of that", "of this"), "")
    many = Thread("q", ("held", *(f"and {thing}" for thing in THINGS)), "")
    answers = [Answer(THINGS[5]), Answer(THINGS[5])]
    found = lifts([few, many], answers, Similarities(VOCABULARY, None))
    # Its sixth reply would be the same, but the other post has two.
    assert found["content_lift"].tolist() == [0, 0]


@pytest.mark.parametrize("posts", [2, 3, 50])
def test_every_post_has_another_and_every_post_is_one(posts: int) -> None:
    found = others(posts, seed=5)
    assert sorted(found) == list(range(posts))
    assert all(post != other for post, other in enumerate(found))
    assert others(posts, seed=5) == found


def test_one_post_has_no_other() -> None:
    with pytest.raises(ValueError, match="1 posts"):
        others(1, seed=5)


def test_copies_of_the_post_are_found_and_replies_that_name_it_are_not() -> None:
    copies = [Answer(one.post[: len(one.post) // 2]) for one in THREADS]
    assert columns_of(THREADS, copies, similarities(copies))["copy"].mean() == 1
    assert columns_of(THREADS, RETOLD, similarities(RETOLD))["copy"].mean() == 0
    post = "A bridge is closed in the old town https://t.co/abcdef"
    assert is_copied("“a bridge is closed in the old town”, they say", post.lower())
    assert not is_copied("which bridge is closed?", post)
    assert not is_copied("look https://t.co/abcdef", post)
    assert is_copied("老城的大桥今天关闭了", "通知：老城的大桥今天关闭了，请绕行")


def test_distinct_counts_answers_words_and_pairs() -> None:
    found = distinct([Answer("a b"), Answer("A  b"), Answer("a c")])
    assert found == {"distinct": 2 / 3, "distinct1": 4 / 6, "distinct2": 1}
