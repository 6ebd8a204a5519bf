"""What a point keeps of its distance to the author's median is chosen before the last fifth."""

from typing import Any

import numpy as np
import pytest

from models.engagement.layout import to_log16
from models.engagement.training.dataset import Examples, examples, time_split
from models.engagement.training.sets import EngagementSet
from models.engagement.training.shrinking import (
    SHARES,
    chosen,
    mean_skill,
    shrinkages,
    standard_error,
)
from models.engagement.training.variants import Variant

pytestmark = pytest.mark.train
POSTS = 400


def of_set(skill: float, authors: float, error: float = 0.0) -> dict[str, float]:
    wide = 1.96 * error
    return {
        "skill": skill, "low": skill - wide, "high": skill + wide,
        "authors_positive_share": authors,
    }  # fmt: skip


def test_most_skill_is_chosen_among_shares_by_which_enough_authors_gain() -> None:
    found = {
        0.8: {"congress": of_set(0.10, 0.95), "musk": of_set(0.10, 0)},
        0.9: {"congress": of_set(0.11, 0.90), "musk": of_set(0.11, 0)},
        1.0: {"congress": of_set(0.14, 0.85), "musk": of_set(0.12, 0)},
    }
    assert mean_skill(found[1.0]) == pytest.approx(0.13)
    assert chosen(found) == 0.9


def test_least_share_within_a_standard_error_of_the_best_is_chosen() -> None:
    found = {
        0.7: {"congress": of_set(0.10, 0.95, 0.01), "musk": of_set(0.10, 0, 0.01)},
        0.8: {"congress": of_set(0.118, 0.95, 0.01), "musk": of_set(0.11, 0, 0.01)},
        1.0: {"congress": of_set(0.12, 0.90, 0.008), "musk": of_set(0.12, 0, 0.006)},
    }
    assert standard_error(found[1.0]) == pytest.approx(0.005)
    assert chosen(found) == 1.0
    wider = found | {1.0: {"congress": of_set(0.12, 0.90, 0.016), "musk": of_set(0.12, 0, 0.012)}}
    assert chosen(wider) == 0.8


def test_share_that_lacks_least_is_chosen_where_none_is_enough() -> None:
    found = {
        0.8: {"congress": of_set(0.10, 0.80), "accounts": of_set(0.1, 0.72)},
        1.0: {"congress": of_set(0.14, 0.89), "accounts": of_set(0.1, 0.70)},
    }
    assert chosen(found) == 1.0


def test_without_a_promise_the_most_skill_is_chosen() -> None:
    found: dict[float, Any] = {0.5: {"musk": of_set(0.1, 0)}, 0.7: {"musk": of_set(0.2, 0)}}
    assert chosen(found) == 0.7


def noisy(hidden: bool = False) -> Examples:
    """Posts of five authors; the outcomes of the last fifth are others if they are hidden."""
    rng = np.random.default_rng(2)
    at_s = np.tile(np.arange(POSTS // 5) * 43_200.0, 5)
    counts = to_log16(rng.normal(4, 1, (POSTS, 3)))
    if hidden:
        made = noisy()
        counts[time_split(made)[1], :] = to_log16(np.full(3, 9.0))
    ids = np.arange(POSTS)
    shapes = rng.integers(0, 3, (POSTS, 8)).astype(np.float32)
    author = np.repeat(np.arange(5), POSTS // 5)
    names = tuple("abcde")
    return examples(
        EngagementSet("made", "", names, author, ids.astype(str), at_s, shapes, counts, ids)
    )


def test_last_fifth_has_no_say() -> None:
    variant = Variant(network="mlp", widths=(8,), epochs=2, batch=64)
    before, after = (
        shrinkages({"congress": found}, variant) for found in (noisy(), noisy(hidden=True))
    )
    assert tuple(before) == SHARES
    assert before == after
    assert before[0.5] != before[1.0]
    assert before[1.0]["congress"]["posts"] > 0
