"""Posteriors over final counts, once some were seen.

The prior goes through the five quantiles of a forecast, in logs, with tails that fall slower than
those of a normal distribution. The likelihood of what was seen is beta-binomial in the share of the
final count that is expected by the age. Both are summed over counts still to come, on a grid that
is dense near none and logarithmic beyond; so nothing is ever expected below what was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.distributions import Doubles, log_beta_binomial, shapes
from models.engagement.layout import LEVELS

_STEPS: Final = 36
_SCORE: Final = float(np.log(9))  # logistic scores of the levels .9 and, halved, .75
_LEAST_STEP: Final = 0.02
_LEAST_SCALE: Final = 0.35
"""Of a tail, in logs: a forecast of nothing at all does not make two likes a wonder."""
_ODD: Final = 0.002
"""One post in so many goes by no forecast: its log count may be any, with a tail of Pareto's."""
_MAX_LOG: Final = 30.0
_SURE: Final = 1 - 1e-6


class Curve:
    """Priors as distributions, (M,) of them, of counts as logs.

    Args:
        quantiles: (M, 5).
    """

    def __init__(self, quantiles: Doubles) -> None:
        ordered = np.maximum.accumulate(quantiles, axis=1)
        steps = np.maximum(np.diff(ordered, axis=1), _LEAST_STEP)
        self.middle = ordered[:, 2]
        self._widths = {True: steps[:, 2:], False: steps[:, 1::-1]}
        self.scales = {
            side: np.maximum(widths.sum(axis=1), _LEAST_SCALE)
            for side, widths in self._widths.items()
        }

    def places(self) -> Doubles:
        """Return (M, P) logs from below the tenth to where one in a hundred thousand is above."""
        up, down = self._widths[True], self._widths[False]
        ninetieth, tenth = self.middle + up.sum(axis=1), self.middle - down.sum(axis=1)
        inside = [self.middle + share * up[:, 0] for share in (0.0, 0.5, 1.0)]
        inside += [self.middle + up[:, 0] + share * up[:, 1] for share in (0.5, 1.0)]
        inside += [self.middle - share * down[:, 0] for share in (0.5, 1.0)]
        inside += [self.middle - down[:, 0] - share * down[:, 1] for share in (0.5, 1.0)]
        below = [tenth - share * self.scales[False] for share in (1.0, 0.4)]
        above = [ninetieth + share * self.scales[True] for share in (0.4, 1.0, 2.0, 3.7)]
        return np.stack([*below, *inside, *above], axis=1)

    def parts(self, counts: Doubles) -> tuple[Doubles, NDArray[np.bool_]]:
        """Return (M, ...) the smaller of P(below) and P(above) at counts, and whether it is above.

        Between the quantiles the logistic score is linear in logs. Beyond the outer ones the log
        of the tail grows as the distance to the power 1.5: between an exponential and a normal
        tail, as it was measured on the sets of posts.
        """
        logs = np.log(counts + 1)
        distance = logs - self.middle[:, None]
        is_above = distance >= 0
        first, second, scale = (
            np.where(is_above, up[:, None], down[:, None])
            for up, down in zip(self._sides(True), self._sides(False), strict=True)
        )
        distance = np.abs(distance)
        score = np.minimum(distance / first, 1)
        score += np.clip((distance - first) / second, 0, 1)
        beyond = 1 + np.maximum(distance - first - second, 0) / scale
        tail = np.minimum(beyond * np.sqrt(beyond) - 1, 600)
        return np.exp(-tail) / (1 + np.exp(score * (_SCORE / 2))), is_above

    def _sides(self, above: bool) -> tuple[Doubles, Doubles, Doubles]:
        widths = self._widths[above]
        return widths[:, 0], widths[:, 1], self.scales[above]

    def masses(self, edges: Doubles, is_first: NDArray[np.bool_]) -> tuple[Doubles, Doubles]:
        """Return (M, G) what there is between edges, odd posts in it, and the mean of P(N or more).

        Args:
            edges: (M, G + 1) increasing counts, whole and a half.
            is_first: (M,) whether the first edge is below any count.
        """
        part, is_above = self.parts(edges)
        far = np.abs(np.log(edges + 1) - self.middle[:, None])
        odd = np.exp(-far) / 2
        above = np.where(is_above, part, 1 - part)
        same = is_above[:, :-1] == is_above[:, 1:]
        masses = np.zeros_like(part[:, 1:])
        for side, weight in ((part, 1 - _ODD), (odd, _ODD)):
            side[is_first, 0] = is_above[is_first, 0]
            low, high = side[:, :-1], side[:, 1:]
            masses += weight * np.where(same, np.abs(low - high), 1 - low - high)
        width = np.maximum(np.diff(edges, axis=1), 1)
        return masses, above[:, :-1] + np.diff(above, axis=1) * (width - 1) / (2 * width)


class Sharpening:
    """Posts and targets of which a count was seen, `M` of them, on `G` cells of counts to come.

    Args:
        prior: (M, 5) log1p of expected final counts.
        seen: (M,) counts.
        share: (M,) the share of the final count that is expected by the age; 1 is the end.
        dispersion: (M,) how alike posts are in it, see `models.engagement.distributions`.
    """

    def __init__(self, prior: Doubles, seen: Doubles, share: Doubles, dispersion: Doubles) -> None:
        self._prior, self._seen, self._is_over = prior, seen, share >= 1
        self._nothing_known = (share <= 0) & (seen == 0)
        self._share = np.clip(share, 1e-6, _SURE)
        self._shapes = shapes(self._share, dispersion)
        self._curve = Curve(prior)
        edges = self._edges()
        self._low, self._high = edges[:, :-1], edges[:, 1:]  # from low on, below high
        self._coming = np.maximum((self._low + self._high - 1) / 2, self._low)
        odd, self._above = self._curve.masses(edges + seen[:, None] - 0.5, seen == 0)
        self._log_likely = self._likelihood(self._coming)
        self._peak = self._log_likely.max(axis=1, keepdims=True)
        with np.errstate(under="ignore"):
            self._posterior = odd * np.exp(np.maximum(self._log_likely - self._peak, -600))
        self._sum = self._posterior.sum(axis=1)

    def _edges(self) -> Doubles:
        """Return (M, G + 1) counts to come: logarithmic steps, and dense where the prior is."""
        by_seen = np.log1p(self._seen / self._share) + 3
        places = self._curve.places()
        reach = np.clip(np.maximum(places[:, -1], by_seen), 3, _MAX_LOG)
        even = np.expm1(reach[:, None] * np.arange(_STEPS + 1) / _STEPS)
        of_prior = np.expm1(places) + 0.5 - self._seen[:, None]
        both = np.concatenate([even, np.clip(of_prior, 0, even[:, -1:])], axis=1)
        return np.sort(np.ceil(both), axis=1)

    def _likelihood(self, coming: Doubles) -> Doubles:
        a, b = (shape[:, None] for shape in self._shapes)
        return log_beta_binomial(self._seen[:, None], coming, a, b)

    def quantiles(self) -> Doubles:
        """Return (M, 5) log1p of the final counts at `LEVELS`."""
        cumulated = np.cumsum(self._posterior, axis=1) / self._sum[:, None]
        rows = np.arange(len(self._seen))
        found = np.empty((len(rows), len(LEVELS)))
        for place, level in enumerate(LEVELS):
            cell = np.minimum((cumulated < level).sum(axis=1), cumulated.shape[1] - 1)
            before = np.where(cell > 0, cumulated[rows, cell - 1], 0.0)
            inside = (level - before) / np.maximum(cumulated[rows, cell] - before, 1e-300)
            low, high = self._low[rows, cell] + 0.5, self._high[rows, cell] + 0.5
            coming = low * (high / low) ** np.clip(inside, 0, 1) - 1
            found[:, place] = np.log1p(self._seen + np.maximum(coming, 0))
        found[self._is_over] = np.log1p(self._seen[self._is_over])[:, None]
        found[self._nothing_known] = self._prior[self._nothing_known]
        return np.maximum.accumulate(found, axis=1)

    def log_probability(self, finals: Doubles) -> Doubles:
        """Return (M,) log probabilities of final counts."""
        edges = np.stack([finals - 0.5, finals + 0.5], axis=1)
        odd, _ = self._curve.masses(edges, finals == 0)
        likely = self._likelihood((finals - self._seen)[:, None])[:, 0] - self._peak[:, 0]
        return np.log(np.maximum(odd[:, 0], 1e-300)) + likely - np.log(self._sum)

    def surprise(self) -> Doubles:
        """Return (M,) P(N >= seen by the age | forecast).

        The n-th engagement is there by the age if the final count is at least W, the number of
        engagements of which n are there for the first time; and P(W = n + r) is the likelihood of
        n by the age and r after it, times n / (n + r).
        """
        seen = self._seen[:, None]
        width = self._high - self._low
        waiting = np.exp(np.maximum(self._log_likely, -600)) * width
        waiting *= seen / np.maximum(seen + self._coming, 1)
        found = np.minimum((waiting * self._above).sum(axis=1), 1)
        part, is_above = self._curve.parts(seen - 0.5)
        at_end = np.where(is_above, part, 1 - part)[:, 0]
        found = np.where(self._is_over, at_end, np.minimum(found, at_end))
        return np.where(self._seen == 0, 1.0, found)


def of_dispersions(
    seen: float, final: float, share: float, dispersions: Sequence[float], prior: Doubles
) -> Doubles:
    """Return (D,) log probabilities of what was still to come after `seen`, by dispersions.

    Without a prior that is known, those of the share alone.
    """
    if not np.isfinite(prior).all():
        return log_beta_binomial(seen, final - seen, *shapes(share, dispersions))
    rows = len(dispersions)
    seen_of, shares = np.full(rows, seen), np.full(rows, share)
    posterior = Sharpening(np.tile(prior, (rows, 1)), seen_of, shares, np.array(dispersions))
    return posterior.log_probability(np.full(rows, final))
