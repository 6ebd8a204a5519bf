"""Designs of the participation head compared on the same frozen embeddings. No torch.

What is compared is the design alone: five independent classes, a hard chain of two classifiers
(the papers' pipeline), and the ordinal gates that the model ships with, all linear, all on the
backbone as published, all with the same posts and weights. Needs scikit-learn.

Shapes: `N` posts, `D` embedding width, `C` levels.
"""

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Levels = NDArray[np.integer[Any]]
Weights = NDArray[np.floating[Any]]
Predict = Callable[[Vectors], NDArray[np.float64]]
"""Embeddings (N, D) to probabilities of the levels (N, C)."""
STRENGTH: Final = 1.0
_SEED: Final = 20171
_STEPS: Final = 1_000


def _logistic(vectors: Vectors, labels: Levels, weights: Weights) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=STRENGTH, max_iter=_STEPS, class_weight="balanced", random_state=_SEED
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(vectors * _scale(vectors), labels, weights)


def _scale(vectors: Vectors) -> float:
    # Unit vectors have coordinates of 0.05: regularisation is meant for coordinates near 1.
    return float(np.sqrt(vectors.shape[1]))


def _ask(model: Any, vectors: Vectors) -> NDArray[np.float64]:
    return np.asarray(model.predict_proba(vectors * _scale(vectors)), np.float64)


def independent(vectors: Vectors, levels: Levels, weights: Weights) -> Predict:
    """One classifier of all levels, which knows nothing of their order."""
    model = _logistic(vectors, levels, weights)
    return lambda asked: _ask(model, asked)


def chained(vectors: Vectors, levels: Levels, weights: Weights) -> Predict:
    """A gate, and a classifier of levels fitted on those that truly pass it."""
    gate = _logistic(vectors, (levels > 0).astype(np.int64), weights)
    inside = levels > 0
    level = _logistic(vectors[inside], levels[inside], weights[inside])

    def predict(asked: Vectors) -> NDArray[np.float64]:
        passing = _ask(gate, asked)[:, 1:]
        return np.concatenate([1 - passing, passing * _ask(level, asked)], axis=1)

    return predict


def ordinal(vectors: Vectors, levels: Levels, weights: Weights) -> Predict:
    """Gate k asks whether a post of level k - 1 or more reaches k; each has its own weights."""
    top = int(levels.max())
    gates = [
        _logistic(
            vectors[levels >= k - 1],
            (levels[levels >= k - 1] >= k).astype(np.int64),
            weights[levels >= k - 1],
        )
        for k in range(1, top + 1)
    ]

    def predict(asked: Vectors) -> NDArray[np.float64]:
        passing = np.stack([_ask(gate, asked)[:, 1] for gate in gates], axis=1)
        reached = np.concatenate([np.ones((len(asked), 1)), np.cumprod(passing, axis=1)], axis=1)
        return reached - np.append(reached[:, 1:], np.zeros((len(asked), 1)), axis=1)

    return predict


DESIGNS: Final = {
    "independent": ("five independent classes", independent),
    "chained": ("gate, then level (hard pipeline)", chained),
    "ordinal": ("ordinal gates", ordinal),
}
