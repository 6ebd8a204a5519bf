"""Fit scale and bias of logits to held-out posts: convex problems, solved by Newton. Numpy only.

*Temperature scaling* (Guo et al. 2017, arXiv 1706.04599, section 4.2) divides all logits by one
number and cannot change which class is on top. *Vector scaling* (same section) has a scale and a
bias per class. *Prior correction* has one scale and biases, fitted on posts that are reweighted to
the class shares of the place of use; since such samples are small, the parameters are held near
where they started by a Gaussian prior (a ridge), so a class with three posts moves little.

Shapes: `N` posts, `C` classes, `L` logits, `P` parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.integer[Any]]
Fitted = tuple[Floats, Floats]
"""Scale (L,) and bias (L,)."""

_NEWTON_STEPS = 100
# Keeps the bias (free up to a constant) and rare classes from running away.
_RIDGE = 1e-4
SCALE_SD: Final = 0.5
BIAS_SD: Final = 1.0
"""How far a small sample may move a scale (a factor, from 1) and a bias (log odds)."""


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _losses(scores: Floats, truth: Indices) -> Floats:
    top = scores.max(axis=1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return normaliser - scores[np.arange(len(truth)), truth]


def log_loss(scores: Floats, truth: Indices) -> float:
    """Mean negative log-likelihood of softmax(`scores`) (N, C)."""
    return float(np.mean(_losses(scores, truth)))


def minimise(
    design: NDArray[np.float64],
    truth: Indices,
    start: Floats,
    weights: Floats | None = None,
    ridge: Floats | float = _RIDGE,
) -> Floats:
    """Minimise the weighted mean log loss plus ridge of scores `design @ theta`.

    `design` is (N, C, P); `weights` (N,) are scaled to a mean of one; `ridge` pulls to `start`.
    The problem is convex, so a step is halved until the loss falls, and the end is the optimum.
    """
    theta = start.copy()
    posts, classes, count = design.shape
    target = np.eye(classes)[truth]
    share = np.ones(posts) if weights is None else weights / weights.mean()
    pull = np.broadcast_to(np.asarray(ridge, np.float64), (count,))

    def objective(value: Floats) -> float:
        loss = float(np.mean(share * _losses(design @ value, truth)))
        return loss + 0.5 * float(np.sum(pull * (value - start) ** 2))

    loss = objective(theta)
    for _ in range(_NEWTON_STEPS):
        p = _softmax(design @ theta)
        weighted = share[:, None] * p
        gradient = np.einsum("ncp,nc->p", design, weighted - share[:, None] * target) / posts
        mean = np.einsum("nc,ncp->np", p, design)
        hessian = np.einsum("nc,ncp,ncq->pq", weighted, design, design) - (
            (share[:, None] * mean).T @ mean
        )
        step = np.linalg.solve(hessian / posts + np.diag(pull), gradient + pull * (theta - start))
        size = 1.0
        while size > 1e-6 and objective(theta - size * step) > loss:
            size /= 2
        theta = theta - size * step
        fell, loss = loss - objective(theta), objective(theta)
        if fell < 1e-12:
            break
    return theta


def fit_temperature(logits: Floats, truth: Indices) -> Fitted:
    """Scale (C,), all equal, and bias (C,), all zero."""
    classes = logits.shape[1]
    scale = minimise(logits[:, :, None], truth, np.ones(1))
    return np.repeat(scale, classes), np.zeros(classes)


def fit_vector(logits: Floats, truth: Indices) -> Fitted:
    """Scale (C,) and bias (C,) per class."""
    posts, classes = logits.shape
    identity = np.eye(classes)
    design = np.concatenate(
        [logits[:, :, None] * identity[None], np.broadcast_to(identity, (posts, classes, classes))],
        axis=2,
    )
    theta = minimise(design, truth, np.concatenate([np.ones(classes), np.zeros(classes)]))
    return theta[:classes], theta[classes:]


def weights_for(truth: Indices, prior: Sequence[float]) -> Floats:
    """Weights (N,) under which the classes of `truth` have the shares `prior`.

    A class that does not occur cannot be given its share; the others keep their proportions.
    """
    counts = np.bincount(truth, minlength=len(prior))
    each = np.divide(prior, counts, out=np.zeros(len(prior)), where=counts > 0)
    weights = each[truth]
    return weights / weights.mean()


def _ridge(weights: Floats, deviations: Sequence[float]) -> Floats:
    """The Gaussian prior against a mean loss: weaker the more posts the weights stand for."""
    effective = weights.sum() ** 2 / np.sum(weights**2)
    return 1.0 / (np.square(deviations) * effective)


def fit_shifted(logits: Floats, truth: Indices, weights: Floats) -> Fitted:
    """Softmax: one scale and a bias per class, held near 1 and 0."""
    posts, classes = logits.shape
    biases = np.broadcast_to(np.eye(classes), (posts, classes, classes))
    design = np.concatenate([logits[:, :, None], biases], axis=2)
    start = np.concatenate([np.ones(1), np.zeros(classes)])
    ridge = _ridge(weights, [SCALE_SD] + [BIAS_SD] * classes)
    theta = minimise(design, truth, start, weights, ridge)
    return np.repeat(theta[:1], classes), theta[1:]


def fit_yes_no(
    logit: Floats, yes: NDArray[np.bool_], weights: Floats, start: tuple[float, float]
) -> tuple[float, float]:
    """Scale and bias of one yes-or-no question, held near `start`."""
    if len(logit) == 0 or weights.sum() == 0:
        return start
    design = np.zeros((len(logit), 2, 2))
    design[:, 1, 0], design[:, 1, 1] = logit, 1.0
    ridge = _ridge(weights, (SCALE_SD, BIAS_SD))
    scale, bias = minimise(design, yes.astype(np.int64), np.array(start), weights, ridge)
    # A question answered backwards would not be a calibration but another model.
    return max(0.05, float(scale)), float(bias)


def fit_gates(logits: Floats, levels: Indices, weights: Floats, starts: Floats) -> Fitted:
    """Each gate of an ordinal head on the posts that come to it; `starts` (L,) are biases."""
    found = []
    for gate in range(logits.shape[1]):
        comes = (levels >= gate) & (weights > 0)
        found.append(
            fit_yes_no(
                logits[comes, gate], levels[comes] > gate, weights[comes], (1.0, starts[gate])
            )
        )
    return np.array([scale for scale, _ in found]), np.array([bias for _, bias in found])


def fit_questions(logits: Floats, tags: NDArray[np.bool_], starts: Floats) -> Fitted:
    """Independent questions with few posts: one scale and one bias for all, besides `starts`."""
    flat = (logits + starts).ravel()
    scale, bias = fit_yes_no(flat, tags.ravel(), np.ones(flat.size), (1.0, 0.0))
    return np.full(logits.shape[1], scale), scale * starts + bias


FITTERS: Final[dict[str, Callable[[Floats, Indices], Fitted]]] = {
    "temperature": fit_temperature,
    "vector": fit_vector,
}
