"""What a pane counts: one array of integers, in this order, in the store and on the wire.

Sums are integers in micro-units (`core.schemas.MICRO`), so they are the same in any order and batch
size. A square is stored in micro-units *of the square*: the store's Lua counts exactly to 2^53,
which micro-units squared would pass after nine thousand posts.

New counters are appended, never inserted: a stored array that is shorter reads as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.labels import EMOTION, PARTICIPATION, PROBLEM, SENTIMENT

COUNTERS: Final[tuple[str, ...]] = (
    "posts",
    "rated",
    "sentiment_sum",
    "sentiment_square",
    *(f"sentiment_{label}" for label in SENTIMENT),
    "emotion_posts",
    *(f"emotion_{label}" for label in EMOTION),
    "participation_posts",
    *(f"participation_{label}" for label in PARTICIPATION),
    "near_duplicates",
    "problem_posts",
    *(f"problem_{label}" for label in PROBLEM),
)
"""Name of each counter; `*_posts` are the posts that the head scored, `near_duplicates` those that
ingest marked (an edit takes the mark off: its text was compared with nothing)."""

WIDTH: Final = len(COUNTERS)
INDEX: Final[dict[str, int]] = {name: position for position, name in enumerate(COUNTERS)}

STRATUM_WIDTH: Final = 4
"""posts, rated, sentiment_sum, sentiment_square: what the split of mix and opinion needs."""

MAX_STRATA: Final = 64
OTHER_STRATUM: Final = "other"


def named(values: Sequence[int]) -> dict[str, int]:
    """Return a counter array as a mapping by name; missing trailing counters are zero.

    Those that a later version appended have no name here and are left out.

    Example:
        >>> named([2, 1])["rated"], named([2, 1])["sentiment_sum"]
        (1, 0)
    """
    padded = [*values[:WIDTH], *([0] * (WIDTH - len(values)))]
    return dict(zip(COUNTERS, padded, strict=True))


def add_into(total: list[int], values: Sequence[int]) -> None:
    """Add `values` to `total` in place, growing it where `values` is longer."""
    if len(total) < len(values):
        total.extend([0] * (len(values) - len(total)))
    for position, value in enumerate(values):
        total[position] += value


def cap_strata(strata: dict[str, list[int]]) -> dict[str, list[int]]:
    """Keep the 63 strata with most posts and fold the rest into `other`.

    The cap is applied when a pane is read, on the sum over partitions, with ties broken by name:
    so it is the same whatever order the posts came in. Capping as posts arrive would not be.
    """
    if len(strata) <= MAX_STRATA:
        return strata
    ranked = sorted(strata, key=lambda name: (-strata[name][0], name))
    kept = {name: strata[name] for name in ranked[: MAX_STRATA - 1] if name != OTHER_STRATUM}
    other = [0] * STRATUM_WIDTH
    for name in strata:
        if name not in kept:
            add_into(other, strata[name])
    kept[OTHER_STRATUM] = other
    return kept
