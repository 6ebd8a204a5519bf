"""The forecast from what is said of a post: found where it is, nothing where it is not."""

import numpy as np

from models.socialalign.heads_forecast import fit_heads_forecast

USUAL = np.array([0.3, 0.5, 0.2])


def events(effect: float, number: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return usual shares, two heads, and counts of which the first label follows the first."""
    rng = np.random.default_rng(5)
    heads = rng.uniform(size=(number, 2))
    logits = np.log(USUAL) + effect * np.outer(heads[:, 0] - 0.5, [1, 0, -1])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = np.stack([rng.multinomial(20, one) for one in shares]).astype(float)
    return np.tile(USUAL, (number, 1)), heads, counts


def test_what_moves_a_crowd_is_found_and_what_does_not_is_left() -> None:
    usual, heads, counts = events(3.0)
    model = fit_heads_forecast(usual, heads, counts, 0.001)
    low, high = model.shares(usual[:2], np.array([[0.0, 0.5], [1.0, 0.5]]))
    assert high[0] > low[0] + 0.3
    other = model.shares(usual[:2], np.array([[0.5, 0.0], [0.5, 1.0]]))
    assert np.abs(other[0] - other[1]).max() < 0.05
    assert np.abs(other.mean(axis=0) - USUAL).max() < 0.05


def test_without_effect_or_with_a_strong_penalty_the_usual_shares_stay() -> None:
    usual, heads, counts = events(0.0)
    moved = fit_heads_forecast(usual, heads, counts, 0.01).shares(usual, heads) - USUAL
    assert np.abs(moved).max() < 0.08
    usual, heads, counts = events(3.0)
    held = fit_heads_forecast(usual, heads, counts, 1e4).shares(usual, heads) - USUAL
    assert np.abs(held).max() < 0.01


def test_unknown_heads_say_nothing() -> None:
    usual, heads, counts = events(3.0)
    heads[::3] = np.nan
    model = fit_heads_forecast(usual, heads, counts, 0.001)
    nothing, half = model.shares(usual[:2], np.array([[np.nan] * 2, model.mean.tolist()]))
    np.testing.assert_allclose(nothing, half)
    np.testing.assert_allclose(model.shares(usual, heads).sum(axis=1), 1)


def test_an_event_of_thousands_counts_as_one_of_twenty() -> None:
    usual, heads, counts = events(0.0, 40)
    one = fit_heads_forecast(usual, heads, counts, 0.01)
    counts[0] *= 1_000
    other = fit_heads_forecast(usual, heads, counts, 0.01)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-12)
