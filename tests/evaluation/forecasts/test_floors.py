"""Floors know an outcome one horizon after its post, and take the last ones that are known."""

import numpy as np
import pytest

from evaluation.forecasts.floors import (
    FLOOR,
    floors_of,
    past_quantiles,
    share_of_some,
)
from models.engagement.history import DAY_S, as_of
from models.engagement.layout import from_log16, to_log16

POSTS = 400


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three authors, in no order, a few posts of one second, some outcomes never known."""
    rng = np.random.default_rng(seed)
    authors = rng.integers(0, 3, POSTS)
    at_s = np.floor(rng.uniform(0, 90 * DAY_S, POSTS) / 600) * 600 + 1_600_000_000
    logs = from_log16(to_log16(rng.normal(4, 1, POSTS))).astype(np.float64)
    logs[rng.uniform(size=POSTS) < 0.1] = np.nan
    return authors, at_s, logs


def test_every_floor_is_what_a_look_at_each_post_alone_says() -> None:
    authors, at_s, logs = world()
    found = floors_of(authors, at_s, logs, DAY_S)
    order = np.lexsort((np.arange(POSTS), at_s))
    for row in range(POSTS):
        known = [
            other for other in order
            if authors[other] == authors[row] and at_s[other] + DAY_S <= at_s[row]
            and not np.isnan(logs[other])
        ]  # fmt: skip
        values = [logs[other] for other in known]
        if not values:
            assert all(np.isnan(of[row]) for of in found.values())
            continue
        mean = values[0]
        for value in values[1:]:
            mean += 0.1 * (value - mean)
        month = [logs[other] for other in known if at_s[other] >= at_s[row] - 30 * DAY_S]
        floor = np.median(values[-32:])
        expected = {
            FLOOR: floor,
            "days30": np.median(month) if month else floor,
            "last": values[-1],
            "ewma": mean,
            "expanding": np.median(values),
        }
        assert {name: of[row] for name, of in found.items()} == pytest.approx(expected, abs=1e-12)


def test_floor_is_that_of_the_records_of_the_stream() -> None:
    _, at_s, logs = world(1)
    logs = np.where(np.isnan(logs), 2.0, logs)
    at_s = np.sort(at_s)
    authors = np.zeros(POSTS, np.int64)
    counts = np.column_stack([to_log16(logs)] * 3)
    histories = as_of(at_s.tolist(), [0] * POSTS, counts)
    kept = from_log16(histories["counts"][:, :, 0]).astype(np.float64)
    kept[np.arange(32) < 32 - histories["known"][:, None].astype(int)] = np.nan
    expected = [np.nanmedian(row) if not np.isnan(row).all() else np.nan for row in kept]
    np.testing.assert_allclose(
        floors_of(authors, at_s, logs, DAY_S)[FLOOR], expected, rtol=0, atol=1e-12
    )


def test_nothing_that_comes_later_changes_a_floor() -> None:
    authors, at_s, logs = world(2)
    moment = np.sort(at_s)[POSTS // 2]
    later = at_s + DAY_S > moment
    shuffled = logs.copy()
    shuffled[later] = np.random.default_rng(3).permutation(logs[later])
    before, after = (floors_of(authors, at_s, of, DAY_S) for of in (logs, shuffled))
    for name in before:
        np.testing.assert_array_equal(before[name][at_s <= moment], after[name][at_s <= moment])
    assert not np.array_equal(before[FLOOR], after[FLOOR], equal_nan=True)


def test_quantiles_of_the_past_are_those_of_numpy_over_the_last_32() -> None:
    _, at_s, logs = world(4)
    at_s = np.sort(at_s)
    found = past_quantiles(np.zeros(POSTS, np.int64), at_s, logs, DAY_S, (0.1, 0.5, 0.9))
    row = POSTS - 1
    known = np.flatnonzero((at_s + DAY_S <= at_s[row]) & ~np.isnan(logs))[-32:]
    np.testing.assert_allclose(found[row], np.quantile(logs[known], (0.1, 0.5, 0.9)))
    assert np.isnan(found[0]).all()


def test_author_with_one_post_without_likes_is_not_taken_to_be_certain() -> None:
    at_s = np.arange(4) * 2 * DAY_S
    found = share_of_some(np.array([0, 0, 0, 1]), at_s, np.array([1.0, 0.0, 1.0, 0.0]), DAY_S)
    assert found[0] == 0.5  # nothing is known of anybody
    usual = (1 + 0.5) / 2  # one outcome, and it was some
    assert found[1] == pytest.approx((1 + usual) / 2)
    assert 0 < found[3] < 1
