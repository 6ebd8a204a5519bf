"""What is learnt of likes is the same after a restart, and whatever the order of replies."""

import random

from core.metrics import Metrics
from services.responder.learning import SAMPLED, LikeCurves, LikesSample, ReplyLikes


def replies(seed: int, number: int = 20) -> dict[str, ReplyLikes]:
    chance = random.Random(seed)
    found = {f"r{n}": ReplyLikes(float(n)) for n in range(number)}
    for one in found.values():
        one.take(chance.randrange(30), one.at_s + 100)
    return found


def test_likes_are_the_larger_of_totals_and_single_ones_and_noted_by_age() -> None:
    likes = ReplyLikes(0.0)
    for at_s in (10, 20, 200):
        likes.take(None, at_s)
    likes.take(2, 400)
    assert (likes.now, likes.seen) == (3, {60.0: 2, 300.0: 3})
    likes.take(9, 5_000)
    assert likes.now == 9
    assert likes.seen[3_600.0] == 3


def test_a_restart_learns_from_no_event_twice_and_from_each_once() -> None:
    whole, first = LikeCurves(Metrics()), LikeCurves(Metrics())
    for number in range(4):
        whole.learn(f"e{number}", "s", 100.0 + number, replies(number), 20)
    for number in range(2):
        first.learn(f"e{number}", "s", 100.0 + number, replies(number), 20)
    second = LikeCurves(Metrics())
    second.restore(first.stored())
    for number in range(4):  # everything is read anew
        second.learn(f"e{number}", "s", 100.0 + number, replies(number), 20)
    assert second.stored() == whole.stored()


def test_what_is_damaged_is_learnt_anew_and_the_rest_is_taken_up() -> None:
    curves = LikeCurves(Metrics())
    curves.learn("e", "good", 9.0, replies(1), 20)
    stored = curves.stored() | {"likes:bad": b"[[1]]", "likes:worse": b"\xff", "learnt": b"7"}
    again = LikeCurves(Metrics())
    again.restore(stored)
    assert again.of("good").sums() == curves.of("good").sums()
    assert again.of("bad").sums() == LikeCurves(Metrics()).of("bad").sums()


def test_the_sample_is_the_same_in_whatever_order_replies_come() -> None:
    names = [f"r{number}" for number in range(1_000)]
    first, second = LikesSample(), LikesSample()
    for name in names:
        first.add(name, ReplyLikes(0.0))
    for name in random.Random(4).sample(names, len(names)):
        second.add(name, ReplyLikes(0.0))
    assert set(first.replies) == set(second.replies)
    assert len(first.replies) == SAMPLED
