"""What a query's mean sentiment is expected to be, and who is expected to speak.

One weighted least-squares fit per query of the seasonal features to the mean and to the share of
every stratum, with exponential forgetting and a ridge towards "no season": cells that saw little
stay near the mean instead of following noise (shrinkage). The shares of the strata then always add
up to one and the expected mean is exactly the share-weighted mean of the strata, so a change splits
into mix and opinion without a remainder (Kitagawa 1955; Oaxaca 1973, weighted by what is now).

What is seen while a shift is suspected is held back: it is learnt when the suspicion passes and
dropped when it was a shift; otherwise a slow shift would teach the baseline to expect it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.shifts.layout import F, Flags, Floats, P, Rows, S
from stream.shifts.seasons import DAILY, DAY_S, WEEKLY, packed, products, quadratic, unpacked

DAILY_DEVIATION: Final = 0.05
WEEKLY_DEVIATION: Final = 0.03
"""How large a seasonal wave of the mean is thought to be before anything is known."""
STRATUM_PRIOR_POSTS: Final = 30.0
"""A stratum counts as speaking like all until it has many more posts than this."""
ACCEPTED_SHARE: Final = 0.02
"""What is left of the old baseline when a new level is accepted."""

_RIDGE: Final = np.zeros(F)
_RIDGE[0] = 1e-9
_RIDGE[DAILY] = 0.36 / DAILY_DEVIATION**2
_RIDGE[WEEKLY] = 0.36 / WEEKLY_DEVIATION**2


@dataclass(frozen=True, slots=True)
class Expected:
    """What was expected of a pane and what came instead.

    Attributes:
        rated: (Q,) rated posts.
        base: (Q,) expected mean.
        shares: (Q, S) expected share of each stratum.
        levels: (Q, S) expected mean of each stratum.
        opinion, mix: (Q,) the two parts of observed less expected mean.
        opinion_strata, mix_strata: (Q, S) their parts by stratum, times `rated`.
        variance: (Q,) of a post within its stratum.
        mix_variance: (Q,) of the level of a post's stratum.
        doubt: (Q,) standard error of `base` itself.
    """

    rated: Floats
    base: Floats
    shares: Floats
    levels: Floats
    opinion: Floats
    mix: Floats
    opinion_strata: Floats
    mix_strata: Floats
    variance: Floats
    mix_variance: Floats
    doubt: Floats


def expect(core: Rows, pane: Rows, feats: Floats) -> Expected:
    """Compare a pane with what its query's baseline expects."""
    fitted = np.einsum("qf,qfk->qk", feats, core["weights"])
    base, shares, tilt = fitted[:, 0], fitted[:, 1:], core["tilt"]
    usual_mix = (shares * tilt).sum(axis=1)
    levels = (base - usual_mix)[:, None] + tilt
    counts, sums = pane["rated"].astype(np.float64), pane["sentiment"].astype(np.float64)
    rated = counts.sum(axis=1)
    posts = np.maximum(rated, 1.0)
    opinion_strata = sums - counts * levels
    mix_strata = (counts - rated[:, None] * shares) * (levels - base[:, None])
    variance = core["spread"][:, 0] / core["spread"][:, 1]
    mix_variance = np.maximum(shares, 0.0) * (levels - base[:, None]) ** 2
    doubt = variance * quadratic(core["inverse"], products(feats))
    return Expected(
        rated=rated,
        base=base,
        shares=shares,
        levels=levels,
        opinion=opinion_strata.sum(axis=1) / posts,
        mix=mix_strata.sum(axis=1) / posts,
        opinion_strata=opinion_strata,
        mix_strata=mix_strata,
        variance=np.maximum(variance, 1e-4),
        mix_variance=mix_variance.sum(axis=1),
        doubt=np.sqrt(doubt),
    )


def learn(
    core: Rows, pane: Rows, feats: Floats, expected: Expected, surprise: Floats, keep: float,
    learns: Flags, holds: Flags,
) -> None:  # fmt: skip
    """Add a pane to what is learnt, or to what is held back.

    Args:
        core: states, changed in place.
        pane: what was counted.
        feats: (Q, F) of the pane.
        expected: from `expect`.
        surprise: (Q,) how much of the opinion residual is cut off as an outlier.
        keep: what is left of old weights after a pane.
        learns: rows that learn at all.
        holds: rows that hold it back.
    """
    now = learns & ~holds
    held = learns & holds
    total = pane["sentiment"].sum(axis=1, dtype=np.float64) - expected.rated * surprise
    fade = np.where(learns, keep, 1.0)
    for part, rows in (("learnt", now), ("held", held)):
        if part == "held" and not (held.any() or (core["held_since"] >= 0).any()):
            continue  # all zeros, and they stay so
        fit = core[part]
        row = rows.astype(np.float64)
        gram, shares = fit["gram"], fit["shares"]
        gram *= fade[:, None]
        gram += products(feats) * (expected.rated * row)[:, None]
        shares *= fade[:, None, None]
        shares += feats[:, :, None] * (pane["rated"] * row[:, None])[:, None, :]
        fit["mean"] = fit["mean"] * fade[:, None] + feats * (total * row)[:, None]
        fit["strata"] = fit["strata"] * fade[:, None] + pane["sentiment"] * row[:, None]
    _learn_spread(core, pane, expected, keep, now)


def _learn_spread(core: Rows, pane: Rows, expected: Expected, keep: float, now: Flags) -> None:
    levels = expected.levels
    inside = (pane["rated"] * levels * levels - 2 * levels * pane["sentiment"]).sum(axis=1)
    squares = np.maximum(0.0, pane["square"] + inside)
    row = now & (expected.rated > 0)
    fade = np.where(row, keep, 1.0)
    core["spread"][:, 0] = core["spread"][:, 0] * fade + squares * row
    core["spread"][:, 1] = core["spread"][:, 1] * fade + expected.rated * row


def settle(core: Rows, rows: Flags, share: float) -> None:
    """End the holding back of `rows`: learn it in full, on top of `share` of what was known."""
    for name in ("gram", "shares", "mean", "strata"):
        learnt, held = core["learnt"][name], core["held"][name]
        learnt[rows] = learnt[rows] * share + held[rows]
    drop_held(core, rows)


def drop_held(core: Rows, rows: Flags) -> None:
    """End the holding back of `rows` and forget what was held."""
    core["held"][rows] = 0
    core["held_since"][rows] = -1


def refit(core: Rows, age_s: NDArray[np.int64]) -> None:
    """Fit the baselines of all rows again, in place; `age_s` is how long each was known."""
    fit = core["learnt"]
    gram = unpacked(fit["gram"])
    # Before a day was seen whole, waves would follow whatever the hours so far were like.
    stiff = np.maximum(1.0, DAY_S / np.maximum(age_s, 60)) ** 2
    gram[:, range(1, F), range(1, F)] += _RIDGE[1:] * stiff[:, None]
    gram[:, 0, 0] += _RIDGE[0]
    empty = fit["gram"][:, 0] <= 0
    gram[empty] = np.eye(F)
    inverse: Floats = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    sides = np.concatenate([fit["mean"][:, :, None], fit["shares"]], axis=2)
    weights = inverse @ sides
    core["weights"] = weights
    core["inverse"] = packed(inverse)
    # The level of the strata, season apart: one step of alternating least squares a fit.
    posts = fit["shares"][:, 0, :]
    level = weights[:, :, 0] - np.einsum("qfs,qs->qf", weights[:, :, 1:], core["tilt"])
    season = np.einsum("qfs,qf->qs", fit["shares"], level)
    tilt = (fit["strata"] - season) / (posts + STRATUM_PRIOR_POSTS)
    total = np.maximum(posts.sum(axis=1), 1e-9)
    core["tilt"] = tilt - ((posts * tilt).sum(axis=1) / total)[:, None]


assert (P, S) == (91, 24)  # noqa: S101 stored states depend on it
