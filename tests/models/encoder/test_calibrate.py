import numpy as np
import pytest

from models.encoder.calibrate import calibrate_head, fit_temperature, fit_vector, log_loss
from models.encoder.config import HeadCalibration, HeadConfig

HEAD = HeadConfig(
    name="sentiment",
    labels=("negative", "neutral", "positive"),
    calibration=HeadCalibration(scale=(1.0,) * 3, bias=(0.0,) * 3),
)


def drawn(posts: int, seed: int, bias: tuple[float, ...] = (0, 0, 0)) -> tuple[np.ndarray, ...]:
    """Honest logits, and classes drawn from exactly the probabilities that they stand for."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (posts, 3))
    scores = logits + np.array(bias)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    truth = (rng.uniform(size=(posts, 1)) > p.cumsum(1)).sum(1)
    return logits, truth


def test_temperature_of_overconfident_logits_is_found() -> None:
    logits, truth = drawn(20_000, 1)
    scale, bias = fit_temperature(logits * 2.5, truth)
    np.testing.assert_allclose(scale, 1 / 2.5, rtol=0.05)
    np.testing.assert_array_equal(bias, 0)


def test_vector_scaling_finds_the_bias_between_classes() -> None:
    logits, truth = drawn(40_000, 2, bias=(-1.0, 0.5, 0.5))
    scale, bias = fit_vector(logits, truth)
    np.testing.assert_allclose(scale, 1.0, atol=0.08)
    np.testing.assert_allclose(bias - bias.mean(), [-1.0, 0.5, 0.5], atol=0.08)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_fitted_temperature_is_the_best_of_its_neighbours(factor: float) -> None:
    logits, truth = drawn(2_000, 3)
    scale, _ = fit_temperature(logits * 3, truth)
    best = log_loss(logits * 3 * scale, truth)
    assert best < log_loss(logits * 3 * scale * factor, truth)


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_calibration_lowers_the_error_and_says_what_it_was_fitted_on(method: str) -> None:
    logits, truth = drawn(4_000, 4)
    found = calibrate_head(HEAD, logits * 3, truth, method, "made-up posts").calibration
    assert found.method == method
    assert found.fitted_on == "made-up posts"
    assert found.ece_before is not None
    assert found.ece_after is not None
    assert found.ece_after < found.ece_before / 3
