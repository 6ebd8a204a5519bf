"""The figure by which an epoch is chosen, per head, on its validation split. Numpy only.

Shapes: `N` posts, `L` logits of a head.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.metrics import macro_f1, macro_recall

DEPLOYED_PARTICIPATION: Final = 0.258
"""Share of participation to expect in use; in training it is 0.77. It is not independent of the
official test: it is the share that the test's published label counts give (209 of 809), the test
being the only sample of ordinary posts that the data set has. A deployment knows its own better."""


def average_precision(
    score: NDArray[np.floating[Any]], is_positive: NDArray[np.bool_], prior: float | None = None
) -> float:
    """Area under the precision-recall steps; `prior` reweights to that share of positives.

    Equal scores are one step, so their order does not matter.
    """
    share = float(is_positive.mean())
    wanted = share if prior is None else prior
    weight = np.where(is_positive, wanted / share, (1 - wanted) / (1 - share))
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum((weight * is_positive)[order])
    seen = np.cumsum(weight[order])
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    gained = np.diff(hits[ends], prepend=0.0)
    return float(np.sum(gained * hits[ends] / seen[ends]) / hits[-1])


def micro_f1(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """F1 over all (post, class) pairs together; 0 when nothing is predicted and nothing true."""
    hits = int((predicted & truth).sum())
    total = int(predicted.sum() + truth.sum())
    return 2 * hits / total if total else 0.0


def selection_figure(
    head: str, logits: NDArray[np.floating[Any]], truth: NDArray[np.integer[Any]]
) -> float:
    """In [0, 1], more is better: what the head is judged by later, where that is possible."""
    if head == "sentiment":
        return macro_recall(logits.argmax(1), truth)
    if head == "emotion":
        return macro_f1(logits.argmax(1), truth, logits.shape[1])
    if head == "participation":
        return average_precision(logits[:, 0], truth > 0, DEPLOYED_PARTICIPATION)
    return average_precision(logits.ravel(), truth.ravel() > 0)
