"""Features are of what was known when the post was seen, and of nothing later."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.heads import HEADS
from models.engagement.features import (
    FEATURES,
    SEQUENCE,
    AsOf,
    PostColumns,
    columns,
    features_of,
    median_of,
)
from models.engagement.history import DAY_S, as_of
from models.engagement.layout import (
    FLOORS,
    HISTORY,
    OUTCOMES,
    PENDING,
    UNKNOWN,
    from_log16,
    log_counts,
    records,
    to_log16,
)

POSTS = 200


def world(seed: int = 0) -> tuple[PostColumns, NDArray[np.uint16]]:
    rng = np.random.default_rng(seed)
    at_s = np.cumsum(rng.exponential(4 * 3600, POSTS)) + 1_600_000_000
    heads = rng.uniform(0, 1, (POSTS, sum(map(len, HEADS.values())))).astype(np.float32)
    shape = rng.integers(0, 3, (POSTS, 8)).astype(np.float32)
    posts = PostColumns(at_s, shape, heads, rng.uniform(size=POSTS) < 0.9)
    counts = to_log16(rng.normal(4, 1, (POSTS, 3)))
    counts[rng.uniform(size=counts.shape) < 0.1] = UNKNOWN
    counts[rng.uniform(size=POSTS) < 0.1] = UNKNOWN
    return posts, counts


def seen(posts: PostColumns, counts: NDArray[np.uint16]) -> AsOf:
    histories = as_of(posts.at_s.tolist(), posts.kinds().tolist(), counts)
    return features_of(histories, posts, np.full((POSTS, 3), 2, np.float32))


def test_a_pending_post_takes_52_bytes_and_an_author_304() -> None:
    assert (PENDING.itemsize, HISTORY.itemsize) == (52, 304)


def test_shuffling_everything_after_a_moment_changes_nothing_before() -> None:
    posts, counts = world()
    before = seen(posts, counts)
    moment = 120
    known_by_then = int(np.searchsorted(posts.at_s, posts.at_s[moment] - DAY_S, "right"))
    rng = np.random.default_rng(1)
    shuffled = counts.copy()
    shuffled[known_by_then:] = rng.permutation(shuffled[known_by_then:])
    order = np.r_[: moment + 1, moment + 1 + rng.permutation(POSTS - moment - 1)]
    later = PostColumns(posts.at_s, posts.shape[order], posts.heads[order], posts.rated[order])
    after = seen(later, shuffled)
    for name in ("features", "sequence", "floors"):
        one, other = getattr(before, name)[: moment + 1], getattr(after, name)[: moment + 1]
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(before.floors[moment + 30 :], after.floors[moment + 30 :])


def test_floor_is_the_median_of_the_last_32_outcomes_known_by_then() -> None:
    posts, counts = world(2)
    found = seen(posts, counts)
    likes = from_log16(counts[:, 0])
    is_outcome = (counts != UNKNOWN).any(axis=1)  # of the others nothing came to be known
    for row in range(POSTS):
        outcomes = likes[is_outcome & (posts.at_s + DAY_S <= posts.at_s[row])][-OUTCOMES:]
        known = outcomes[~np.isnan(outcomes)]
        assert found.known[row, 0] == bool(known.size)
        expected = np.median(known) if known.size else 2.0
        assert found.floors[row, 0, FLOORS.index("med32")] == pytest.approx(expected, abs=1e-6)
        assert found.features[row, FEATURES.index("likes_base")] == pytest.approx(expected)


def test_post_is_the_same_in_any_batch() -> None:
    posts, counts = world(3)
    whole = seen(posts, counts)
    histories = as_of(posts.at_s.tolist(), posts.kinds().tolist(), counts)
    for row in range(0, POSTS, 17):
        one = slice(row, row + 1)
        alone = features_of(
            histories[one],
            PostColumns(posts.at_s[one], posts.shape[one], posts.heads[one], posts.rated[one]),
            np.full((1, 3), 2, np.float32),
        )
        np.testing.assert_array_equal(alone.features[0], whole.features[row])
        np.testing.assert_array_equal(alone.sequence[0], whole.sequence[row])


def test_arrays_have_a_column_for_each_name() -> None:
    found = seen(*world())
    assert found.features.shape == (POSTS, len(FEATURES))
    assert found.sequence.shape == (POSTS, OUTCOMES, len(SEQUENCE))
    assert found.floors.shape == (POSTS, 3, len(FLOORS))
    assert not np.isnan(found.floors).any()


def test_records_of_yesterday_without_a_shape_or_a_head_are_unknown_and_not_zero() -> None:
    scores: dict[str, Any] = {"sentiment": [100_000, 200_000, 700_000]}
    posts = columns([0.0, 1.0], [(), (5, 0, 0, 0, 0, 0, 0, 1)], [{}, scores], [False, True], 1e6)
    assert np.isnan(posts.shape[0]).all()
    assert np.isnan(posts.heads[0]).all()
    np.testing.assert_allclose(posts.heads[1, :3], [0.1, 0.2, 0.7], rtol=1e-6)
    assert posts.kinds()[1] != posts.kinds()[0]


@pytest.mark.parametrize("count", [0, 1, 7, 1_000, 3_000_000, 2_900_000_000])
def test_kept_log_gives_the_count_back_to_one_in_a_thousand(count: int) -> None:
    kept = from_log16(to_log16(log_counts([count, None])))
    assert np.expm1(kept[0]) == pytest.approx(count, rel=1e-3, abs=1e-3)
    assert np.isnan(kept[1])


def test_record_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="304"):
        records([b"\0" * 303], HISTORY)


def test_median_is_numpys() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(50, 9)).astype(np.float32)
    values[rng.uniform(size=values.shape) < 0.4] = np.nan
    values[:, 0] = 1
    np.testing.assert_allclose(median_of(values), np.nanmedian(values, axis=1), atol=1e-6)
