"""What a pane counts: one array of integers, in this order, in the store and on the wire.

Sums are integers in micro-units (`core.schemas.MICRO`), so they are the same in any order and batch
size. A square is stored in micro-units *of the square*: the store's Lua counts exactly to 2^53,
which micro-units squared would pass after nine thousand posts.

New counters are appended, never inserted: a stored array that is shorter reads as zeros. So every
counter and every head says `since` which addition it is there, and the order follows from that,
whatever the order of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal

from core.heads import COUNTED, HeadSpec
from core.schemas import MICRO

if TYPE_CHECKING:  # readers of windows do without numpy
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.int64] | int
    """(B,) integers, or one for all posts."""


@dataclass(frozen=True, slots=True)
class CountedPosts:
    """What a counter may look at of a batch of `B` posts; all of it stands in `scored-posts`.

    Attributes:
        rated: (B,) 1 where the model does not abstain, else 0.
        heads: Head -> (B, C) probabilities in micro-units.
        near_duplicates: (B,) 1 where ingest marked a copy, else 0.
    """

    rated: NDArray[np.int64]
    heads: Mapping[str, NDArray[np.int64]]
    near_duplicates: Column


@dataclass(frozen=True, slots=True)
class PaneCounter:
    """One counter of a pane; what posts add to it is summed.

    Attributes:
        name: Its name in windows, dumps and metrics.
        since: Which addition to the panes it is, one more than the last there is; it never changes.
        unit: What its sum counts: posts, or millionths of something.
        of: Which posts add to it: all, or those that the model rated.
        adds: What each post adds.
    """

    name: str
    since: int
    unit: Literal["posts", "micro"]
    of: Literal["all", "rated"]
    adds: Callable[[CountedPosts], Column]


def _opinion(posts: CountedPosts) -> Column:
    """Return (B,) positive less negative, in [-1, 1] as micro-units; 0 without the head."""
    if "sentiment" not in posts.heads:
        return 0
    return posts.heads["sentiment"][:, 2] - posts.heads["sentiment"][:, 0]


ROWS: Final = (
    PaneCounter("posts", 0, "posts", "all", lambda posts: 1),
    PaneCounter("rated", 0, "posts", "rated", lambda posts: 1),
    PaneCounter("sentiment_sum", 0, "micro", "rated", _opinion),
    PaneCounter(
        "sentiment_square",
        0,
        "micro",
        "rated",
        lambda posts: (_opinion(posts) * _opinion(posts) + MICRO // 2) // MICRO,
    ),
    # An edit takes the mark of a copy off: its text was compared with nothing.
    PaneCounter("near_duplicates", 4, "posts", "all", lambda posts: posts.near_duplicates),
)
"""The counters that are no class of a head; those follow from `core.heads`."""


def _names(head: HeadSpec) -> tuple[str, ...]:
    """Return the counters of a head: the posts that it scored, and the sum of each class."""
    # `rated` is what sentiment scored.
    scored = () if head.name == "sentiment" else (f"{head.name}_posts",)
    return *scored, *(f"{head.name}_{label}" for label in head.labels)


def _in_order(rows: Iterable[PaneCounter], heads: Iterable[HeadSpec]) -> tuple[str, ...]:
    """Return the names of all counters as they were added.

    Raises:
        ValueError: Two additions have one number, or one was left out.
    """
    added = [(row.since, (row.name,)) for row in rows]
    added += [(head.since, _names(head)) for head in heads]
    numbers = sorted(since for since, _ in added if since)
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(
            f"counters and heads say since = {', '.join(map(str, numbers))}; expected each of 1 to "
            f"{len(numbers)} once, the last of them for what is new"
        )
    return tuple(name for _, names in sorted(added, key=itemgetter(0)) for name in names)


COUNTERS: Final[tuple[str, ...]] = _in_order(ROWS, COUNTED)
"""The name of each counter; `*_posts` are the posts that the head scored."""

WIDTH: Final = len(COUNTERS)
INDEX: Final[dict[str, int]] = {name: position for position, name in enumerate(COUNTERS)}
HEAD_COLUMNS: Final = {head.name: INDEX[_names(head)[0]] for head in COUNTED}
"""Counted head -> where its counters begin."""

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
