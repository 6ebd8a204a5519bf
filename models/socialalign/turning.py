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

from typing import Final

import numpy as np

from models.socialalign.posterior import Floats

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
        if not len(self._logs):
            return float("-inf")
        most = self._logs.max()
        return float(most + np.log(np.exp(self._logs - most).sum()))

    @property
    def since(self) -> int:
        """How many of the last answers are least as expected: since when it turned, if it did."""
        return len(self._logs) - int(self._logs.argmax()) if len(self._logs) else 0
