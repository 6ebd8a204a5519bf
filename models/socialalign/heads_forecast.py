"""What is expected of a crowd before its first answer, from what is said of the post itself.

The usual shares of the topic, moved by the post's own sentiment and emotion (log-linear). It is
fitted on whole events: each by the shares of its answers, an event of twenty answers or more
counting as twenty (cross-entropy, which is the divergence of the forecast from the crowd).

Shapes: `n` events, `H` classes of heads, `C` labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.socialalign.crowd import MOST_OF_EVENT
from models.socialalign.log_linear import descend, safe_step, softmax
from models.socialalign.posterior import Floats

_STEPS: Final = 300
_LEAST_SCALE: Final = 0.02


@dataclass(frozen=True, slots=True)
class HeadsForecast:
    """The weights. Read-only, and so safe for concurrent calls.

    Attributes:
        mean: (H,) the means of the heads.
        scale: (H,) their deviations.
        weights: (H + 1, C) the weights, the last row of the labels alone.
    """

    mean: Floats
    scale: Floats
    weights: Floats

    def shares(self, usual: Floats, heads: Floats) -> Floats:
        """Return (n, C) shares from (n, C) usual shares and (n, H) heads, NaN where unknown."""
        scaled = np.nan_to_num((heads - self.mean) / self.scale)
        return softmax(np.log(usual) + scaled @ self.weights[:-1] + self.weights[-1])


def fit_heads_forecast(
    usual: Floats, heads: Floats, counts: Floats, penalty: float
) -> HeadsForecast:
    """Fit by cross-entropy with a squared penalty.

    Args:
        usual: (n, C) usual shares of the topic of each event, learnt from other events.
        heads: (n, H) what the post encoder says of its post; NaN is unknown.
        counts: (n, C) how often each label was given; at least one of each event.
        penalty: How strongly weights are held at zero.
    """
    mean = np.nanmean(heads, axis=0)
    scale = np.maximum(np.nanstd(heads, axis=0), _LEAST_SCALE)
    scaled = np.nan_to_num((heads - mean) / scale)
    given = np.column_stack([scaled, np.ones(len(heads))])
    answers = counts.sum(axis=1, keepdims=True)
    weight = np.minimum(answers, MOST_OF_EVENT)
    weight /= weight.sum()

    def gradient(weights: Floats) -> Floats:
        said = softmax(np.log(usual) + given @ weights)
        return given.T @ ((said - counts / answers) * weight) + penalty * weights

    step = safe_step(given.T @ (given * weight), penalty)
    shape = (given.shape[1], counts.shape[1])
    return HeadsForecast(mean, scale, descend(shape, gradient, step, _STEPS))
