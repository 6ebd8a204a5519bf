"""Likeness learns people's replies before drawn ones, and length teaches it nothing."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import ConfigError
from models.popalm.encoders import word_vectors
from models.popalm.pairs import Pair
from models.popalm.reward import FOLDS, REWARD_WEIGHTS, Reward, post_key
from models.popalm.training.reward_data import Thread, read_drawn
from models.popalm.training.reward_likeness import by_length, likely_pairs, rarity, sayable
from models.popalm.training.reward_run import Training, own_threads, training_of, with_threads

_NO_POSTS = np.zeros(0, np.uint64)
_NOUNS = [f"{one}{two}" for one in ["bridge", "ferry", "tram"] for two in "abcdefg"]


def _threads() -> list[Thread]:
    rng = random.Random(0)
    return [
        (f"the {noun} is shut {rng.random():.3f}", [f"my {noun} again", f"that {noun} was mended."])
        for noun in _NOUNS
    ]


def _drawn(threads: Sequence[Thread]) -> dict[str, list[str]]:
    return {post: ["Thank you for it!", f"The {post.split()[1]} is great!"] for post, _ in threads}


def _trained() -> tuple[Reward, Sequence[Thread]]:
    threads = _threads()
    pairs = [Pair(post, own[0], own[1], 1.0) for post, own in threads]
    training = Training("en", "words", pairs, threads, (), _drawn(threads))
    # Liking is learnt for a minute, and elsewhere: here it is the shipped one.
    liking = Reward.load(REWARD_WEIGHTS / "en-heldout").tensors | {"learnt_posts": _NO_POSTS}
    return with_threads(training, word_vectors, "tiny", liking), threads


@pytest.fixture(scope="module")
def learnt() -> tuple[Reward, Sequence[Thread]]:
    return _trained()


def _likeness(reward: Reward, post: str, texts: Sequence[str]) -> NDArray[np.float32]:
    vectors = word_vectors([post, *texts])
    return reward.likeness(vectors[0], texts, vectors[1:], reward.fold_for(post))


def test_reply_of_a_person_is_likelier_than_one_that_was_drawn(
    learnt: tuple[Reward, Sequence[Thread]],
) -> None:
    reward, threads = learnt
    drawn = _drawn(threads)
    ahead = [_likeness(reward, post, [own[0], drawn[post][0]]) for post, own in threads]
    assert np.mean([one[0] > one[1] for one in ahead]) > 0.9


def test_reply_to_the_post_is_likelier_than_one_to_another_post(
    learnt: tuple[Reward, Sequence[Thread]],
) -> None:
    reward, threads = learnt
    ahead = [
        _likeness(reward, post, [own[0], threads[row - 1][1][0]])
        for row, (post, own) in enumerate(threads)
    ]
    assert np.mean([one[0] > one[1] for one in ahead]) > 0.9


def test_every_post_that_was_learnt_from_has_a_fold(
    learnt: tuple[Reward, Sequence[Thread]],
) -> None:
    reward, threads = learnt
    assert all(reward.fold_for(post) is not None for post, _own in threads)
    assert reward.tensors["relevance"].shape == (FOLDS + 1, 3)


def test_both_texts_of_a_pair_are_about_as_long() -> None:
    threads = [*_threads(), ("the mill", ["no", "it is " + "very " * 40 + "late"])]
    drawn = {"the mill": ["a reply of about thirty signs."]}
    pairs = likely_pairs(threads, drawn, ["so it is said", "no way"])
    assert not pairs["drawn"]
    for kind in pairs.values():
        assert all(1 / 1.6 <= len(one) / len(other) <= 1.6 for _post, one, other in kind)


def test_no_reply_of_the_post_itself_is_held_against_it() -> None:
    threads = _threads()
    own = dict(threads)
    pairs = likely_pairs(threads, {}, [threads[0][1][0]])
    assert pairs["foreign"]
    assert pairs["constant"]
    assert all(other not in own[post] for kind in pairs.values() for post, _one, other in kind)


def test_what_grows_with_length_alone_is_taken_out() -> None:
    texts = ["a" * size for size in range(5, 200, 5)]
    sizes = np.array([len(text) for text in texts], np.float64)
    *_usual, deviation = by_length(np.log1p(sizes), texts)
    assert deviation == pytest.approx(0, abs=1e-5)


def test_rare_words_weigh_more_than_frequent_ones() -> None:
    vectors = word_vectors(["the bridge", "the ferry", "the tram"])
    weights = rarity(vectors)
    common = int(np.argmax((vectors != 0).sum(axis=0)))
    assert weights[common] == weights.min()
    assert sayable(["x the", "the", "y"], word_vectors(["x the", "the", "y"]))[0] in (
        "the",
        "x the",
    )


def test_a_reward_and_its_held_out_one_learn_from_different_threads() -> None:
    threads = [(f"post {number}", ["a"]) for number in range(200)]
    one, other = own_threads(threads, False), own_threads(threads, True)
    assert len(one) + len(other) == len(threads)
    assert not {post_key(post) for post, _ in one} & {post_key(post) for post, _ in other}


def test_english_rewards_want_what_decoders_drew(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--drawn"):
        training_of("en", tmp_path)
    with pytest.raises(ConfigError, match="no file SYSTEM"):
        read_drawn(tmp_path)
