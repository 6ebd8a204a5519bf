"""Posts that are not one author's one say: few authors, and copies of one text.

A crowd that grows repeats itself more (the same people post again within the minute), so the usual
share of repeats is fitted to the logarithm of the volume. A brigade or a swarm of bots is a share
far above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from stream.shifts.layout import Flags, Floats, Rows

SKETCH_ERROR: Final = 0.0081
"""Standard error of the estimate of unique authors, relative to it."""
_CUT: Final = 4.0
_LEAST_LEARNT: Final = 300.0
"""Posts before the usual share of a query is known well enough to be exceeded."""
_LEAST_USUAL: Final = 0.01
"""No crowd is thought to repeat itself less: a single repeat must not be a sensation."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Shares of posts that repeat an author, and that copy a text; (Q, 2) in this order.

    Attributes:
        share: observed share.
        usual: expected share.
        error: standard error of the difference.
        dispersion: (Q,) how much more it varies than a Poisson count.
        counted: rows and kinds that were counted.
        valid: those of them whose usual share is known.
    """

    share: Floats
    usual: Floats
    error: Floats
    dispersion: Floats
    counted: Flags
    valid: Flags

    def evidence(self, posts: Floats, more: Floats) -> Floats:
        """Return the log-likelihood ratio of a share that is `more` larger, against the usual one.

        Of Poisson counts, over their dispersion: repeats are few and skewed where posts are few,
        and a normal approximation would call every third repeat in fifteen posts a brigade.

        Args:
            posts: (Q,) posts of the pane.
            more: (Q, K, 2) how much larger.
        """
        usual, share = self.usual[:, None, :], self.share[:, None, :]
        size = (posts[:, None] / self.dispersion[:, None])[:, None, :]
        gain = share * np.log1p(more / usual) - more
        return gain * size * self.valid[:, None, :]

    @property
    def excess(self) -> Floats:
        """Return (Q, 2) observed less expected."""
        return (self.share - self.usual) * self.valid


def expect(core: Rows, pane: Rows) -> Repeats:
    """Compare a pane's repeats with the usual ones at its volume."""
    posts = pane["posts"]
    size = np.maximum(posts, 1.0)
    repeated = np.maximum(posts - pane["authors"], 0.0)
    share = np.stack([repeated, np.minimum(pane["copies"], posts)], axis=1) / size[:, None]
    slope, level = _line(core)
    usual = np.clip(level + slope * np.log1p(posts)[:, None], _LEAST_USUAL, 0.95)
    dispersion = np.maximum(1.0, core["dispersion"][:, 2, 0] / core["dispersion"][:, 2, 1])
    variance = usual * np.maximum(1 - usual, 0.05) / size[:, None] * dispersion[:, None]
    variance[:, 0] += (SKETCH_ERROR * pane["authors"] / size) ** 2
    learnt = core["repeats_gram"][:, :, 0] >= _LEAST_LEARNT
    there = np.stack([pane["authors"] > 0, pane["has_copies"] > 0], axis=1)
    counted = there & (posts > 0)[:, None]
    error = np.sqrt(variance + 1e-6)
    return Repeats(share, usual, error, dispersion, counted, counted & learnt)


def _line(core: Rows) -> tuple[Floats, Floats]:
    """Return slope and level of the share over log(1 + posts), (Q, 2) each."""
    gram, side = core["repeats_gram"], core["repeats_share"]
    n, first, second = gram[:, :, 0], gram[:, :, 1], gram[:, :, 2]
    determinant = np.maximum(n * second - first * first, 1e-9)
    slope = (n * side[:, :, 1] - first * side[:, :, 0]) / determinant
    return slope, (second * side[:, :, 0] - first * side[:, :, 1]) / determinant


def learn(core: Rows, pane: Rows, seen: Repeats, keep: float, learns: Flags) -> None:
    """Add a pane to the usual share; what is far above it teaches only as much as an outlier."""
    rows = learns[:, None] & seen.counted
    share = np.clip(seen.share, seen.usual - _CUT * seen.error, seen.usual + _CUT * seen.error)
    logs = np.log1p(pane["posts"])[:, None]
    weight = pane["posts"][:, None] * rows
    fade = np.where(rows, keep, 1.0)[:, :, None]
    gram = np.stack([weight, weight * logs, weight * logs * logs], axis=2)
    side = np.stack([weight * share, weight * share * logs], axis=2)
    core["repeats_gram"] = core["repeats_gram"] * fade + gram
    core["repeats_share"] = core["repeats_share"] * fade + side
