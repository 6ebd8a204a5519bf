"""The posts of a set that are judged, with what floors, model and hedge said of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from evaluation.forecasts.floors import FLOOR, floors_of, past_quantiles, share_of_some
from evaluation.forecasts.judging import MODEL, SERVED, Judged, at_least_one
from evaluation.forecasts.serving import Served
from models.engagement.layout import LEVELS, from_log16
from models.engagement.training.dataset import TEST_SHARE
from models.engagement.training.sets import EngagementSet

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

SPLITS: Final = ("time", "author", "all")
_MEDIAN: Final = LEVELS.index(0.5)
NOTHING: Final[Mapping[str, Floats]] = {}


def outcomes_of(posts: EngagementSet, target: int = 0) -> Floats:
    """Return (N,) what came of the posts, as logs; NaN where it is not known or had not settled."""
    return from_log16(posts.counts[:, target]).astype(np.float64)


def of_split(posts: EngagementSet, split: str, target: int = 0) -> Mask:
    """Return (N,) which posts a split judges: the last fifth of those settled in time, or all.

    Raises:
        ConfigError: There is no such split.
    """
    if split not in SPLITS:
        raise ConfigError(f"--split is {', '.join(SPLITS)}, not {split!r}")
    settled = ~np.isnan(outcomes_of(posts, target))
    if split != "time" or not settled.any():
        return settled
    return settled & (posts.at_s >= np.quantile(posts.at_s[settled], 1 - TEST_SHARE))


def judged_of(
    posts: EngagementSet,
    served: Served,
    chosen: NDArray[Any],
    horizon_s: float,
    *,
    target: int = 0,
    others: Mapping[str, Floats] = NOTHING,
) -> Judged:
    """Return those of the chosen posts whose outcome is known.

    Args:
        posts: The posts of the set.
        served: What was said of them.
        chosen: (N,) which are judged.
        horizon_s: The horizon.
        target: The one of `TARGETS` that is judged.
        others: Further predictor -> (N,) what it predicted.
    """
    came = outcomes_of(posts, target)
    past = (posts.author, posts.at_s, came, horizon_s)
    floors = floors_of(*past)
    of_hedge, of_model = served.served[:, target], served.model[:, target]
    judged = Judged(
        posts.author,
        posts.at_s,
        came,
        {**floors, **others, MODEL: of_model[:, _MEDIAN], SERVED: of_hedge[:, _MEDIAN]},
        {FLOOR: past_quantiles(*past, LEVELS), MODEL: of_model, SERVED: of_hedge},
        {
            FLOOR: share_of_some(*past),
            MODEL: at_least_one(of_model),
            SERVED: at_least_one(of_hedge),
        },
    )
    return judged.select(chosen & ~np.isnan(came))
