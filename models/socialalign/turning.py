"""Has a crowd turned: are its last answers no longer those that were expected of it?

Each answer is held against what the posterior expected of it. For every answer from which the crowd
may have turned there is a likelihood ratio: what a crowd about which nothing is known (each label
half a time: Krichevsky and Trofimov 1981) would give the answers since then, over what was
expected. Their sum is the statistic of Shiryaev and Roberts: while the crowd is as expected it
grows by one an answer on average, whatever the labels, so that among answers of crowds that did
not turn `evidence` passes log(A) less than once in A answers, however often one looks.

Shapes: `C` classes of the label, `S` starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lgamma
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.socialalign.posterior import Floats

Counts = NDArray[np.int64]

STARTS: Final = 64
"""Answers from which a crowd may have turned; older ones are let go, which only hides evidence."""
_HALF: Final = 0.5


class CrowdTurn:
    """Watches the answers to one event. Not thread-safe.

    Args:
        classes: The number of labels.
    """

    def __init__(self, classes: int) -> None:
        self._counts = np.zeros((0, classes))
        self._logs = np.zeros(0)

    def add(self, label: int, expected: Floats) -> None:
        """Take in the next answer.

        Args:
            label: Its label.
            expected: (C,) what was expected of it before it came: `CrowdPosterior.shares`.
        """
        classes = self._counts.shape[1]
        self._counts = np.vstack([self._counts[1 - STARTS :], np.zeros((1, classes))])
        self._logs = np.append(self._logs[1 - STARTS :], 0.0)
        given = (self._counts[:, label] + _HALF) / (self._counts.sum(axis=1) + _HALF * classes)
        self._logs += np.log(given) - np.log(expected[label])
        self._counts[:, label] += 1

    @property
    def evidence(self) -> float:
        """The logarithm of the statistic; minus infinity before the first answer."""
        return float(_log_sum(self._logs)) if len(self._logs) else float("-inf")

    @property
    def since(self) -> int:
        """How many of the last answers are least as expected: since when it turned, if it did."""
        return len(self._logs) - int(self._logs.argmax()) if len(self._logs) else 0


def turn_of(labels: Sequence[int], said: Floats, classes: int) -> tuple[float, int]:
    """Return `evidence` and `since` of a `CrowdTurn` that was shown all answers, at once.

    What a start says of the answers since then depends on how often each label was given alone.

    Args:
        labels: (N,) labels, the earliest first.
        said: (N,) log scores (natural): what was expected of each before it came.
        classes: The number of labels.
    """
    given = np.array(labels[-STARTS:], np.int64)
    if not len(given):
        return float("-inf"), 0
    since = np.cumsum(np.eye(classes)[given][::-1], axis=0).astype(np.int64)  # (S, C)
    expected = np.cumsum(said[-STARTS:][::-1])
    logs = _KT[since].sum(axis=1) - [_whole(int(n), classes) for n in since.sum(axis=1)] - expected
    # Of starts that say as much, the earliest, as there.
    earliest = len(logs) - int(logs[::-1].argmax())
    return float(_log_sum(logs)), earliest


def turn_path(labels: Sequence[int], said: Floats, classes: int) -> tuple[Floats, Counts]:
    """Return `evidence` and `since` of a `CrowdTurn` after each of the answers.

    Args:
        labels: (N,) labels, the earliest first.
        said: (N,) log scores (natural): what was expected of each before it came.
        classes: The number of labels.

    Returns:
        (N,) evidence, and (N,) how many of the last answers were least as expected by then.
    """
    number, lags = len(labels), np.arange(STARTS, 0, -1)
    if not number:
        return np.zeros(0), np.zeros(0, np.int64)
    given = np.eye(classes, dtype=np.int64)[np.array(labels, np.int64)]
    counts = np.vstack([np.zeros((1, classes), np.int64), np.cumsum(given, axis=0)])  # (N + 1, C)
    sums = np.concatenate([[0.0], np.cumsum(said)])
    ends = np.arange(1, number + 1)
    starts = np.maximum(ends[:, None] - lags, 0)  # (N, S), the earliest first
    since = counts[ends][:, None] - counts[starts]  # (N, S, C)
    whole = np.array([_whole(int(lag), classes) for lag in lags])
    logs = _KT[since].sum(axis=2) - whole - (sums[ends][:, None] - sums[starts])
    logs = np.where(lags <= ends[:, None], logs, -np.inf)
    return _log_sum(logs), lags[logs.argmax(axis=1)]


def _log_sum(logs: Floats) -> Floats:
    """Return the logarithm of the sum of what has these logarithms, over the last axis."""
    most = logs.max(axis=-1, keepdims=True)
    return most[..., 0] + np.log(np.exp(logs - most).sum(axis=-1))


def _whole(answers: int, classes: int) -> float:
    return lgamma(answers + _HALF * classes) - lgamma(_HALF * classes)


_KT: Final = np.array([lgamma(n + _HALF) - lgamma(_HALF) for n in range(STARTS + 1)])
"""What a label that was given n times adds to the log-likelihood of Krichevsky and Trofimov."""
