import numpy as np
import pytest

from models.encoder.calibrate import best_cut, calibrate_head
from models.encoder.config import HeadCalibration, HeadConfig, uncalibrated
from models.encoder.fitting import fit_temperature, fit_vector, log_loss, weights_for
from models.encoder.heads.base import CalibrationSample as Sample
from models.serving.calibration import probabilities

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


def sample_of(truth: np.ndarray, **changes: object) -> Sample:
    return Sample(("x",) * len(truth), truth, "made-up posts", **changes)  # type: ignore[arg-type]


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
    found = calibrate_head(HEAD, logits * 3, sample_of(truth), method).calibration
    assert found.method == method
    assert found.fitted_on == "made-up posts, int8 logits"
    assert found.ece_before is not None
    assert found.ece_after is not None
    assert found.ece_after < found.ece_before / 3


def drawn_levels(posts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gate logits and levels drawn from exactly the chances that they stand for."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.5, 1.5, (posts, 4))
    passes = rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))
    return logits, passes.cumprod(axis=1).sum(1)


@pytest.mark.slow
def test_participation_learned_at_one_prior_is_right_at_another() -> None:
    head = uncalibrated("participation")
    logits, levels = drawn_levels(6_000, 5)
    prior = (0.74, 0.18, 0.05, 0.02, 0.01)
    found = calibrate_head(head, logits, sample_of(levels, prior=prior))
    assert found.calibration.method == "prior"
    assert found.calibration.prior == prior
    assert found.calibration.ece_before is not None
    assert found.calibration.ece_after is not None
    assert found.calibration.ece_after < min(0.03, found.calibration.ece_before / 3)
    rows = np.random.default_rng(6).choice(
        len(levels), 6_000, p=weights_for(levels, prior) / len(levels)
    )
    claimed = 1 - probabilities(logits[rows].astype(np.float32), found)[:, 0]
    assert claimed.mean() == pytest.approx(0.26, abs=0.03)
    plain = 1 - probabilities(logits[rows].astype(np.float32), head)[:, 0]
    truth = levels[rows] > 0
    assert np.mean((claimed - truth) ** 2) < np.mean((plain - truth) ** 2)


@pytest.mark.slow
def test_correcting_to_the_prior_that_it_has_already_does_not_worsen_the_brier_score() -> None:
    head = uncalibrated("participation")
    logits, levels = drawn_levels(6_000, 7)
    shares = tuple((np.bincount(levels, minlength=5) / len(levels)).tolist())
    found = calibrate_head(head, logits, sample_of(levels, prior=shares))
    narrow, truth = logits.astype(np.float32), levels > 0
    before, after = (1 - probabilities(narrow, one)[:, 0] for one in (head, found))
    assert np.mean((after - truth) ** 2) <= np.mean((before - truth) ** 2) + 1e-4


def test_three_posts_of_a_class_hardly_move_it() -> None:
    logits, levels = drawn_levels(40, 8)
    head = uncalibrated("participation")
    found = calibrate_head(head, logits, sample_of(levels, shift=(-1.0, 0.0, 0.0, -2.0)))
    assert np.all(np.abs(np.array(found.calibration.bias) - [-1.0, 0.0, 0.0, -2.0]) < 1.5)


@pytest.mark.slow
def test_few_posts_give_all_topics_one_scale_and_bias() -> None:
    rng = np.random.default_rng(9)
    logits = rng.normal(-2, 1.5, (400, 19))
    tags = (rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    shift = tuple(np.linspace(-1, 0, 19).tolist())
    found = calibrate_head(
        uncalibrated("topics"), logits * 2 - np.array(shift), sample_of(tags, shift=shift)
    )
    assert len(set(found.calibration.scale)) == 1
    assert 0.05 < found.cut < 0.95
    assert found.calibration.ece_after is not None
    assert found.calibration.ece_after < 0.08


def test_a_deployments_sample_moves_the_shares_of_exclusive_classes() -> None:
    logits, truth = drawn(3_000, 10, bias=(1.0, 0.0, -1.0))
    found = calibrate_head(HEAD, logits, sample_of(truth, is_deployed=True))
    bias = np.array(found.calibration.bias)
    np.testing.assert_allclose(bias - bias.mean(), [1.0, 0.0, -1.0], atol=0.15)


def test_the_cut_lies_between_two_groups_that_it_separates() -> None:
    scores = np.array([0.1, 0.15, 0.2, 0.7, 0.8, 0.9])
    assert 0.2 < best_cut(scores, scores > 0.5, np.ones(6)) < 0.7
