"""Sums without rounding: a row has its bits whatever it is computed with."""

import math

import numpy as np
import pytest

from models.engagement import exact


def some(*shape: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, shape)


def test_product_has_the_same_bits_in_any_order_of_its_terms_and_any_batch() -> None:
    rows = exact.activations(some(50, exact.MAX_TERMS, spread=40))
    columns = exact.weights(some(exact.MAX_TERMS, 30, seed=1, spread=5))
    whole = rows @ columns
    order = np.random.default_rng(2).permutation(exact.MAX_TERMS)
    np.testing.assert_array_equal(rows[:, order] @ columns[order], whole)
    for row in range(50):
        np.testing.assert_array_equal(rows[row] @ columns, whole[row])
    # As whole numbers, whose sums cannot be wrong.
    left = [[round(value * 2**12) for value in row] for row in rows[:3].tolist()]
    right = [[round(value * 2**16) for value in column] for column in columns.T.tolist()]
    for row, numbers in enumerate(left):
        for column, factors in enumerate(right):
            total = sum(a * b for a, b in zip(numbers, factors, strict=True))
            assert whole[row, column] == total / 2**28


def test_plain_numbers_would_not_do() -> None:
    rows, columns = some(50, 512), some(512, 30, seed=1)
    order = np.random.default_rng(2).permutation(512)
    assert (rows[:, order] @ columns[order] != rows @ columns).any()


def test_what_is_beyond_the_bounds_is_bounded_and_nan_is_zero() -> None:
    found = exact.activations(np.array([np.nan, 1e9, -np.inf, 1 / 3]))
    assert found.tolist() == [0, exact.ACTIVATION_LIMIT, -exact.ACTIVATION_LIMIT, 1365 / 4096]
    assert exact.weights(np.array([100.0, -100.0])).tolist() == [7, -7]


@pytest.mark.parametrize("wrong", [np.array([1.0, np.nan]), np.array([np.inf]), np.ones((513, 2))])
def test_weights_that_are_none_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"finite|rows"):
        exact.weights(wrong)


def test_functions_are_those_of_the_library() -> None:
    values = np.linspace(-40, 0, 4_001)
    np.testing.assert_allclose(exact.exponential(values), np.exp(values), rtol=1e-7)
    angles = np.linspace(-20, 20, 4_001)
    np.testing.assert_allclose(exact.sine(angles), np.sin(angles), atol=1e-4)
    assert exact.exponential(np.array([-np.inf, 0.0]))[1] == 1
    positive = np.concatenate([np.geomspace(1e-300, 1e300, 6_001), np.linspace(0.4, 2.1, 1_701)])
    np.testing.assert_allclose(exact.logarithm(positive), np.log(positive), rtol=1e-13, atol=1e-16)
    assert exact.logarithm(np.array([1.0]))[0] == 0
    steps = exact.positive(np.array([-60.0, 0, 60]))
    assert (steps > 0).all()
    assert steps[1] == 0.5
    assert exact.rectified(np.array([0.0]))[0] == 0
    assert exact.rectified(np.array([30.0]))[0] == pytest.approx(30, abs=0.02)


def test_normalised_rows_have_mean_zero_and_variance_one() -> None:
    values = exact.activations(some(20, 48, spread=7))
    found = exact.normalised(values, np.ones(48), np.zeros(48))
    assert np.abs(found.mean(axis=1)).max() < 1e-3
    assert math.isclose(found.var(), 1, rel_tol=1e-2)
    np.testing.assert_array_equal(
        exact.normalised(values[3:4], np.ones(48), np.zeros(48))[0], found[3]
    )
