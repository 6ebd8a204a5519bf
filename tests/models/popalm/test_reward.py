"""The shipped rewards load, and give the same numbers whatever stands beside a reply."""

import numpy as np
import pytest

from core.errors import ConfigError
from models.popalm.encoders import letter_vectors
from models.popalm.reward import REWARD_WEIGHTS, Reward


def test_a_reply_that_repeats_the_post_is_more_relevant_than_a_strange_one() -> None:
    reward = Reward.load(REWARD_WEIGHTS / "en-heldout")
    post, own, strange = letter_vectors(["the bridge is closed", "the bridge closed", "xyz qq"])
    found = reward.relevance(post, np.stack([own, strange]), None)
    assert found[0] > found[1]


@pytest.mark.parametrize("name", ["en", "zh", "en-heldout", "zh-heldout"])
def test_an_unknown_post_is_in_no_fold(name: str) -> None:
    assert Reward.load(REWARD_WEIGHTS / name).fold_for("nobody wrote this") is None


def test_a_folder_without_a_reward_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="reward in"):
        Reward.load(REWARD_WEIGHTS / "fax")
