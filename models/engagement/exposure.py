"""Which share of its final count a post has by an age, learnt per source from what came of posts.

Beside the share F(age) of each target it learns how much posts differ in it (see
`models.engagement.distributions`) and how low the surprise of ordinary posts goes, so that
surprises mean what they say.

A count by an age and the final one must be of one post. The record of a pending post has no room
for both, so they are kept of a sample of posts, see `models.engagement.count_sample`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from models.engagement.count_sample import SAMPLE, CountSample
from models.engagement.distributions import Doubles, logit
from models.engagement.layout import TARGETS
from models.engagement.posterior import of_dispersions
from models.engagement.rarity import RARE

LAYOUT: Final = 1
AGES_S: Final = (60.0, 300.0, 900.0, 3_600.0, 21_600.0)
"""Ages whose share is learnt; between them it is interpolated in the logarithm of the age."""
_LOG_AGES: Final = np.log(AGES_S)
USUAL: Final = (0.02, 0.08, 0.18, 0.42, 0.78)
"""Shares by `AGES_S` that are assumed of a source of which nothing is known."""
DISPERSIONS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_USUAL_DISPERSION: Final = 4.0
_ALIKE: Final = 0.3
"""An age counts so much for the dispersion of the next one; the square for the one after that."""
_PRIOR_WEIGHT: Final = 8.0
_MEMORY: Final = 500.0
"""Posts over which sums decay by a factor of e."""
_LEAST_AGE_S: Final = 15.0
"""Below it the share is that of this age: clocks of platforms differ by seconds."""
_NEIGHBOUR: Final = 0.5
"""An age tells the next one about the usual curve so much; the one after that the square."""
_MAX_LOSS: Final = 8.0
"""No single post says more than this against a dispersion."""
_MAX_EXCESS: Final = 1.5
"""In units of the stretch: beyond it a post that does take off says no more than another."""
_MEAN_EXCESS: Final = 1 - float(np.exp(-_MAX_EXCESS))
"""That of an exponential tail of one unit, cut off there."""
_MAX_OFFSET: Final = 4.0
_STRETCHES: Final = (0.3, 3.0)

STATE: Final = np.dtype(
    [
        ("layout", "u1"),
        ("seen", "<f4", (len(TARGETS), len(AGES_S))),  # decayed, weighted sums
        ("final", "<f4", (len(TARGETS), len(AGES_S))),
        ("fit", "<f4", (len(TARGETS), len(AGES_S), len(DISPERSIONS))),  # decayed log likelihoods
        ("offset", "<f4"),
        ("stretch", "<f4"),
        ("settled", "<u4"),
        ("rare", "<u4"),
        ("sample", SAMPLE),
    ]
)
"""A source in a partition: about 15 kB, most of it the sample."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """What is expected of the posts of a batch by their ages, whatever their sources.

    Attributes:
        share: (B, 3) the expected share of the final count, in [0, 1]; 1 from the horizon on.
        dispersion: (B, 3) see `models.engagement.distributions.shapes`.
        offset, stretch: (B,) what ordinary posts say about surprises, see `Exposure.learn_least`.
    """

    share: Doubles
    dispersion: Doubles
    offset: Doubles
    stretch: Doubles

    @classmethod
    def joined(cls, parts: Sequence[Exposed]) -> Exposed:
        """Return the rows of several as one."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__)
        )


class Exposure:
    """What is learnt of one source; bounded, deterministic.

    Args:
        horizon_s: The age of a post at which its count is final.
    """

    def __init__(self, horizon_s: float) -> None:
        self._horizon_s = horizon_s
        self._knots = [*(age for age in AGES_S if age < horizon_s), horizon_s]
        self._state = np.zeros(1, STATE)[0]
        self._state["layout"] = LAYOUT
        self._state["stretch"] = 1.0
        self._sample = CountSample(self._state["sample"], horizon_s)

    @classmethod
    def from_blob(cls, blob: bytes, horizon_s: float) -> Exposure:
        """Return what was kept.

        Raises:
            ValueError: It is of another layout or size, or holds what was never written.
        """
        if len(blob) != STATE.itemsize or blob[0] != LAYOUT:
            raise ValueError(f"an exposure has another layout or size than {STATE.itemsize} bytes")
        found = cls(horizon_s)
        state = np.frombuffer(bytearray(blob), STATE)[0]
        found._state = state
        sums = np.concatenate([state[name].ravel() for name in ("seen", "final")])
        sane = (
            np.isfinite(sums).all()
            and (sums >= 0).all()
            and (state["seen"] <= state["final"]).all()
            and np.isfinite(state["fit"]).all()
            and abs(state["offset"]) <= _MAX_OFFSET
            and _STRETCHES[0] <= state["stretch"] <= _STRETCHES[1]
        )  # fmt: skip
        if not sane:
            raise ValueError("an exposure holds numbers that are none of its own")
        found._sample = CountSample(state["sample"], horizon_s)
        return found

    def to_blob(self) -> bytes:
        """Return it as bytes, `STATE.itemsize` of them."""
        return self._state.tobytes()

    def at(self, ages_s: ArrayLike) -> Exposed:
        """Return what is expected of posts of this source by their ages, in seconds; (B,)."""
        ages = np.atleast_1d(np.asarray(ages_s, np.float64))
        return Exposed(
            self.share(ages),
            self.dispersion(ages),
            np.full(len(ages), float(self._state["offset"])),
            np.full(len(ages), float(self._state["stretch"])),
        )

    def share(self, ages_s: ArrayLike) -> Doubles:
        """Return (B, 3) the expected share of the final count by each age; never decreasing."""
        ages = np.maximum(np.atleast_1d(np.asarray(ages_s, np.float64)), _LEAST_AGE_S)
        found = np.empty((len(ages), len(TARGETS)))
        for target, curve in enumerate(self._curves()):
            shares = [*curve, 1.0]
            found[:, target] = np.interp(np.log(ages), np.log(self._knots), shares)
            first = ages < self._knots[0]
            early = np.log(ages[first] / self._knots[0])
            found[first, target] = shares[0] * np.exp(early * self._first_power(shares))
        return found

    def _first_power(self, shares: Sequence[float]) -> float:
        """Return the power of the age by which a share grows to the second knot, at most 1."""
        grown = np.log(shares[1] / shares[0]) / np.log(self._knots[1] / self._knots[0])
        return float(min(grown, 1.0))

    def dispersion(self, ages_s: ArrayLike) -> Doubles:
        """Return (B, 3) how alike posts are in their shares by each age; large is alike."""
        ages = np.atleast_1d(np.asarray(ages_s, np.float64))
        logs = np.log(DISPERSIONS)
        apart = np.abs(np.subtract.outer(np.arange(len(AGES_S)), np.arange(len(AGES_S))))
        near = _ALIKE**apart
        found = np.empty((len(ages), len(TARGETS)))
        for target, fit in enumerate(self._state["fit"]):
            total = near @ fit - (logs - np.log(_USUAL_DISPERSION)) ** 2 / 2
            weights = np.exp(total - total.max(axis=1, keepdims=True))
            means = (weights * logs).sum(axis=1) / weights.sum(axis=1)
            found[:, target] = np.exp(np.interp(np.log(np.maximum(ages, 1)), _LOG_AGES, means))
        return found

    def observe(
        self, age_s: float, counts: ArrayLike, finals: ArrayLike, prior: ArrayLike | None = None
    ) -> None:
        """Learn from a post whose horizon is over.

        Args:
            age_s: An age of the post, in seconds, below the horizon; others teach nothing.
            counts: (3,) its counts by then; NaN is unknown.
            finals: (3,) its final counts; as `counts`.
            prior: (3, 5) log1p of what was forecast when it was posted. With it that dispersion is
                learnt which predicts best what is still to come, and not the one that explains the
                shares best; they differ as far as the model is wrong.
        """
        counts, finals = np.asarray(counts, np.float64), np.asarray(finals, np.float64)
        known = (finals >= 1) & (counts >= 0)  # a NaN is neither
        if not 0 < age_s < self._horizon_s or not known.any():
            return
        expected = np.clip(self.share(age_s)[0], 1e-4, 1 - 1e-4)
        dispersion = self.dispersion(age_s)[0]
        priors = np.full((3, 5), np.nan) if prior is None else np.asarray(prior, np.float64)
        for target in np.flatnonzero(known).tolist():
            final = float(finals[target])
            seen = min(float(counts[target]), final)  # who takes back a like was there before
            weight = (dispersion[target] + 1) / (dispersion[target] + final)
            share = float(expected[target])
            self._learn_share(target, age_s, seen * weight, final * weight, share)
            likely = of_dispersions(seen, final, share, DISPERSIONS, priors[target])
            fit = self._state["fit"][target][int(np.argmin(np.abs(_LOG_AGES - np.log(age_s))))]
            fit *= 1 - 1 / _MEMORY
            fit += np.maximum(likely - likely.max(), -_MAX_LOSS)

    def learn_least(self, raw: float) -> None:
        """Learn from the least surprise that a post had in its time, of all looks and targets.

        One in a hundred ordinary posts is to come below `RARE`, and those by one unit of -log
        surprise in the mean (Hill 1975). In these units an offset is moved until the first holds
        and a stretch beyond it until the second does, as in adaptive conformal inference (Gibbs
        and Candès 2021); so neither repeated looks nor a forecast's too light tails make rare what
        is not.

        Judged by the present ones: by those of the look they would move on for a horizon.

        Args:
            raw: The surprise as the forecast had it.
        """
        state = self._state
        offset, stretch = float(state["offset"]), float(state["stretch"])
        excess = (math.log(RARE / max(raw, 1e-300)) - offset) / stretch  # as `rectified` has it
        settled = int(state["settled"])
        step, is_rare = max(0.05, min(0.5, 100 / (settled + 200))), excess > 0
        offset += step * (is_rare - RARE)
        state["offset"] = min(max(offset, -_MAX_OFFSET / 2), _MAX_OFFSET)
        state["settled"] = min(settled + 1, 2**32 - 1)
        if is_rare:
            rare = int(state["rare"])
            step = max(0.01, 1 / (rare + 10))
            moved = stretch * math.exp(step * (min(excess, _MAX_EXCESS) - _MEAN_EXCESS))
            state["stretch"] = min(max(moved, _STRETCHES[0]), _STRETCHES[1])
            state["rare"] = min(rare + 1, 2**32 - 1)

    def sample(self, key: bytes, at_s: float, age_s: float, counts: ArrayLike) -> None:
        """Keep the counts of a post by an age, if it is in the sample or there is room for it.

        Args:
            key: The twelve bytes of the post.
            at_s: Its time, in seconds since 1970.
            age_s: The age, in seconds; four of them are kept of a post.
            counts: (3,) its counts by then; NaN is unknown.
        """
        self._sample.keep(key, at_s, age_s, counts)

    def settle(self, key: bytes, finals: ArrayLike, prior: ArrayLike | None = None) -> None:
        """Learn from a post whose horizon is over, if it is in the sample, and forget it.

        Args:
            key: The twelve bytes of the post.
            finals: (3,) its final counts; NaN is unknown.
            prior: (3, 5) as for `observe`.
        """
        for age_s, counts in self._sample.take(key):
            self.observe(age_s, counts, finals, prior)

    def has(self, key: bytes) -> bool:
        """Tell whether a post is in the sample."""
        return key in self._sample

    def forget(self, key: bytes) -> None:
        """Forget a post, if it is in the sample."""
        self._sample.take(key)

    def _learn_share(
        self, target: int, age_s: float, seen: float, final: float, expected: float
    ) -> None:
        """Add to the sums of the ages on both sides, by how near they are in log age."""
        known = len(self._knots) - 1
        place = float(np.interp(np.log(age_s), np.log(self._knots), np.arange(known + 1)))
        curve = self._curves()[target]
        for rung, near in ((int(place), 1 - place % 1), (int(place) + 1, place % 1)):
            if near <= 0 or rung >= known:
                continue
            there = min(final, seen * float(curve[rung]) / expected)
            for name, value in (("seen", there), ("final", final)):
                sums = self._state[name][target]
                sums[rung] = sums[rung] * (1 - near / _MEMORY) + near * value

    def _curves(self) -> Doubles:
        """Return (3, A) the shares by the ages that are below the horizon.

        Each is a ratio of sums of what was seen, with a prior that is worth a few posts: the usual
        curve, moved (in log odds) as the neighbours say, as far as they know.
        """
        known = len(self._knots) - 1
        usual = logit(np.array(USUAL[:known]))
        seen = self._state["seen"][:, :known].astype(np.float64)
        final = self._state["final"][:, :known].astype(np.float64)
        raw = logit((seen + 0.5) / (final + 1))
        trust = final / (final + _PRIOR_WEIGHT)
        apart = np.abs(np.subtract.outer(np.arange(known), np.arange(known)))
        near = np.where(apart > 0, _NEIGHBOUR**apart, 0.0)
        moved = (trust * (raw - usual)) @ near / (trust @ near + 0.1)
        prior = 1 / (1 + np.exp(-(usual + moved)))
        shares = (seen + _PRIOR_WEIGHT * prior) / (final + _PRIOR_WEIGHT)
        return np.clip(np.maximum.accumulate(shares, axis=1), 1e-4, 1 - 1e-4)
