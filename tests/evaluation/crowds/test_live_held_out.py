"""A model that never saw a set says what the others taught it, and nothing of that one."""

import numpy as np
import pytest

from core.errors import ConfigError
from core.schemas import MICRO
from evaluation.crowds.before_answers import HeadedEvent
from evaluation.crowds.live_held_out import says_of_others
from models.socialalign.crowd_config import HEAD_CLASSES


def events(of: str, sign: float) -> list[HeadedEvent]:
    """Return events whose crowds follow the first head, or its contrary."""
    rng, found = np.random.default_rng(4), []
    for _event in range(90):
        heads = rng.uniform(size=HEAD_CLASSES)
        negative = heads[0] if sign > 0 else 1 - heads[0]
        shares = np.array([negative, 0.2, 1 - negative])
        found.append(HeadedEvent(of, "t", heads, 20 * shares / shares.sum()))
    return found


def test_what_is_held_out_teaches_nothing() -> None:
    others, usual = events("reddit", 1.0), np.array([0.4, 0.2, 0.4])
    says = says_of_others([*others, *events("rumoureval", -1.0)], "rumoureval")
    high = [MICRO * 95 // 100, *[MICRO // 2] * (HEAD_CLASSES - 1)]
    low = [MICRO * 5 // 100, *[MICRO // 2] * (HEAD_CLASSES - 1)]
    assert says(usual, high)[0] > says(usual, low)[0] + 0.3
    assert says(usual, high) == says_of_others(others, "rumoureval")(usual, high)


def test_without_another_set_there_is_no_such_model() -> None:
    with pytest.raises(ConfigError, match="no set but reddit"):
        says_of_others(events("reddit", 1.0), "reddit")
