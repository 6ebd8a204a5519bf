"""Forecasts sharpened by the counts seen so far: a posterior over the final count.

One number, one interval and one surprise of each target of each post of a batch, at any age. See
`models.engagement.posterior` for the arithmetic, `models.engagement.exposure` for what is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.engagement.distributions import Doubles
from models.engagement.exposure import Exposed
from models.engagement.posterior import Sharpening
from models.engagement.rarity import rectified

Places = NDArray[np.integer[Any]]

_BLOCK: Final = 256


@dataclass(frozen=True, slots=True)
class Sharpened:
    """What is expected once counts were seen.

    Attributes:
        quantiles: (B, 3, 5) log1p of final counts at `LEVELS`; the prior where none was seen.
        surprise: (B, 3) how likely it is that a post as forecast has as many or more by its age,
            in units that `Exposure.learn_least` keeps honest; NaN where none was seen.
        raw: (B, 3) the same as the forecast has it.
    """

    quantiles: NDArray[np.float32]
    surprise: Doubles
    raw: Doubles


def sharpen(prior: ArrayLike, seen: ArrayLike, exposed: Exposed) -> Sharpened:
    """Return what is expected of posts, given what was seen.

    Args:
        prior: (B, 3, 5) log1p of the final counts that were expected when the post was seen (not
            what this function returned later: counts would count twice); a target with NaN is not
            forecast.
        seen: (B, 3) counts so far; NaN is unknown.
        exposed: What is expected by the ages of the posts, (B,) rows.
    """
    quantiles = np.array(prior, np.float32)
    counts = np.asarray(seen, np.float64)
    surprise, raw = np.full(counts.shape, np.nan), np.full(counts.shape, np.nan)
    rows, targets = np.nonzero((counts >= 0) & np.isfinite(quantiles).all(axis=2))
    for row, target in _blocks(rows, targets):
        pairs = Sharpening(
            quantiles[row, target].astype(np.float64), counts[row, target],
            exposed.share[row, target], exposed.dispersion[row, target],
        )  # fmt: skip
        quantiles[row, target] = pairs.quantiles()
        raw[row, target] = found = pairs.surprise()
        surprise[row, target] = rectified(found, exposed.offset[row], exposed.stretch[row])
    return Sharpened(quantiles, surprise, raw)


def log_scores(prior: ArrayLike, seen: ArrayLike, finals: ArrayLike, exposed: Exposed) -> Doubles:
    """Return (B, 3) log probabilities of what was still to come, NaN where something is unknown.

    Args:
        prior: (B, 3, 5) as for `sharpen`.
        seen: (B, 3) as for `sharpen`.
        exposed: (B,) rows, as for `sharpen`.
        finals: (B, 3) final counts, not below what was seen.
    """
    quantiles = np.asarray(prior, np.float64)
    counts, ends = np.asarray(seen, np.float64), np.asarray(finals, np.float64)
    found = np.full(counts.shape, np.nan)
    known = (counts >= 0) & (ends >= counts) & np.isfinite(quantiles).all(axis=2)
    for row, target in _blocks(*np.nonzero(known)):
        pairs = Sharpening(
            quantiles[row, target], counts[row, target],
            exposed.share[row, target], exposed.dispersion[row, target],
        )  # fmt: skip
        found[row, target] = pairs.log_probability(ends[row, target])
    return found


def five_levels(tenth: ArrayLike, middle: ArrayLike, ninetieth: ArrayLike) -> NDArray[np.float32]:
    """Return (..., 5) the quantiles of a prior of which three were kept.

    The two between lie halfway, as they do for the prior of this module.
    """
    low, mid, high = (np.asarray(value, np.float32) for value in (tenth, middle, ninetieth))
    levels = [low, (low + mid) / 2, mid, (mid + high) / 2, high]
    return np.stack(levels, axis=-1).astype(np.float32)


def _blocks(rows: Places, targets: Places) -> Iterator[tuple[Places, Places]]:
    """Yield pairs in runs whose arrays stay in the processor's cache."""
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK], targets[start : start + _BLOCK]
