"""All counts of a post together: how far beyond its forecast, and how rare that is in its source.

Likes, replies and reposts of a post rise and fall together, so their sum says more than the rarest
of them alone. What is asked is the log of all that is there over all that is expected by the age.
How rare a value of it is no forecast says, as that takes the law by which its targets hang
together: it is learnt from ordinary posts, of each source and kind of forecasts apart.

A settled post teaches by the most that it reached at any look, so repeated looks make nothing rare.
The nearer shares are believed as they are; from the last one that is no small one on they fall by
the same factor with each step, as with a Pareto tail of the counts (Hill 1975, for values in
steps): on recorded posts that factor stays as it is or falls, never rises. Where there are more
posts far out than that, they took off, though nobody said so, and are not counted as ordinary.
Before posts have settled all is as in a source whose forecasts are often wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from models.engagement.distributions import Doubles
from models.engagement.layout import REACHES

_FIRST, _STEP = 0.75, 0.3
"""A reach of 0 is below the first, each further one a step more."""
_ADDED: Final = 5.0
"""Engagements added to both sides: of fewer nobody can tell five times from ten times."""
_MEMORY: Final = 8_000.0
"""Posts over which what was learnt decays by a factor of e."""
_ENOUGH, _LEAST_SHARE = 30.0, 0.015
"""Of so many posts, and of so large a share, the share is believed."""
_STEPS: Final = 4
"""From there on so many steps are asked by what factor shares fall."""
_MOST_UNSAID: Final = 0.005
"""Of all posts at most so many took off and nobody said so."""
_ROUNDS: Final = 20
_PRIOR_POSTS: Final = 50.0
_PRIOR_STEPS: Final = 5.0
_USUAL_KNEE, _USUAL_SCALE = 3.0, 1.0
"""Of a source of which nothing is known one post in a hundred reaches the first, and beyond it
shares fall by e in the second, as they do on most recorded sets."""
_KNEE_SHARE: Final = 0.01
_MOST_POSTS: Final = 1e6
_LEAST: Final = 1e-300
_MOST_TRUST: Final = 0.8
_TRUST_POSTS: Final = 500.0
"""Of the surprise that is allowed, all counts together get in the end so much, and half of it once
so many posts were learnt from; the rarest target gets the rest."""


def beyond(prior: ArrayLike, seen: ArrayLike, share: ArrayLike) -> Doubles:
    """Return (B,) logs of what is there over what is expected by the age, NaN where unknown.

    Args:
        prior: (B, 3, 5) as for `sharpening.sharpen`.
        seen: (B, 3) counts so far; NaN is unknown.
        share: (B, 3) the share of the final counts that is expected by the age.
    """
    medians = np.asarray(prior, np.float64)[:, :, 2]
    counts = np.asarray(seen, np.float64)
    known = (counts >= 0) & np.isfinite(medians)
    there = np.where(known, counts, 0).sum(axis=1)
    by_age = np.expm1(np.where(known, medians, 0)) * np.asarray(share, np.float64)
    found = np.log((there + _ADDED) / (by_age.sum(axis=1) + _ADDED))
    return np.where(known.any(axis=1), found, np.nan)


def reach_of(log: float) -> int:
    """Return how far a post was beyond its forecast, as it is kept; 0 of what is unknown."""
    if not log >= _FIRST:
        return 0
    return min(1 + int((log - _FIRST) / _STEP), REACHES - 1)


def combined(surprises: Iterable[float], together: float, trust: float) -> float:
    """Return how surprising a post is by all that is known of it; NaN where nothing is.

    That of the rarest target and that of all together, weighted so that it is no more often below
    a level than the level says (Bonferroni, with weights as in Genovese and others 2006).

    Args:
        surprises: Of targets, in honest units; NaN is unknown.
        together: Of all counts together; NaN is unknown.
        trust: The weight of all together, see `OrdinaryPosts.trust`.
    """
    found = [value / (1 - trust) for value in surprises if not math.isnan(value)]
    if trust and not math.isnan(together):
        found.append(together / trust)
    return min(1.0, *found) if found else math.nan


class OrdinaryPosts:
    """How far ordinary posts of one kind of forecasts of a source go; bounded, deterministic.

    Args:
        learnt: (REACHES,) posts by the furthest that they reached, decayed.
        in_use: The same as of the last `use`.
    """

    def __init__(self, learnt: Sequence[float] = (), in_use: Sequence[float] = ()) -> None:
        self._learnt = list(learnt) or [0.0] * REACHES
        self._in_use = list(in_use) or [0.0] * REACHES
        self._logs, self._slope = _tail(self._in_use)

    def to_parts(self) -> tuple[list[float], list[float]]:
        """Return it as numbers, to be kept."""
        return self._learnt, self._in_use

    @property
    def trust(self) -> float:
        """The weight of what they say against that of single targets: none of a new source."""
        posts = sum(self._in_use)
        return _MOST_TRUST * posts / (posts + _TRUST_POSTS)

    def learn(self, reach: int) -> None:
        """Learn from a post that did not take off, by the furthest that it reached."""
        kept = 1 - 1 / _MEMORY
        self._learnt = [posts * kept for posts in self._learnt]
        self._learnt[reach] += 1

    def use(self) -> None:
        """Judge from now on by what is known by now."""
        self._in_use = self._learnt
        self._logs, self._slope = _tail(self._in_use)

    def surprise(self, logs: ArrayLike) -> Doubles:
        """Return (B,) how likely an ordinary post goes so far beyond at any look, NaN of NaN.

        Args:
            logs: (B,) as `beyond` returns them.
        """
        asked = np.asarray(logs, np.float64)
        places = np.arange(len(self._logs) - 1) * _STEP + _FIRST
        found = np.interp(asked, [0.0, *places], self._logs)
        last = float(places[-1]) if len(places) else 0.0
        found -= self._slope * np.maximum(asked - last, 0)
        return np.maximum(np.exp(found), _LEAST)


def are_posts(learnt: Sequence[float], in_use: Sequence[float]) -> bool:
    """Tell whether these can be the numbers of one kind of forecasts; a NaN never can."""
    return len(learnt) == len(in_use) == REACHES and all(
        0 <= posts <= _MOST_POSTS for posts in (*learnt, *in_use)
    )


def _tail(posts: Sequence[float]) -> tuple[list[float], float]:
    """Return the logs of the shares that reach 0 and each step up to the last one that is believed.

    And by how much the log falls beyond it, in one unit of a log.
    """
    above = list(accumulate(reversed(posts)))[::-1]
    whole = above[0] + _PRIOR_POSTS
    prior = [_PRIOR_POSTS * _usual(_FIRST + _STEP * step) for step in range(REACHES - 1)]
    all_of_them = [own + usual for own, usual in zip(above[1:], prior, strict=True)]
    near, factor, unsaid = _fitted(all_of_them, whole, 0.0)
    for _ in range(_ROUNDS):
        near, factor, unsaid = _fitted(all_of_them, whole, unsaid)
    logs = [0.0, *(math.log(count / whole) for count in near)]
    return logs, -math.log(factor) / _STEP


def _fitted(
    all_of_them: Sequence[float], whole: float, unsaid: float
) -> tuple[list[float], float, float]:
    """Return how many posts reach each step that is believed, and by what factor that falls on.

    And how many then took off and nobody said so.

    Args:
        all_of_them: How many posts reach each step, with those that took off.
        whole: How many there are.
        unsaid: How many of them took off, as far as it is known.
    """
    reached = [max(count - unsaid, 0.0) for count in all_of_them]
    is_large = [count >= max(_ENOUGH, _LEAST_SHARE * whole) for count in reached]
    last = max(0, sum(is_large) - 1)
    far = reached[last : last + _STEPS + 1]
    stayed = sum(far[1:]) + _PRIOR_STEPS * math.exp(-_STEP / _USUAL_SCALE)
    factor = stayed / (sum(far[:-1]) + _PRIOR_STEPS)
    steps = len(far) - 1
    further = all_of_them[last + steps] - far[0] * factor**steps
    return reached[: last + 1], factor, min(max(further, 0.0), _MOST_UNSAID * whole)


def _usual(log: float) -> float:
    """Return the share of posts that reach a log in a source of which nothing is known."""
    if log < _USUAL_KNEE:
        return _KNEE_SHARE ** (log / _USUAL_KNEE)
    return _KNEE_SHARE * math.exp((_USUAL_KNEE - log) / _USUAL_SCALE)
