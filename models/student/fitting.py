"""Make the student's probabilities mean what the encoder's mean, and find how sure is sure enough.

The encoder's calibrated probabilities of held-out posts are what the student's are fitted to: it
has been calibrated on people's labels itself, and of posts without labels there are thousands. The
fits are those of `models.encoder.fitting`, with every post counted once for each class, weighted by
the encoder's probability of it: log loss against soft targets.

Shapes: `N` posts, `C` classes, `L` logits.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.encoder.calibrate import head_with
from models.encoder.config import HeadConfig
from models.encoder.fitting import Floats, fit_shifted, fit_yes_no
from models.serving.cascade import decisions

METHOD: Final = "teacher"
"""The calibration's name: fitted to the encoder's answers."""


def fit_to_teacher(head: HeadConfig, logits: Floats, wanted: NDArray[np.float32]) -> HeadConfig:
    """Return `head` calibrated so that logits (N, L) give the encoder's probabilities (N, C)."""
    targets = wanted.astype(np.float64)
    if head.activation == "softmax":
        posts, classes = targets.shape
        truth = np.tile(np.arange(classes), posts)
        fitted = fit_shifted(np.repeat(logits, classes, axis=0), truth, targets.ravel())
    else:
        comes, passes = _questions(head, targets)
        each = [
            _fit_question(logits[:, number], comes[:, number], passes[:, number])
            for number in range(logits.shape[1])
        ]
        fitted = np.array([scale for scale, _ in each]), np.array([bias for _, bias in each])
    return head_with(head, *fitted, METHOD)


def _questions(head: HeadConfig, targets: Floats) -> tuple[Floats, Floats]:
    """Return how much every question is asked of a post, and is answered yes, (N, L) each."""
    if head.activation == "sigmoid":
        return np.ones_like(targets), targets
    at_least = np.cumsum(targets[:, ::-1], axis=1)[:, ::-1]
    return at_least[:, :-1], at_least[:, 1:]


def _fit_question(logit: Floats, comes: Floats, passes: Floats) -> tuple[float, float]:
    posts = len(logit)
    yes = np.repeat([True, False], posts)
    weights = np.maximum(np.concatenate([passes, comes - passes]), 0.0)
    return fit_yes_no(np.tile(logit, 2), yes, weights, (1.0, 0.0))


def expected_loss(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], student: HeadConfig, head: HeadConfig
) -> Floats:
    """Return what the student's decisions lose where the encoder's probabilities are true, (N,).

    Of classes and levels that is accuracy: how much likelier the encoder holds its own decision.
    Of a yes-or-no question it is how far the encoder's probability is from the cut, if they differ,
    and of several the sum over them for each yes of the encoder's. Where the two differ the student
    is right more often than the encoder thinks, so this is an upper bound.
    """
    mine, yours = decisions(ours, student), decisions(theirs, head)
    rows = np.arange(len(theirs))
    if head.activation == "softmax":
        return (theirs[rows, yours] - theirs[rows, mine]).astype(np.float64)
    yes = theirs if head.activation == "sigmoid" else 1.0 - theirs[:, :1]
    apart = (mine > 0) != (yours > 0)
    margin = np.abs(yes.astype(np.float64) - head.cut)
    lost = (margin * apart.reshape(margin.shape)).sum(1)
    if head.activation == "ordinal":
        between = (theirs[rows, yours] - theirs[rows, mine]).astype(np.float64)
        return lost + np.where((mine > 0) & (yours > 0), between, 0.0)
    several = len(head.labels) > 1
    return lost / max(1.0, float(yours.sum(1).mean())) if several else lost


def differs(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], student: HeadConfig, head: HeadConfig
) -> NDArray[np.bool_]:
    """Tell where the student decides otherwise than the encoder, (N,)."""
    same = decisions(ours, student) == decisions(theirs, head)
    return ~same.reshape(len(same), -1).all(1)


def least_sureness(sure: Floats, lost: Floats, most_lost: float) -> float:
    """Return the least sureness from which the student may answer.

    Args:
        sure: How sure it is of each post, (N,).
        lost: How much is lost if it answers, (N,); nothing if the encoder does.
        most_lost: The mean over all posts that may be lost.

    Returns:
        The smallest sureness with which no more is left; 0 when nothing need be sent on.
    """
    order = np.argsort(-sure, kind="stable")
    left = np.cumsum(lost[order]) / len(sure)
    fits = np.flatnonzero(left <= most_lost)
    if len(fits) == len(sure):
        return 0.0
    # All posts that are as sure as this one answer alike: the next less sure is the limit.
    last = int(fits[-1]) if len(fits) else -1
    return float(np.nextafter(sure[order[last + 1]], 2.0))
