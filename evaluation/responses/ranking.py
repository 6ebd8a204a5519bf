"""How well the replies that will be liked most are found while an event goes on.

Shapes: `E` events, `R` replies of one that had arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.encoder.bootstrap import Measured, bootstrap
from evaluation.responses.floors import SEEDS
from evaluation.responses.judging import known_mean
from evaluation.responses.recorded_events import LEAST_REPLIES, Event, delays, liked_by
from models.popalm.expected_likes import AGES_S, ExpectedLikes
from models.popalm.ranking import EventReplies
from services.minhash import signature_of

Floats = NDArray[np.float64]
SHOWN: Final = 5
SNAPSHOTS_S: Final = (3_600.0, 21_600.0)
"""Seconds after the first reply at which replies are ranked."""
RANKINGS: Final = {
    "shown": "as shown: copies merged, different ones first",
    "expected": "expected likes",
    "likes": "likes so far",
    "oldest": "oldest first",
    "newest": "newest first",
    "random": "in any order",
}
_MEASURES: Final = ("ndcg5", "spearman")
_FOLDS: Final = 5


def ndcg(order: Sequence[int], likes: Floats, shown: int = SHOWN) -> float:
    """Return the gain of the first replies of an order over that of the best order.

    The gain of a reply is log(1 + likes), discounted by log2(1 + rank) (Järvelin and Kekäläinen,
    2002); NaN where no reply has a like.
    """
    gains = np.log1p(np.maximum(likes, 0))
    discounts = 1 / np.log2(np.arange(2, shown + 2))
    best = np.sort(gains)[::-1][:shown]
    whole = float(best @ discounts[: len(best)])
    first = gains[list(order[:shown])]
    return float(first @ discounts[: len(first)]) / whole if whole else np.nan


def spearman(scores: Floats, likes: Floats) -> float:
    """Return the rank correlation; NaN where all of one are equal."""
    from scipy.stats import rankdata

    one, other = rankdata(scores), rankdata(likes)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return float(np.corrcoef(one, other)[0, 1])


def learnt(events: Sequence[Event], curve: str, seed: int) -> ExpectedLikes:
    """Return what a source's settled events teach, read in order of their times."""
    expected, rng = ExpectedLikes(), np.random.default_rng(seed)
    for event in sorted(events, key=lambda event: event[0].at_s):
        level = expected.level((reply.likes for reply in event), range(len(event)))
        for place, (reply, delay) in enumerate(zip(event, delays(event, curve, rng), strict=True)):
            seen = {age: liked_by(delay, age) for age in AGES_S}
            expected.learn(place, reply.likes, seen, level)
    return expected


def rank_events(events: Sequence[Event], curve: str, resamples: int) -> Mapping[str, Measured]:
    """Return `HOURSh.RANKING.MEASURE` over events, each ranked by what the other folds teach."""
    names = [
        f"{snapshot // 3600:.0f}h.{ranking}.{measure}"
        for snapshot in SNAPSHOTS_S for ranking in RANKINGS for measure in _MEASURES
    ]  # fmt: skip
    draws: list[Floats] = []
    for seed in SEEDS:
        table = np.full((len(names), len(events)), np.nan)
        for fold in range(_FOLDS):
            others = [event for row, event in enumerate(events) if row % _FOLDS != fold]
            expected = learnt(others, curve, seed)
            for row in range(fold, len(events), _FOLDS):
                rng = np.random.default_rng((seed, row))
                likes = delays(events[row], curve, rng)
                of_event = [
                    figure
                    for snapshot in SNAPSHOTS_S
                    for figure in _figures(events[row], likes, snapshot, expected, rng)
                ]
                table[:, row] = of_event
        draws.append(table)
    whole = np.mean(draws, axis=0)

    def measure(rows: NDArray[np.integer]) -> dict[str, float]:
        drawn = dict(zip(names, whole[:, rows], strict=True))
        for snapshot in SNAPSHOTS_S:
            hours = f"{snapshot // 3600:.0f}h"
            for ranking in ("shown", "expected"):
                gain = drawn[f"{hours}.{ranking}.ndcg5"] - drawn[f"{hours}.likes.ndcg5"]
                drawn[f"{hours}.{ranking}.ndcg5_over_likes"] = gain
        return {name: float(known_mean(values)) for name, values in drawn.items()}

    return bootstrap(measure, len(events), resamples)


def _figures(
    event: Event,
    likes: Sequence[Floats],
    snapshot_s: float,
    expected: ExpectedLikes,
    rng: np.random.Generator,
) -> list[float]:
    """Return the measures of each ranking at a snapshot; NaN with too few replies by then."""
    now_s = event[0].at_s + snapshot_s
    there = [row for row, reply in enumerate(event) if reply.at_s <= now_s]
    if len(there) < LEAST_REPLIES:
        return [np.nan] * (len(RANKINGS) * len(_MEASURES))
    seen = [liked_by(likes[row], now_s - event[row].at_s) for row in there]
    ages = [now_s - event[row].at_s for row in there]
    finals = np.array([event[row].likes for row in there], np.float64)
    level = expected.level(seen, range(len(seen)), ages)
    scores: dict[str, Sequence[float]] = {
        "expected": [
            expected.final(likes_now, place, age, level)
            for place, (likes_now, age) in enumerate(zip(seen, ages, strict=True))
        ],
        "likes": seen, "oldest": ages, "newest": [-age for age in ages],
        "random": rng.permutation(len(there)).tolist(),
    }  # fmt: skip
    # Equal ones in a drawn order: one in order of time would know the clock.
    ties = rng.permutation(len(there))
    found = [ndcg(_shown(event, seen, now_s, expected), finals), np.nan]
    for ranking in list(RANKINGS)[1:]:
        values = np.array(scores[ranking], np.float64)
        order = np.lexsort((ties, -values)).tolist()
        found += [ndcg(order, finals), spearman(values, finals)]
    return found


def _shown(event: Event, seen: Sequence[int], now_s: float, expected: ExpectedLikes) -> list[int]:
    replies = EventReplies(expected, signature_of)
    for row, (reply, likes) in enumerate(zip(event, seen, strict=False)):
        replies.add(str(row), reply.text, reply.at_s, likes)
    return [int(one.reply_id) for one in replies.top(SHOWN, now_s)]
