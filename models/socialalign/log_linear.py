"""What log-linear models of a few labels are fitted by: in numpy, with a step that cannot diverge.

Shapes: `n` rows, `F` features, `C` labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.socialalign.posterior import Floats


def softmax(logits: Floats) -> Floats:
    """Return (n, C) shares of (n, C) logits."""
    whole = np.exp(logits - logits.max(axis=1, keepdims=True))
    return whole / whole.sum(axis=1, keepdims=True)


def safe_step(curvature: NDArray[Any], penalty: float) -> float:
    """Return the step that descends wherever it starts.

    Args:
        curvature: (F, F) the weighted second moments of the features; that of cross-entropy is half
            of it at most.
        penalty: How strongly weights are held at zero.
    """
    return 1 / (0.5 * float(np.linalg.eigvalsh(curvature)[-1]) + penalty)


def descend(
    shape: tuple[int, int], gradient: Callable[[Floats], Floats], step: float, steps: int
) -> Floats:
    """Return the (F, C) weights at which a convex loss is least (Nesterov 1983).

    Args:
        shape: F and C.
        gradient: Of the loss, by the weights.
        step: How far one step goes, times the gradient.
        steps: The number of steps, from zero.
    """
    weights = ahead = np.zeros(shape)
    for number in range(steps):
        fresh = ahead - step * gradient(ahead)
        ahead = fresh + number / (number + 3) * (fresh - weights)
        weights = fresh
    return weights
