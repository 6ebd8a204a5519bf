"""The predictions between which a source's hedge chooses: floors, the model, and half of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.layout import FLOORS, STEPS

EXPERTS: Final = (*FLOORS, "model", "half")
"""`half` is the mean of med32 and the model; a model that is half right is seldom wrong there."""
MED32: Final = EXPERTS.index("med32")
_MODEL: Final = EXPERTS.index("model")


def experts_of(kept: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return (..., 7) predictions, as logs, in the order of `EXPERTS`.

    Args:
        kept: (..., 6) floors and model, as kept logs; what is served is computed from what is
            kept, so that a post has the same experts when its outcome comes, whoever read it.
    """
    found = kept.astype(np.float64) / STEPS
    half = (found[..., MED32] + found[..., _MODEL]) / 2
    return np.concatenate([found, half[..., None]], axis=-1)


def experts_of_one(kept: Sequence[int]) -> list[float]:
    """Return the same of one post."""
    found = [log / STEPS for log in kept]
    return [*found, (found[MED32] + found[_MODEL]) / 2]
