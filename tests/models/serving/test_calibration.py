import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.encoder.config import HeadCalibration, HeadConfig, uncalibrated
from models.serving.calibration import probabilities


def head(activation: str = "softmax") -> HeadConfig:
    calibration = HeadCalibration(scale=(0.5, 1.0, 2.0), bias=(0.1, 0.0, -0.1))
    return HeadConfig(
        name="sentiment", labels=("a", "b", "c"), activation=activation, calibration=calibration
    )


def test_softmax_of_scaled_logits() -> None:
    logits = np.array([[2.0, -1.0, 0.5]], np.float32)
    weights = np.exp([2.0 * 0.5 + 0.1, -1.0, 0.5 * 2 - 0.1])
    np.testing.assert_allclose(probabilities(logits, head())[0], weights / weights.sum(), 1e-6)


def test_sigmoid_rates_each_class_by_itself() -> None:
    found = probabilities(np.zeros((1, 3), np.float32), head("sigmoid"))
    np.testing.assert_allclose(found[0], 1 / (1 + np.exp([-0.1, 0.0, 0.1])), 1e-6)


def levels(scale: tuple[float, ...] = (1.0,) * 4) -> HeadConfig:
    calibration = HeadCalibration(scale=scale, bias=(0.3, -0.2, 0.0, 0.1))
    plain = uncalibrated("participation")
    return msgspec.structs.replace(plain, calibration=calibration)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_levels_are_probabilities_and_reaching_a_higher_one_is_never_likelier(
    rows: int, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, 20, (rows, 4)).astype(np.float32)
    found = probabilities(logits, levels())
    assert found.shape == (rows, 5)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-6)
    at_least = found[:, ::-1].cumsum(1)[:, ::-1]
    assert (np.diff(at_least, axis=1) <= 1e-7).all()
    for row in range(rows):
        assert probabilities(logits[row : row + 1], levels()).tobytes() == found[row].tobytes()


def test_the_first_gate_is_the_binary_answer() -> None:
    logits = np.array([[0.5, 9.0, -9.0, 2.0]], np.float32)
    found = probabilities(logits, levels())
    np.testing.assert_allclose(1 - found[0, 0], 1 / (1 + np.exp(-0.8)), 1e-6)
    assert found[0].argmax() == 2


@given(st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_a_row_has_the_same_bits_in_any_batch(rows: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 5, (rows, 3)).astype(np.float32)
    whole = probabilities(logits, head())
    for row in range(rows):
        assert probabilities(logits[row : row + 1], head()).tobytes() == whole[row].tobytes()


def test_no_rows_give_no_rows() -> None:
    assert probabilities(np.zeros((0, 3), np.float32), head()).shape == (0, 3)
