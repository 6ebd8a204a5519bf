"""What is remembered of an author: outcomes, once they are known, and when they last posted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.layout import HISTORY, LAYOUT, OUTCOMES, UNKNOWN, from_log16, to_log16

DAY_S: Final = 86_400.0
_SMOOTHING: Final = 0.1
_MAX_POSTS: Final = 65_535


def new_history() -> NDArray[Any]:
    """Return the record of an author of whom nothing is known, as an array of one."""
    history = np.zeros(1, HISTORY)
    history["layout"] = LAYOUT
    history["ewma"] = UNKNOWN
    history["counts"] = UNKNOWN
    return history


def add_outcome(history: NDArray[Any], at_s: float, kind: int, counts: NDArray[np.uint16]) -> None:
    """Remember what came of a post.

    Args:
        history: The record of its author, an array of one; changed in place.
        at_s: The time of the post, in seconds since 1970.
        kind: Its kind, see `models.engagement.layout`.
        counts: (3,) the counts at the horizon as kept logs.
    """
    record = history[0]
    for name, value in (("counts", counts), ("hours", int(at_s // 3600) % 65_536), ("kinds", kind)):
        kept = record[name]
        kept[:-1] = kept[1:]
        kept[-1] = value
    record["known"] = min(int(record["known"]) + 1, OUTCOMES)
    before, now = from_log16(record["ewma"]), from_log16(counts)
    smoothed = np.where(np.isnan(before), now, before + _SMOOTHING * (now - before))
    record["ewma"] = to_log16(np.where(np.isnan(now), before, smoothed))


def add_post(history: NDArray[Any], at_s: float) -> None:
    """Remember that the author posted; to be called after the post's features were taken."""
    record = history[0]
    last_s = float(record["last_at"])
    rate = float(record["rate"]) * math.exp(-max(0.0, at_s - last_s) / DAY_S)
    record["rate"] = min(_MAX_POSTS, round(rate) + 16)
    record["posts"] = min(_MAX_POSTS, int(record["posts"]) + 1)
    record["last_at"] = int(max(at_s, last_s))


def as_of(
    at_s: Sequence[float],
    kinds: Sequence[int],
    counts: NDArray[np.uint16],
    horizon_s: float = DAY_S,
) -> NDArray[Any]:
    """Return (N,) what was remembered of an author just before each of their posts.

    The way of the stream, for training and for floors: what came of a post is known one horizon
    after it and not before.

    Args:
        at_s: The times of the posts, in order, in seconds since 1970.
        kinds: Their kinds.
        counts: (N, 3) their counts at the horizon, as kept logs.
        horizon_s: The horizon.
    """
    history = new_history()
    found = np.zeros(len(at_s), HISTORY)
    waiting: deque[int] = deque()
    for row, now_s in enumerate(at_s):
        while waiting and at_s[waiting[0]] + horizon_s <= now_s:
            due = waiting.popleft()
            add_outcome(history, at_s[due], kinds[due], counts[due])
        found[row] = history[0]
        add_post(history, now_s)
        waiting.append(row)
    return found
