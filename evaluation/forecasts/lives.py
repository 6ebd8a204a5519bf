"""Lives of posts with counts over time: reply trees of RumourEval, and made-up ones."""

from __future__ import annotations

import csv
import gzip
import math
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from evaluation.forecasts.early import AGES_S, HORIZON_S, Lives
from models.engagement.distributions import Doubles

PLATFORMS: Final = ("twitter", "reddit")
_FOLDS: Final = 10


def rumoureval(data: Path, platform: str) -> Lives:
    """Return the threads of a platform of RumourEval, with their replies of the first 24 hours.

    Folds are events (small ones share one), so that nothing is learnt of an event that is judged.
    What is known of a thread as it is posted is the number of followers; Reddit has none.

    Args:
        data: The folder of the data sets.
        platform: One of `PLATFORMS`.
    """
    file = data / "responses_rumoureval" / "posts.csv.gz"
    csv.field_size_limit(2**31 - 1)
    threads: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            if row["platform"] == platform:
                threads[row["thread"]].append(row)
    followers: list[float] = []
    ages: list[Doubles] = []
    events: list[str] = []
    for rows in threads.values():
        root = next(row for row in rows if row["is_source"] == "1")
        at_s = _seconds(root)
        ages.append(np.array([_seconds(row) - at_s for row in rows if row is not root]))
        followers.append(math.log1p(float(root["followers"] or 0)))
        events.append(root["event"])
    features = np.array(followers)[:, None]
    by_size = sorted(set(events), key=lambda event: (-events.count(event), event))
    return Lives(
        features=features if features.any() else features[:, :0],
        seen=np.array([[np.sum(age <= limit) for limit in AGES_S] for age in ages], np.float64),
        finals=np.array([np.sum(age <= HORIZON_S) for age in ages], np.float64),
        folds=np.array([min(by_size.index(event), _FOLDS - 1) for event in events]),
    )


def made_up(posts: int, seed: int) -> Lives:
    """Return posts of authors with levels, whose engagements come early in some and late in others.

    The delays are log-normal with a speed of each post's own, which is not the beta-binomial share
    that `models.engagement` assumes.
    """
    rng = np.random.default_rng(seed)
    levels = rng.normal(math.log(15), 1.0, posts)
    finals = rng.poisson(np.exp(levels + rng.normal(0, 0.8, posts))).astype(np.float64)
    return Lives(
        features=levels[:, None],
        seen=arrivals(finals, AGES_S, rng),
        finals=finals,
        folds=rng.integers(0, 2, posts),
    )


def arrivals(finals: Doubles, ages_s: tuple[float, ...], rng: np.random.Generator) -> Doubles:
    """Return (N, A) how many of (N,) final counts are there by some ages, in increasing order."""
    speeds = rng.normal(0, 0.5, (len(finals), 1))
    logs = np.log([*ages_s, HORIZON_S]) - math.log(4_500)
    shares = 1 / (1 + np.exp(-1.6 * (logs / 1.3 + speeds)))
    shares /= shares[:, -1:]
    steps = np.diff(shares, prepend=0, axis=1)
    return np.cumsum(rng.multinomial(finals.astype(np.int64), steps), axis=1)[:, :-1].astype(float)


def _seconds(row: dict[str, str]) -> float:
    return datetime.fromisoformat(row["created_at"].replace("Z", "+00:00")).timestamp()
