"""A reply is read among the others to its post, never among itself or what it is held against."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.responses.real_replies import (
    HEADS,
    event_heads,
    known_replies,
    pairs_ahead,
    remembering,
)
from evaluation.responses.rewarding import pair_measures
from models.popalm.encoders import word_vectors
from models.popalm.pairs import LikedReply, Pair
from models.popalm.reward import REWARD_WEIGHTS, Reward
from models.popalm.training.reward_data import LikedEvent

POST = "The ferry does not run today"
SAME = ("take the tunnel then", "the tunnel is quicker anyway", "why not take the tunnel")
STRANGE = "my cat likes fish"
PAIR = Pair(POST, "so take the tunnel", STRANGE, 1.5)


@pytest.fixture(scope="module")
def reward() -> Reward:
    return Reward.load(REWARD_WEIGHTS / "en-heldout")


def ahead(reward: Reward, *known: str, pair: Pair = PAIR) -> dict[str, float]:
    rows = [{"post": POST, "replies": known}]
    found = pairs_ahead(reward, word_vectors, [pair], known_replies(rows, [pair]))
    return {name: float(values[0]) for name, values in found.items()}


def test_an_encoder_that_remembers_reads_each_text_once() -> None:
    asked: list[str] = []

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(texts)
        return np.array([[len(text)] for text in texts], np.float32).reshape(len(texts), 1)

    remembers = remembering(encode)
    assert remembers(["a", "bb", "a"]).tolist() == [[1], [2], [1]]
    assert remembers(["ccc", "bb"]).tolist() == [[3], [2]]
    assert remembers([]).shape == (0, 1)
    assert asked == ["a", "bb", "ccc"]


def test_what_others_say_as_well_is_ahead_among_them_and_liking_does_not_know(
    reward: Reward,
) -> None:
    among, alone = ahead(reward, *SAME), ahead(reward)
    assert among["among"] > alone["among"] + 0.2
    assert among["reward"] > alone["reward"]
    assert among["liking"] == alone["liking"]
    assert among["reward"] == pytest.approx((among["liking"] + among["among"]) / 2**0.5)


def test_a_pair_told_the_other_way_round_is_lost_as_far(reward: Reward) -> None:
    turned = Pair(POST, STRANGE, PAIR.preferred, 1.5)
    one, other = ahead(reward, *SAME), ahead(reward, *SAME, pair=turned)
    assert other == pytest.approx({name: -value for name, value in one.items()})


@pytest.mark.parametrize("spelt", [PAIR.preferred, " SO take  the tunnel", STRANGE])
def test_neither_of_a_pair_is_among_its_others(reward: Reward, spelt: str) -> None:
    assert ahead(reward, *SAME, spelt) == ahead(reward, *SAME)


def test_replies_of_an_event_are_read_among_all_but_themselves(reward: Reward) -> None:
    texts = [*SAME, STRANGE]
    event = LikedEvent("made-up", POST, tuple(LikedReply(text, 1) for text in texts))
    found = event_heads(reward, word_vectors, event)
    assert set(found) == {*HEADS}
    for row, text in enumerate(texts):
        others = word_vectors([one for one in texts if one != text])
        own: NDArray[np.float32] = word_vectors([text])
        alone = reward.relevance(word_vectors([POST])[0], own, others)
        assert found["among"][row] == pytest.approx(alone[0])
    assert found["among"].argmin() == len(SAME)


def test_the_difference_of_two_systems_is_measured_on_the_same_pairs() -> None:
    posts = [f"post {row // 2}" for row in range(40)]
    sure, half = np.ones(40), np.where(np.arange(40) % 2, 1.0, -1.0)
    found, number = pair_measures(
        posts, {"sure": sure, "half": half}, 50, {"over": ("sure", "half")}
    )
    assert number == 20
    assert found["over"].value == pytest.approx(0.5)
    assert (found["over"].low, found["over"].high) == (pytest.approx(0.5), pytest.approx(0.5))
