"""Logits to calibrated probabilities, in numpy.

Every operation works on one row by itself and in one memory layout, so a text's probabilities
do not depend on its batch. Shapes: `B` posts, `C` classes.
"""

import numpy as np
from numpy.typing import NDArray

from models.encoder.config import HeadConfig


def probabilities(logits: NDArray[np.float32], head: HeadConfig) -> NDArray[np.float32]:
    """Calibrated probabilities (B, C) of a head's logits (B, C)."""
    scale = np.asarray(head.calibration.scale, np.float64)
    bias = np.asarray(head.calibration.bias, np.float64)
    scaled = np.ascontiguousarray(logits, np.float64) * scale + bias
    if head.activation == "sigmoid":
        return (1.0 / (1.0 + np.exp(-scaled))).astype(np.float32)
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
