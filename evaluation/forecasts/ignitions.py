"""Posts that take off, made up, and whether they are noticed: recall in time, and false alarms.

Authors have levels; what their posts come to is log-normal about it, forecast as such; engagements
come early in some posts and late in others. An ignited post gets ten to a hundred times what is
usual for its author, and the additional ones come as a cascade does, half of them in seven minutes.
Nothing of that is told to the rule: it learns the shares by age and the surprise of ordinary posts
from posts before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.forecast_settings import ForecastSettings
from evaluation.forecasts.early import HORIZON_S
from evaluation.forecasts.lives import arrivals
from models.engagement.distributions import Doubles
from models.engagement.exposure import Exposure
from models.engagement.rarity import rarity_of, surprise_of
from models.engagement.sharpening import Sharpened, sharpen
from models.engagement.taking_off import HOUR_S, TakingOff
from models.engagement.watched_post import WatchedPost

LOOKS_S: Final = (60.0, 120.0, 180.0, 300.0, 420.0, 600.0, 900.0, 1_800.0, 3_600.0, 10_800.0)
IN_TIME_S: Final = 600.0
PER_POSTS: Final = 100_000
_SPREAD: Final = 0.6
_SCORES: Final = np.array([-1.2816, -0.6745, 0.0, 0.6745, 1.2816])
_CASCADE_S: Final = 600.0
_LEAST_LEVEL: Final = math.log(8)
_LEARNT: Final = 20_000
_IGNITED: Final = 5
_WARM_BLOCK: Final = 2_000
_OBSERVED: Final = 400


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Posts of one hour or more.

    Attributes:
        at_s: (N,) their times, in order, from 0 on.
        prior: (N, 5) log1p of what is expected of them.
        seen: (N, L) counts by `LOOKS_S`.
        finals: (N,) counts at the horizon.
        factors: (N,) what multiplied them; 1 is an ordinary post.
    """

    at_s: Doubles
    prior: Doubles
    seen: Doubles
    finals: Doubles
    factors: Doubles


@dataclass(frozen=True, slots=True)
class Found:
    """What was noticed.

    Attributes:
        posts: Tracked posts.
        hours: Hours that they took.
        ignited: Posts that were ignited.
        in_time: Those of them that were said to take off within `IN_TIME_S`.
        noticed: Those that were said to take off at all.
        false: Ordinary posts that were said to take off.
        held_back: Looks that the hour's budget kept from being told.
    """

    posts: int
    hours: float
    ignited: int
    in_time: int
    noticed: int
    false: int
    held_back: int

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "posts": self.posts,
            "ignited": self.ignited,
            "recall_10min": self.in_time / self.ignited if self.ignited else math.nan,
            "recall": self.noticed / self.ignited if self.ignited else math.nan,
            "false": self.false,
            "false_per_100k": self.false * PER_POSTS / self.posts,
            "held_back": self.held_back,
        }


def make_up(posts: int, hours: float, ignited: int, rng: np.random.Generator) -> MadeUp:
    """Return posts of some hours, some of them ignited.

    Args:
        posts: How many.
        hours: Over so many hours, evenly.
        ignited: So many are ignited, of authors whose posts usually get eight engagements or more.
        rng: The source of chance.
    """
    levels = rng.normal(math.log(8), 1.2, posts)
    factors = np.ones(posts)
    chosen = rng.choice(np.flatnonzero(levels >= _LEAST_LEVEL), ignited, replace=False)
    factors[chosen] = np.exp(rng.uniform(math.log(10), math.log(100), ignited))
    rates = np.exp(levels + rng.normal(0, _SPREAD, posts))
    usual = rng.poisson(rates).astype(np.float64)
    seen = arrivals(usual, LOOKS_S, rng)
    more = rng.poisson(np.exp(levels) * (factors - 1)).astype(np.int64)
    shares = np.diff(-np.expm1(-np.array([0.0, *LOOKS_S, HORIZON_S]) / _CASCADE_S))
    shares /= shares.sum()
    seen += np.cumsum(rng.multinomial(more, shares), axis=1)[:, :-1]
    # what a forecast of the rate means for the count, which is Poisson about it
    spread = np.sqrt(_SPREAD**2 + np.exp(-levels))
    prior = np.log1p(np.exp(levels[:, None] + spread[:, None] * _SCORES))
    at_s = np.sort(rng.uniform(0, hours * HOUR_S, posts))
    return MadeUp(at_s, prior, seen, usual + more, factors)


def surprises(posts: MadeUp, rows: NDArray[np.intp], exposure: Exposure) -> Doubles:
    """Return (R, L) surprises of some posts at `LOOKS_S`."""
    looks = [sharpened(posts, rows, *look, exposure) for look in enumerate(LOOKS_S)]
    return np.stack([look.surprise[:, 0] for look in looks], axis=1)


def sharpened(
    posts: MadeUp, rows: NDArray[np.intp], place: int, age_s: float, exposure: Exposure
) -> Sharpened:
    """Return what is expected of some posts at a look; only the first target is in use."""
    counts = np.full((len(rows), 3), np.nan)
    counts[:, 0] = posts.seen[rows, place]
    exposed = exposure.at(np.full(len(rows), age_s))
    return sharpen(np.repeat(posts.prior[rows, None], 3, axis=1), counts, exposed)


def simulate(hours: int, seed: int) -> Found:
    """Return what is noticed in some hours of 100,000 tracked posts and five ignitions each."""
    rng = np.random.default_rng(seed)
    exposure = learnt(make_up(_LEARNT, 1, 4, rng))
    posts = make_up(PER_POSTS * hours, hours, _IGNITED * hours, rng)
    return watch(posts, hours, exposure, ForecastSettings())


def learnt(posts: MadeUp) -> Exposure:
    """Return what is learnt of a source from posts whose horizon is over."""
    exposure = Exposure(HORIZON_S)
    for row in range(min(_OBSERVED, len(posts.finals))):
        finals, prior = np.full(3, posts.finals[row]), np.repeat(posts.prior[row][None], 3, axis=0)
        for age_s in (300.0, 3_600.0):
            seen = posts.seen[row, LOOKS_S.index(age_s)]
            exposure.observe(age_s, np.array([seen, np.nan, np.nan]), finals, prior)
    for start in range(0, len(posts.finals), _WARM_BLOCK):
        rows = np.arange(start, min(start + _WARM_BLOCK, len(posts.finals)))
        looks = [sharpened(posts, rows, *look, exposure) for look in enumerate(LOOKS_S)]
        for least in np.nanmin([look.raw[:, 0] for look in looks], axis=0).tolist():
            exposure.learn_least(surprise_of(rarity_of(least)))
    return exposure


def watch(posts: MadeUp, hours: float, exposure: Exposure, settings: ForecastSettings) -> Found:
    """Let the rule look at posts, in order of time, and return what it noticed.

    Posts that never come near its level, or are too small, are counted as tracked and no more.
    """
    found = np.ones(posts.seen.shape)
    enough = np.flatnonzero(posts.seen[:, -1] >= settings.least_engagements)
    found[enough] = surprises(posts, enough, exposure)
    near = np.flatnonzero((found < settings.surprise).any(axis=1))
    rule = TakingOff("all", settings)
    noticed: dict[int, float] = {}
    tracked = 0
    for at_s, row, place in sorted(_looks(posts, near)):
        until = int(np.searchsorted(posts.at_s, at_s, side="right"))
        rule.track(float(posts.at_s[until - 1]), until - tracked)
        tracked = until
        event = rule.look(_watched(posts, row, place, float(found[row, place])), at_s)
        if event is not None and event.state == "firing":
            noticed.setdefault(row, LOOKS_S[place])
    is_ignited = posts.factors > 1
    true = {row: age_s for row, age_s in noticed.items() if is_ignited[row]}
    return Found(
        posts=len(posts.finals),
        hours=hours,
        ignited=int(is_ignited.sum()),
        in_time=sum(age_s <= IN_TIME_S for age_s in true.values()),
        noticed=len(true),
        false=len(noticed) - len(true),
        held_back=rule.held_back,
    )


def _looks(posts: MadeUp, rows: NDArray[np.intp]) -> Iterator[tuple[float, int, int]]:
    for row in rows.tolist():
        for place, age_s in enumerate(LOOKS_S):
            yield float(posts.at_s[row]) + age_s, row, place


def _watched(posts: MadeUp, row: int, place: int, surprise: float) -> WatchedPost:
    prior = [posts.prior[row].tolist()] * 3
    return WatchedPost(
        key=row.to_bytes(12, "little"),
        post_id=str(row),
        source="made-up",
        author=f"author{row}",
        posted_at_s=float(posts.at_s[row]),
        seen=(int(posts.seen[row, place]), None, None),
        surprise=(surprise, math.nan, math.nan),
        forecast=prior,
        expected=prior,
    )
