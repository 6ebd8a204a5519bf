"""How many posts are expected, and how far a count is from it.

The logarithm of the rate is fitted to the seasonal features. Counts of public conversation vary
more than Poisson's: the variance is rate + excess x rate^2 (negative binomial), the excess is
estimated, and a count is compared on Anscombe's (1948) scale, where it is nearly normal with
variance one for small and large rates alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.shifts.layout import F, Flags, Floats, Rows
from stream.shifts.seasons import DAILY, DAY_S, WEEKLY, packed, products, quadratic, unpacked

_RIDGE: Final = np.zeros(F)
_RIDGE[0] = 0.01
_RIDGE[DAILY] = 1 / 0.5**2
_RIDGE[WEEKLY] = 1 / 0.2**2
_LEAST_EXCESS: Final = 0.002
_WANDER: Final = 2.0
"""Variance that slow wandering of the volume adds to a mean over panes, times their number.

Panes of one hour are not as many independent looks at a season as they are panes: 8 % of wandering
that lasts three hours weighs as much as this. Without it a baseline of one day believes itself."""
_MOST_JUMP: Final = 1.5
"""A pane teaches at most this log-ratio: one burst is no new level."""


@dataclass(frozen=True, slots=True)
class ExpectedVolume:
    """Expected posts of a pane and the difference; all (Q,).

    Attributes:
        rate: expected posts.
        log_ratio: observed over expected on the stabilised scale, in logarithms.
        error: its standard error.
        doubt: standard error of the logarithm of `rate` itself.
    """

    rate: Floats
    log_ratio: Floats
    error: Floats
    doubt: Floats


def expect(core: Rows, pane: Rows, feats: Floats) -> ExpectedVolume:
    """Compare a pane's posts with what its query's baseline expects."""
    log_rate = np.einsum("qf,qf->q", feats, core["volume_weights"])
    rate = np.exp(np.clip(log_rate, -3.0, 16.0))
    excess = excess_of(core)
    errors = _stable(pane["posts"], excess, 0.375) - _stable(rate, excess, 0.125)
    error = np.sqrt(1 / rate + excess)
    doubt = np.sqrt(quadratic(core["volume_inverse"], products(feats)))
    return ExpectedVolume(rate, errors * error, error, doubt)


def excess_of(core: Rows) -> Floats:
    """Return (Q,) the estimated excess of the variance over Poisson's, relative to rate^2."""
    return np.maximum(_LEAST_EXCESS, core["excess"][:, 0] / core["excess"][:, 1])


def _stable(counts: Floats, excess: Floats, offset: float) -> Floats:
    """Return Anscombe's transform of a negative binomial count, with unit variance.

    The offset that steadies the variance of a count is 3/8; the transform's mean is then that of
    the rate with 1/8.
    """
    inside = excess * (counts + offset) / (1 - 0.75 * excess).clip(0.25)
    return 2 / np.sqrt(excess) * np.arcsinh(np.sqrt(inside))


def learn(
    core: Rows, pane: Rows, feats: Floats, expected: ExpectedVolume, keep: float,
    learns: Flags, holds: Flags,
) -> None:  # fmt: skip
    """Add a pane to what is learnt of volume, or to what is held back."""
    rate, posts = expected.rate, pane["posts"]
    weight = learns / (1 / rate + excess_of(core) + _WANDER)
    # On the stabilised scale, where few posts leave no bias: log(n + 1/2) would, of 9 % at five.
    target = np.log(rate) + np.clip(expected.log_ratio, -_MOST_JUMP, _MOST_JUMP)
    gram = products(feats) * weight[:, None]
    side = feats * (weight * target)[:, None]
    now, held = learns & ~holds, learns & holds
    fade = np.where(learns, keep, 1.0)[:, None]
    for part, rows in (("volume_learnt", now), ("volume_held", held)):
        if part == "volume_held" and not (held.any() or (core["volume_held_since"] >= 0).any()):
            continue  # all zeros, and they stay so
        row = rows.astype(np.float64)[:, None]
        fit = core[part]
        fit["gram"] = fit["gram"] * fade + gram * row
        fit["log"] = fit["log"] * fade + side * row
    error = posts - rate
    usual = rate + excess_of(core) * rate * rate
    square = np.minimum(error * error, 12 * usual)
    scale = now / (1 + rate) ** 2
    fade = np.where(now, keep, 1.0)
    core["excess"][:, 0] = core["excess"][:, 0] * fade + (square - rate) * scale
    core["excess"][:, 1] = core["excess"][:, 1] * fade + rate * rate * scale


def settle(core: Rows, rows: Flags, share: float) -> None:
    """Learn what was held back for `rows`, on top of `share` of what was known."""
    for name in ("gram", "log"):
        learnt, held = core["volume_learnt"][name], core["volume_held"][name]
        learnt[rows] = learnt[rows] * share + held[rows]
    drop_held(core, rows)


def drop_held(core: Rows, rows: Flags) -> None:
    """Forget what was held back for `rows`."""
    core["volume_held"][rows] = 0
    core["volume_held_since"][rows] = -1


def refit(core: Rows, age_s: NDArray[np.int64]) -> None:
    """Fit the volume baselines of all rows again, in place; `age_s` is how long each was known."""
    fit = core["volume_learnt"]
    gram = unpacked(fit["gram"])
    stiff = np.maximum(1.0, DAY_S / np.maximum(age_s, 60)) ** 2
    gram[:, range(1, F), range(1, F)] += _RIDGE[1:] * stiff[:, None]
    gram[:, 0, 0] += _RIDGE[0]
    inverse: Floats = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    core["volume_weights"] = np.einsum("qfg,qg->qf", inverse, fit["log"])
    core["volume_inverse"] = packed(inverse)
