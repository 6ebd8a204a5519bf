"""What of a system's answers would be shown: the responder's own filter drops the others.

A copy of the post is dropped before candidates are ranked (`models.popalm.safety`), as is what
names somebody or speaks as a program. What may be shown is the same for all systems.

Shapes: `D` draws, `M` measures, `N` posts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.responses.floors import Answers
from evaluation.responses.judging import known_mean
from models.popalm.safety import reply_fault, tidied

Floats = NDArray[np.float64]


def faults_of(posts: Sequence[str], draws: Sequence[Answers]) -> NDArray[np.str_]:
    """Return (D, N) why each answer may not be shown, "" where it may."""
    return np.array([
        [reply_fault(post, tidied(one.text, True)) for post, one in zip(posts, drawn, strict=True)]
        for drawn in draws
    ])  # fmt: skip


def shown_columns(columns: Floats, faults: NDArray[np.str_]) -> Floats:
    """Return (M, N) means over the draws that may be shown; NaN for a post that has none.

    Args:
        columns: (D, M, N) measures of all draws.
        faults: (D, N) as `faults_of` returns them.
    """
    shown = np.where((faults == "")[:, None, :], columns, np.nan)
    return known_mean(np.moveaxis(shown, 0, -1))


def refused_shares(faults: NDArray[np.str_]) -> Mapping[str, float]:
    """Return which share of the draws is refused, which as a copy, and of posts with none left."""
    return {
        "refused": float(np.mean(faults != "")),
        "refused_copy": float(np.mean(faults == "copy")),
        "unanswered": float(np.mean((faults != "").all(axis=0))),
    }
