"""What is remembered of an author: outcomes, once they are known, and when they last posted."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.layout import HISTORY, LAYOUT, OUTCOMES, UNKNOWN

DAY_S: Final = 86_400.0
_SMOOTHING: Final = 0.1
_MAX_POSTS: Final = 65_535
_HEAD: Final = struct.Struct("<BHIH3H")
"""What is in a record from its second byte on, before the outcomes."""
_SHORT: Final = struct.Struct("<H")
_FIELDS: Final = HISTORY.fields or {}
_KEPT: Final = tuple(
    (_FIELDS[name][1], _FIELDS[name][1] + HISTORY[name].itemsize)
    for name in ("counts", "hours", "kinds")
)
"""From where to where the outcomes are; numpy takes ten times as long to move them."""


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
    bytes_of = _bytes_of(history)
    added = (counts.tobytes(), _SHORT.pack(int(at_s // 3600) % 65_536), bytes((kind,)))
    for (start, end), value in zip(_KEPT, added, strict=True):
        bytes_of[start : end - len(value)] = bytes_of[start + len(value) : end]
        bytes_of[end - len(value) : end] = value
    known, *rest, likes, replies, reposts = _HEAD.unpack_from(bytes_of, 1)
    smoothed = map(_smoothed, (likes, replies, reposts), counts.tolist())
    _HEAD.pack_into(bytes_of, 1, min(known + 1, OUTCOMES), *rest, *smoothed)


def _smoothed(before: int, now: int) -> int:
    if UNKNOWN in (before, now):
        return now if before == UNKNOWN else before
    return round(before + _SMOOTHING * (now - before))


def add_post(history: NDArray[Any], at_s: float) -> None:
    """Remember that the author posted; to be called after the post's features were taken."""
    bytes_of = _bytes_of(history)
    known, posts, last_s, rate, *ewma = _HEAD.unpack_from(bytes_of, 1)
    decayed = rate * math.exp(-max(0.0, at_s - last_s) / DAY_S)
    rate = min(_MAX_POSTS, round(decayed) + 16)
    at = int(max(at_s, last_s))
    _HEAD.pack_into(bytes_of, 1, known, min(_MAX_POSTS, posts + 1), at, rate, *ewma)


def _bytes_of(history: NDArray[Any]) -> memoryview:
    return history.view(np.uint8).data


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
            if (counts[due] == UNKNOWN).all():
                continue  # nothing came to be known of it
            add_outcome(history, at_s[due], kinds[due], counts[due])
        found[row] = history[0]
        add_post(history, now_s)
        waiting.append(row)
    return found
