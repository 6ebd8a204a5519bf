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

from stream.shifts.columns import Flags, Floats, Ints, RecordColumn, Records, Rows
from stream.shifts.layout import F, P, PaneCounts, S
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


class MeanFit(Records):
    """Weighted sums of the panes that were seen."""

    gram = RecordColumn[Floats]("f8", (P,))
    """Of weight x feature x feature."""
    shares = RecordColumn[Floats]("f8", (F, S))
    """Of feature x rated posts of a stratum."""
    mean = RecordColumn[Floats]("f8", (F,))
    """Of feature x sentiment."""
    strata = RecordColumn[Floats]("f8", (S,))
    """Of the sentiment of a stratum."""


SPREAD_AT_FIRST: Final = (0.36 * 20, 20)


class MeanMemory(Records):
    """What is remembered of sentiment: learnt, and held back while a shift is suspected."""

    learnt = RecordColumn[Rows](MeanFit.dtype())
    held = RecordColumn[Rows](MeanFit.dtype())
    held_since = RecordColumn[Ints]("i8", start=-1)
    weights = RecordColumn[Floats]("f8", (F, 1 + S))
    """Of the mean and of each share, from the last fit."""
    inverse = RecordColumn[Floats]("f8", (P,))
    tilt = RecordColumn[Floats]("f8", (S,))
    """How far a stratum is from the mean, share-weighted mean zero."""
    spread = RecordColumn[Floats]("f8", (2,), start=SPREAD_AT_FIRST)
    """Sum of squares within strata, posts."""
    dispersion = RecordColumn[Floats]("f8", (3, 2), start=300)
    """Sum of z^2, panes; of opinion, mix, repeats."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What was expected of a pane and what came instead.

    Attributes:
        rated: (Q,) The rated posts.
        base: (Q,) The expected mean.
        shares: (Q, S) The expected share of each stratum.
        levels: (Q, S) The expected mean of each stratum.
        opinion, mix: (Q,) The two parts of observed less expected mean.
        opinion_strata, mix_strata: (Q, S) Their parts by stratum, times `rated`.
        variance: (Q,) The variance of a post within its stratum.
        mix_variance: (Q,) The variance of the level of a post's stratum.
        doubt: (Q,) The standard error of `base` itself.
        error, mix_error: (Q,) The standard errors of `opinion` and `mix`.
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
    error: Floats
    mix_error: Floats


def expect(core: Rows, pane: Rows, feats: Floats) -> Expected:
    """Compare a pane with what its query's baseline expects."""
    memory, came = MeanMemory(core), PaneCounts(pane)
    fitted = np.einsum("qf,qfk->qk", feats, memory.weights)
    base, shares, tilt = fitted[:, 0], fitted[:, 1:], memory.tilt
    usual_mix = (shares * tilt).sum(axis=1)
    levels = (base - usual_mix)[:, None] + tilt
    counts, sums = came.rated.astype(np.float64), came.sentiment.astype(np.float64)
    rated = counts.sum(axis=1)
    posts = np.maximum(rated, 1.0)
    opinion_strata = sums - counts * levels
    mix_strata = (counts - rated[:, None] * shares) * (levels - base[:, None])
    variance = memory.spread[:, 0] / memory.spread[:, 1]
    doubt = variance * quadratic(memory.inverse, products(feats))
    variance = np.maximum(variance, 1e-4)
    mix_variance = (np.maximum(shares, 0.0) * (levels - base[:, None]) ** 2).sum(axis=1)
    excess = np.maximum(1.0, memory.dispersion[:, :, 0] / memory.dispersion[:, :, 1])
    return Expected(
        rated=rated,
        base=base,
        shares=shares,
        levels=levels,
        opinion=opinion_strata.sum(axis=1) / posts,
        mix=mix_strata.sum(axis=1) / posts,
        opinion_strata=opinion_strata,
        mix_strata=mix_strata,
        variance=variance,
        mix_variance=mix_variance,
        doubt=np.sqrt(doubt),
        error=np.sqrt(excess[:, 0] * variance / posts),
        mix_error=np.sqrt(excess[:, 1] * np.maximum(mix_variance, 1e-5) / posts),
    )


def learn(
    core: Rows, pane: Rows, feats: Floats, expected: Expected, keep: float, learns: Flags,
    holds: Flags,
) -> None:  # fmt: skip
    """Add a pane to what is learnt, or to what is held back.

    Args:
        core: The states, changed in place.
        pane: What was counted.
        feats: (Q, F) The features of the pane.
        expected: What `expect` returned.
        keep: What is left of an old weight after a pane.
        learns: The rows that learn at all.
        holds: The rows that hold it back.
    """
    memory, came = MeanMemory(core), PaneCounts(pane)
    now, held = learns & ~holds, learns & holds
    # Beyond four standard errors the opinion of a pane is an outlier, and is cut off.
    limit = 4 * expected.error
    surprise = expected.opinion - np.clip(expected.opinion, -limit, limit)
    total = came.sentiment.sum(axis=1, dtype=np.float64) - expected.rated * surprise
    fade = np.where(learns, keep, 1.0)
    for part, rows in ((memory.learnt, now), (memory.held, held)):
        if rows is held and not (held.any() or (memory.held_since >= 0).any()):
            continue  # all zeros, and they stay so
        fit, row = MeanFit(part), rows.astype(np.float64)
        gram, shares = fit.gram, fit.shares
        gram *= fade[:, None]
        gram += products(feats) * (expected.rated * row)[:, None]
        shares *= fade[:, None, None]
        shares += feats[:, :, None] * (came.rated * row[:, None])[:, None, :]
        fit.mean = fit.mean * fade[:, None] + feats * (total * row)[:, None]
        fit.strata = fit.strata * fade[:, None] + came.sentiment * row[:, None]
    levels = expected.levels
    inside = (came.rated * levels * levels - 2 * levels * came.sentiment).sum(axis=1)
    squares = np.maximum(0.0, came.square + inside)
    row = now & (expected.rated > 0)
    fade = np.where(row, keep, 1.0)
    memory.spread[:, 0] = memory.spread[:, 0] * fade + squares * row
    memory.spread[:, 1] = memory.spread[:, 1] * fade + expected.rated * row


def learn_dispersion(
    core: Rows, expected: Expected, repeats: Floats, keep: float, rows: Flags
) -> None:
    """Learn how much more the residuals vary than independent posts would.

    Args:
        core: The states, changed in place.
        expected: What `expect` returned.
        repeats: (Q,) The residual of repeats, in standard errors.
        keep: What is left of an old weight after a pane.
        rows: The rows that learn it.
    """
    dispersion = MeanMemory(core).dispersion
    posts = np.maximum(expected.rated, 1.0)
    plain = np.sqrt(expected.variance / posts)
    mixed = np.sqrt(np.maximum(expected.mix_variance, 1e-5) / posts)
    fade, ones = np.where(rows, keep, 1.0)[:, None], np.ones(len(core))
    for place, (residual, error) in enumerate(
        ((expected.opinion, plain), (expected.mix, mixed), (repeats, ones))
    ):
        known = dispersion[:, place, 0] / dispersion[:, place, 1]
        square = np.minimum((residual / error) ** 2, 9 * np.maximum(known, 1.0))
        added = np.stack([square, ones], axis=1) * rows[:, None]
        dispersion[:, place] = dispersion[:, place] * fade + added


def settle(core: Rows, rows: Flags, share: float) -> None:
    """End the holding back of `rows`: learn it in full, on top of `share` of what was known."""
    memory = MeanMemory(core)
    for name in ("gram", "shares", "mean", "strata"):
        learnt, held = memory.learnt[name], memory.held[name]
        learnt[rows] = learnt[rows] * share + held[rows]
    drop_held(core, rows)


def drop_held(core: Rows, rows: Flags) -> None:
    """End the holding back of `rows` and forget what was held."""
    memory = MeanMemory(core)
    memory.held[rows] = 0
    memory.held_since[rows] = -1


def end_holding(core: Rows, still: Flags, over: Flags, accepted: Flags) -> None:
    """Drop what was held back where a shift is over, learn it where its level is accepted.

    Args:
        core: The states, changed in place.
        still: The rows in which another shift still fires.
        over: The rows of which a shift is over.
        accepted: The rows of which the new level is accepted.
    """
    drop_held(core, over & ~still)
    settle(core, accepted & ~still, ACCEPTED_SHARE)


def forget(core: Rows, rows: Flags) -> None:
    """Forget what scores of another model taught."""
    memory = MeanMemory(core)
    for column in (memory.learnt, memory.held, memory.weights, memory.inverse, memory.tilt):
        column[rows] = 0
    memory.held_since[rows] = -1
    memory.spread[rows] = SPREAD_AT_FIRST


def refit(core: Rows, age_s: Ints) -> None:
    """Fit the baselines of all rows again, in place; `age_s` is how long each was known."""
    memory = MeanMemory(core)
    fit = MeanFit(memory.learnt)
    gram = unpacked(fit.gram)
    # Before a day was seen whole, waves would follow whatever the hours so far were like.
    stiff = np.maximum(1.0, DAY_S / np.maximum(age_s, 60)) ** 2
    gram[:, range(1, F), range(1, F)] += _RIDGE[1:] * stiff[:, None]
    gram[:, 0, 0] += _RIDGE[0]
    gram[fit.gram[:, 0] <= 0] = np.eye(F)
    inverse: Floats = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    weights = inverse @ np.concatenate([fit.mean[:, :, None], fit.shares], axis=2)
    # The level of the strata, season apart: one step of alternating least squares a fit.
    posts = fit.shares[:, 0, :]
    level = weights[:, :, 0] - np.einsum("qfs,qs->qf", weights[:, :, 1:], memory.tilt)
    season = np.einsum("qfs,qf->qs", fit.shares, level)
    tilt = (fit.strata - season) / (posts + STRATUM_PRIOR_POSTS)
    total = np.maximum(posts.sum(axis=1), 1e-9)
    memory.weights, memory.inverse = weights, packed(inverse)
    memory.tilt = tilt - ((posts * tilt).sum(axis=1) / total)[:, None]


assert (P, S) == (91, 24)  # noqa: S101 stored states depend on it
