"""Logits to calibrated probabilities, in numpy.

Every operation works on one row by itself and in one memory layout, so a text's probabilities
do not depend on its batch. Shapes: `B` posts, `C` classes, `L` logits.
"""

import numpy as np
from numpy.typing import NDArray

from models.encoder.config import HeadConfig


def probabilities(logits: NDArray[np.float32], head: HeadConfig) -> NDArray[np.float32]:
    """Calibrated probabilities (B, C) of a head's logits (B, L)."""
    scale = np.asarray(head.calibration.scale, np.float64)
    bias = np.asarray(head.calibration.bias, np.float64)
    return squash(np.ascontiguousarray(logits, np.float64) * scale + bias, head.activation)


def squash(scores: NDArray[np.float64], activation: str) -> NDArray[np.float32]:
    """Probabilities (B, C) of scaled logits (B, L).

    `ordinal`: P(level >= k) is the product of the first k gates, so it falls with k, and the
    probability of a level is the difference of two neighbours.
    """
    if activation == "softmax":
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    yes = 1.0 / (1.0 + np.exp(-scores))
    if activation == "sigmoid":
        return yes.astype(np.float32)
    edge = np.ones((len(scores), 1))
    at_least = np.concatenate([edge, np.cumprod(yes, axis=1), 0.0 * edge], axis=1)
    return np.ascontiguousarray(at_least[:, :-1] - at_least[:, 1:], np.float32)
