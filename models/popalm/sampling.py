"""Draw the next piece of several texts from what a decoder says of each: seeded, by nucleus.

Top-p sampling as in Holtzman et al. 2020 (arXiv 1904.09751, section 3.1).

Shapes: `B` texts, `V` pieces.
"""

from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

NUCLEUS: Final = 512
"""Of more pieces the rest is left out, however flat the distribution is: it would be noise."""


class Sampling(Struct, frozen=True, kw_only=True):
    """How pieces are drawn.

    Attributes:
        temperature: What logits are divided by.
        top_p: The least likely pieces beyond this share of the probability are never drawn.
    """

    temperature: Annotated[float, Meta(gt=0, le=2)] = 0.8
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.85


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (B, V) log-probabilities of (B, V) logits."""
    moved = logits - logits.max(axis=1, keepdims=True)
    return moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))


def draw(
    logits: NDArray[np.float32], sampling: Sampling, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the next piece of each text, (B,); one number of `rng` is used for each.

    Args:
        logits: (B, V) what the decoder says; minus infinity where a piece may not come.
        sampling: How they are drawn.
        rng: What they are drawn by.
    """
    kept = min(NUCLEUS, logits.shape[1])
    first = np.argpartition(-logits, kept - 1, axis=1)[:, :kept]
    # In order of the pieces' numbers first, so that of two as likely the same one always leads.
    first.sort(axis=1)
    values = np.take_along_axis(logits, first, axis=1).astype(np.float64)
    order = np.argsort(-values, axis=1, kind="stable")
    scaled = np.take_along_axis(values, order, axis=1) / sampling.temperature
    shares = np.exp(scaled - scaled[:, :1])
    shares /= shares.sum(axis=1, keepdims=True)
    before = np.cumsum(shares, axis=1) - shares
    shares[before >= sampling.top_p] = 0
    bounds = np.cumsum(shares, axis=1)
    places = (rng.random(len(logits))[:, None] * bounds[:, -1:] >= bounds).sum(axis=1)
    chosen = np.minimum(places, (shares > 0).sum(axis=1) - 1)
    rows = np.arange(len(logits))
    return first[rows, order[rows, chosen]].astype(np.int64)
