"""The shipped rewards load, and give the same numbers whatever stands beside a reply."""

import numpy as np
import pytest

from core.errors import ConfigError
from models.popalm.encoders import word_vectors
from models.popalm.reward import REWARD_WEIGHTS, Reward


def test_a_reply_that_repeats_the_post_is_more_relevant_than_a_strange_one() -> None:
    reward = Reward.load(REWARD_WEIGHTS / "en-heldout")
    post, own, strange = word_vectors(["the bridge is closed", "the bridge closed", "xyz qq"])
    found = reward.relevance(post, np.stack([own, strange]), None)
    assert found[0] > found[1]


@pytest.mark.parametrize("name", ["en", "zh", "en-heldout", "zh-heldout"])
def test_an_unknown_post_is_in_no_fold(name: str) -> None:
    assert Reward.load(REWARD_WEIGHTS / name).fold_for("nobody wrote this") is None


def test_a_folder_without_a_reward_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="fax holds no reward"):
        Reward.load(REWARD_WEIGHTS / "fax")


def test_the_english_reward_and_its_held_out_one_have_learnt_from_no_post_in_common() -> None:
    one, other = (
        Reward.load(REWARD_WEIGHTS / name).tensors["learnt_posts"] for name in ("en", "en-heldout")
    )
    assert not {*map(int, one)} & {*map(int, other)}


def test_nobody_gains_by_a_longer_set_phrase() -> None:
    reward = Reward.load(REWARD_WEIGHTS / "en-heldout")
    phrase = "Thank you for this, it is a good point and I agree with it."
    texts = [phrase, f"{phrase} {phrase}", "My bridge was closed all March too, take the ferry."]
    vectors = word_vectors(["The bridge to the ferry is closed again.", *texts])
    found = reward.total(vectors[0], texts, vectors[1:])
    assert found[2] > max(found[0], found[1])
