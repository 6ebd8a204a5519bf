"""Panes of invented crowds with scheduled shifts, made directly as counts.

A crowd has a day (few posts at night, two humps), a week (quieter weekends), slow wandering of its
volume and more than Poisson's variation, six strata whose shares and common mood follow the day,
and people who post twice. None of these shapes is one that the baselines are fitted with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.alerts.plan import BEGIN_S, DAY, DAYS, PANE_S, RAMP_PANES, StreamPlan
from stream.shifts.columns import Rows
from stream.shifts.layout import PANE, SILENT

Floats = NDArray[np.float64]

PANES: Final = DAY * DAYS
SPREAD: Final = 0.55
"""Standard deviation of a post's sentiment within its stratum."""
_SHARES: Final = np.array([0.34, 0.24, 0.16, 0.12, 0.09, 0.05])
_LEVELS: Final = np.array([0.30, -0.15, 0.15, -0.40, 0.00, 0.45])
_GAMMA: Final = 0.02
_WANDER: Final = 0.08
_WANDER_PANES: Final = 180
_USUAL_COPIES: Final = 0.02
_BRIGADE_SENTIMENT: Final = -0.9
_BOT_ACCOUNTS: Final = 50
_OUTAGE_LEFT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Crowd:
    """One stream, pane by pane.

    Attributes:
        panes: (T,) records, as the judge takes them.
        rate: (T,) expected posts.
    """

    panes: Rows
    rate: Floats


def make_crowd(plan: StreamPlan, panes: int = PANES) -> Crowd:
    """Return the stream of a plan; the same for the same plan."""
    rng = np.random.default_rng((plan.seed, 1))
    minute = np.arange(panes)
    rate = plan.volume * _volume_shape(minute) * _wandering(rng, panes)
    seasonal = plan.scenario == "seasonal"
    mood = (0.10 if seasonal else 0.03) * _mood_shape(minute)
    shares = _daily_shares(rng, minute, 0.5 if seasonal else 0.15)
    silent = np.zeros(panes, dtype=np.bool_)
    for shift in plan.shifts:
        inside = slice(shift.begin, shift.end)
        if plan.scenario in ("step", "burst"):
            mood[inside] += shift.size
        elif plan.scenario == "ramp":
            rise = np.arange(shift.end - shift.begin) / RAMP_PANES
            mood[inside] += shift.size * np.minimum(1.0, rise)
        elif plan.scenario == "mix":
            shares[inside] = _tilted(shares[inside], shift.size)
        elif plan.scenario == "volume":
            rate[inside] *= shift.size
        elif plan.scenario == "outage":
            rate[inside] *= _OUTAGE_LEFT
            silent[inside] = True
    found = _count(rng, rate, shares, mood)
    found["flags"] = np.where(silent, SILENT, 0)
    _repeat(rng, found, plan)
    return Crowd(found, rate)


def _volume_shape(minute: NDArray[np.int64]) -> Floats:
    hour = minute % DAY / 60
    noon = np.exp(np.cos((hour - 12.5) / 24 * 2 * np.pi) * 1.6)
    evening = np.exp(np.cos((hour - 20.0) / 24 * 2 * np.pi) * 4.0) / 12
    shape = 0.35 + 0.4 * noon / 2.2 + 0.5 * evening
    day = minute / DAY % 7
    weekend = 1 / (1 + np.exp(-(day - 5) * 12)) - 1 / (1 + np.exp(-(day - 6.95) * 12))
    shape *= 1 - 0.15 * weekend
    return shape / 1.02


def _mood_shape(minute: NDArray[np.int64]) -> Floats:
    hour = minute % DAY / 60
    morning = np.exp((np.cos((hour - 8) / 24 * 2 * np.pi) - 1) * 3)
    night = np.exp((np.cos((hour - 23) / 24 * 2 * np.pi) - 1) * 2)
    return night - morning


def _wandering(rng: np.random.Generator, panes: int) -> Floats:
    """Return a slow log-normal walk around one, straight between knots half an hour apart."""
    step = _WANDER_PANES // 6
    knots = panes // step + 2
    keep = np.exp(-step / _WANDER_PANES)
    noise = rng.standard_normal(knots) * _WANDER * np.sqrt(1 - keep * keep)
    level = np.empty(knots)
    level[0] = rng.standard_normal() * _WANDER
    for knot in range(1, knots):
        level[knot] = keep * level[knot - 1] + noise[knot]
    return np.exp(np.interp(np.arange(panes), np.arange(knots) * step, level))


def _daily_shares(rng: np.random.Generator, minute: NDArray[np.int64], depth: float) -> Floats:
    phase = rng.uniform(0, 2 * np.pi, len(_SHARES))
    waves = depth * np.cos((minute % DAY / DAY * 2 * np.pi)[:, None] + phase)
    shares = _SHARES * np.exp(waves)
    return shares / shares.sum(axis=1, keepdims=True)


def _tilted(shares: Floats, change: float) -> Floats:
    """Return shares, shifted towards the strata whose level moves the mean by `change`."""
    low, high = -30.0, 30.0
    before = shares.mean(axis=0) @ _LEVELS
    tilted = shares
    for _ in range(60):
        middle = (low + high) / 2
        tilted = shares * np.exp(middle * _LEVELS)
        tilted /= tilted.sum(axis=1, keepdims=True)
        if tilted.mean(axis=0) @ _LEVELS - before < change:
            low = middle
        else:
            high = middle
    return tilted


def _count(rng: np.random.Generator, rate: Floats, shares: Floats, mood: Floats) -> Rows:
    panes, kinds = shares.shape
    jolt = rng.gamma(1 / _GAMMA, _GAMMA, panes)
    counts = rng.poisson(rate[:, None] * jolt[:, None] * shares).astype(np.float64)
    means = np.clip(_LEVELS + mood[:, None], -1, 1)
    sums = counts * means + SPREAD * np.sqrt(counts) * rng.standard_normal((panes, kinds))
    found = np.zeros(panes, dtype=PANE)
    found["start"] = BEGIN_S + PANE_S * np.arange(panes)
    found["posts"] = counts.sum(axis=1)
    found["rated"][:, 1 : 1 + kinds] = counts
    found["sentiment"][:, 1 : 1 + kinds] = sums
    noise = 1 + 0.3 * rng.standard_normal(panes) / np.sqrt(np.maximum(found["posts"], 1))
    inside = counts.sum(axis=1) * SPREAD**2 * np.maximum(noise, 0.1)
    found["square"] = inside + (counts * means**2).sum(axis=1)
    found["label_variance"] = 0.2 * found["posts"]
    return found


def _repeat(rng: np.random.Generator, found: Rows, plan: StreamPlan) -> None:
    """Count authors and copies; add the posts of a brigade or of bots, in place."""
    posts = found["posts"].copy()
    twice = rng.poisson(posts * (1 - np.exp(-posts / (60.0 * plan.volume))))
    found["authors"] = np.maximum(posts - twice, np.minimum(posts, 1))
    found["has_copies"] = 1
    found["copies"] = rng.binomial(posts.astype(np.int64), _USUAL_COPIES)
    if plan.scenario not in ("brigading", "bots"):
        return
    for shift in plan.shifts:
        inside = slice(shift.begin, shift.end)
        # so many that they are the wanted share of all posts
        extra = rng.poisson(posts[inside] * plan.strength / (1 - plan.strength)).astype(np.float64)
        noise = 0.2 * np.sqrt(extra) * rng.standard_normal(len(extra))
        found["posts"][inside] += extra
        found["rated"][inside, 3] += extra
        found["sentiment"][inside, 3] += extra * _BRIGADE_SENTIMENT + noise
        found["square"][inside] += extra * (_BRIGADE_SENTIMENT**2 + 0.04)
        if plan.scenario == "brigading":
            found["authors"][inside] += extra > 0
        else:
            accounts = _BOT_ACCOUNTS * (1 - np.exp(-extra / _BOT_ACCOUNTS))
            found["authors"][inside] += np.rint(accounts)
            found["copies"][inside] += extra
