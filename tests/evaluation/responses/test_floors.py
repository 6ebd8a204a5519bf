"""Floors are what their names say, the same on every run."""

from evaluation.responses.floors import (
    FLOORS,
    SEEDS,
    best_constant,
    floor_answers,
    middle,
    retrieved,
)
from evaluation.responses.published import rouge1
from evaluation.responses.threads import Thread, ThreadSet
from evaluation.responses.words import vocabulary_of
from tests.evaluation.responses.recorded import FUNCTION_WORDS, made_up

TRAIN, TEST = made_up(40, seed=1, order="train"), made_up(30, seed=2)
SET = ThreadSet("popalm", "en", TRAIN, TEST, {})
VOCABULARY = vocabulary_of(reply for thread in TRAIN for reply in thread.replies)


def test_every_floor_answers_every_post_and_what_is_drawn_is_drawn_three_times() -> None:
    found = floor_answers(SET, VOCABULARY)
    assert list(found) == list(FLOORS)
    for system, draws in found.items():
        assert len(draws) == (len(SEEDS) if system == "elsewhere" else 1)
        assert {len(drawn) for drawn in draws} == {len(TEST)}
    assert found["elsewhere"][0] != found["elsewhere"][1]
    assert floor_answers(SET, VOCABULARY) == found


def test_frequent_tokens_are_those_that_all_say() -> None:
    assert set(floor_answers(SET, VOCABULARY)["frequent"][0][0].text.split()) == set(FUNCTION_WORDS)


def test_tokens_of_chinese_are_joined_without_space() -> None:
    chinese = ThreadSet("popalm", "zh", TRAIN, TEST, {})
    assert " " not in floor_answers(chinese, VOCABULARY)["frequent"][0][0].text


def test_no_other_training_reply_is_closer_to_all_posts_than_the_constant() -> None:
    def worth(text: str) -> float:
        return sum(max(rouge1(text, reply) for reply in one.replies) for one in TRAIN)

    candidates = {reply for one in TRAIN for reply in one.replies}
    best = max(map(worth, candidates))
    assert worth(best_constant(TRAIN)) >= best - 1e-6


def test_the_most_similar_post_answers_and_a_post_without_words_gets_some_answer() -> None:
    train = [
        Thread("The bridge is closed", ("so walk",), ""),
        Thread("Rain again", ("an umbrella",), ""),
        Thread("A new bakery", ("bread",), ""),
    ]  # fmt: skip
    posts = [Thread("rain, RAIN and wind", ("x",), ""), Thread("", ("x",), "")]
    found = retrieved(train, posts)
    assert found[0] == "an umbrella"
    assert found[1] in {"so walk", "an umbrella", "bread"}


def test_the_middle_reply_is_what_the_others_are_like_and_never_the_held_out_one() -> None:
    thread = Thread("p", ("a b c d", "x y", "a b z w", "a b c q"), "")
    assert middle(thread).used in {2, 3}
    assert middle(Thread("p", ("a b", "a b", "q"), "")).used != 0
