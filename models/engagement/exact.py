"""Arithmetic of networks that has the same bits everywhere: any batch, processor or library.

A sum of floating-point numbers depends on its order, and a matrix product chooses its order by
shape, processor and library. Here every factor is a whole multiple of a power of two and bounded,
so that each product and each partial sum is a float64 without rounding: there is nothing for the
order to change. Activations are multiples of 2^-12 below 2^6, weights multiples of 2^-16 below 2^3:
a sum of 2^9 products needs 12 + 6 + 16 + 3 + 9 = 46 of 53 bits, and of two activations 45.

Functions of one number are made of +, -, *, / and square roots alone, which IEEE 754 rounds in one
way; the exponential and the sine of a library may differ in the last bit.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

MAX_TERMS: Final = 512
"""So many products may be added up."""
ACTIVATION_LIMIT: Final = 63.0
WEIGHT_LIMIT: Final = 7.0
_ACTIVATION: Final = 2.0**12
_WEIGHT: Final = 2.0**16
_LN2: Final = 0.6931471805599453
_TURN: Final = 6.283185307179586
_EXP: Final = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
_ROOT_HALF: Final = 0.7071067811865476
_LOGARITHM: Final = tuple(2 / odd for odd in range(21, 0, -2))
"""Of the inverse hyperbolic tangent, which converges fast near zero."""
_SINE: Final = (
    -1 / 1_307_674_368_000, 1 / 6_227_020_800, -1 / 39_916_800, 1 / 362_880, -1 / 5_040, 1 / 120,
    -1 / 6, 1.0,
)  # fmt: skip


def activations(values: NDArray[Any]) -> Doubles:
    """Return numbers as activations: rounded and bounded; NaN is zero."""
    found = np.clip(np.asarray(values, np.float64), -ACTIVATION_LIMIT, ACTIVATION_LIMIT)
    return np.rint(np.nan_to_num(found) * _ACTIVATION) / _ACTIVATION


def weights(values: NDArray[Any]) -> Doubles:
    """Return numbers as weights: rounded and bounded.

    Raises:
        ValueError: There are more rows than can be added up, or a number that is not finite.
    """
    found = np.asarray(values, np.float64)
    if found.ndim > 1 and found.shape[-2] > MAX_TERMS:
        raise ValueError(f"weights of {found.shape[-2]} rows, expected at most {MAX_TERMS}")
    if not np.isfinite(found).all():
        raise ValueError("a weight is not finite")
    return np.clip(np.rint(found * _WEIGHT) / _WEIGHT, -WEIGHT_LIMIT, WEIGHT_LIMIT)


def rectified(values: Doubles) -> Doubles:
    """Return x/2 (1 + x / sqrt(1 + x^2)): nearly 0 below zero and nearly x above it, and smooth."""
    return activations(0.5 * values * (1 + values / np.sqrt(1 + values * values)))


def positive(values: Doubles) -> Doubles:
    """Return (x + sqrt(x^2 + 1)) / 2: above zero, nearly 0 far below and nearly x far above."""
    return 0.5 * (values + np.sqrt(values * values + 1))


def exponential(values: Doubles) -> Doubles:
    """Return the exponential of numbers that are not above zero, to one in ten million."""
    turns = np.rint(np.maximum(values, -600.0) / _LN2)
    rest = np.maximum(values, -600.0) - turns * _LN2
    return np.ldexp(_polynomial(_EXP, rest), turns.astype(np.int32))


def logarithm(values: Doubles) -> Doubles:
    """Return the natural logarithm of positive numbers, to one in ten million millions."""
    part, power = np.frexp(values)  # between 1/2 and 1
    is_low = part < _ROOT_HALF
    part, power = np.where(is_low, part * 2, part), power - is_low
    ratio = (part - 1) / (part + 1)
    return power * _LN2 + ratio * _polynomial(_LOGARITHM, ratio * ratio)


def sine(values: Doubles) -> Doubles:
    """Return the sine, to one in ten thousand."""
    rest = values - np.rint(values / _TURN) * _TURN
    return rest * _polynomial(_SINE, rest * rest)


def normalised(values: Doubles, gain: Doubles, bias: Doubles) -> Doubles:
    """Return rows of activations with mean zero and variance one, scaled: layer normalisation."""
    width = values.shape[-1]
    centred = activations(values - values.sum(axis=-1, keepdims=True) / width)
    variance = (centred * centred).sum(axis=-1, keepdims=True) / width
    return activations(centred / np.sqrt(variance + 1e-5) * gain + bias)


def _polynomial(coefficients: tuple[float, ...], values: Doubles) -> Doubles:
    found = np.full_like(values, coefficients[0])
    for coefficient in coefficients[1:]:
        found = found * values + coefficient
    return found
