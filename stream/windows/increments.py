"""From scored posts to what a batch adds to its panes: integers, grouped by pane and query.

Shapes: `B` posts, `W` counters (`layout.WIDTH`), `P` (post, query) pairs, `G` (pane, query) groups.
Work is done on whole columns; Python runs once a group, not once a counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from core.errors import FatalError
from core.heads import HEADS, TOPICS
from core.ports import ScoreBatch
from core.schemas import MICRO
from stream.windows.layout import (
    COUNTERS,
    HEAD_COLUMNS,
    INDEX,
    ROWS,
    STRATUM_WIDTH,
    WIDTH,
    CountedPosts,
)
from stream.windows.records import QueryIncrement
from stream.windows.strata import MIN_TOPIC_MICRO, NO_TOPIC

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MicroScores:
    """Scores of a batch as integers.

    Attributes:
        model_version: which model made them.
        rated: (B,) bool.
        heads: head -> (B, C) probabilities in micro-units.
        topics: (B,) name of the topic of each post, `none` if none is likely.
    """

    model_version: str
    rated: NDArray[np.bool_]
    heads: dict[str, Ints]
    topics: list[str]


def to_micro(scores: ScoreBatch) -> MicroScores:
    """Round probabilities to micro-units, once; everything later is integer arithmetic.

    The last gate before the store: the edge of the scorers refuses what is no probability, and a
    number that got past it would spoil its pane for good.

    Raises:
        FatalError: There is a number that is no probability, or an array of another shape or type.
    """
    rated: Any = scores.rated
    if _kind(rated) != "b" or rated.ndim != 1:
        raise FatalError(f"`rated` of {scores.model_version} is no column of truth values")
    if (rated.view(np.uint8) > 1).any():
        raise FatalError(f"`rated` of {scores.model_version} has a byte that is neither 0 nor 1")
    heads = {
        name: _micro(scores, name, len(labels))
        for name, labels in HEADS.items()
        if name in scores.heads
    }
    return MicroScores(scores.model_version, scores.rated, heads, _topics(heads, scores.rated))


def _micro(scores: ScoreBatch, name: str, classes: int) -> Ints:
    """Return the probabilities of a head, (B, C), in micro-units."""
    values: Any = scores.heads[name]
    who = f"head {name} of {scores.model_version}"
    if _kind(values) != "f":
        raise FatalError(f"{who} holds no floating-point numbers")
    expected = (len(scores.rated), classes)
    if values.shape != expected:
        raise FatalError(f"{who} has shape {values.shape}, expected {expected}")
    wrong: Any = ~((values >= 0) & (values <= 1))  # of NaN neither holds
    if wrong.any():
        raise FatalError(f"{who} has {int(wrong.sum())} numbers outside [0, 1] past the edge")
    return np.rint(values.astype(np.float64) * MICRO).astype(np.int64)


def _kind(values: Any) -> str:
    """Return numpy's letter for the type of an array's numbers, "" of what is no array."""
    return getattr(getattr(values, "dtype", None), "kind", "")


def _topics(heads: dict[str, Ints], rated: NDArray[np.bool_]) -> list[str]:
    if "topics" not in heads:
        return [NO_TOPIC] * len(rated)
    topics = heads["topics"]
    best = topics.argmax(axis=1)
    likely = (topics.max(axis=1, initial=0) >= MIN_TOPIC_MICRO) & rated
    return [
        TOPICS[int(index)] if flag else NO_TOPIC for index, flag in zip(best, likely, strict=True)
    ]


def counter_matrix(scores: MicroScores, near_duplicates: Sequence[bool] = ()) -> Ints:
    """Return (B, W): what each post adds to the counters of every query it matches.

    Posts that the model abstained on count as posts, perhaps as copies, and nothing else.

    Args:
        scores: The scores of the posts.
        near_duplicates: (B,) whether each was marked as a copy; empty is none.
    """
    rated = scores.rated.astype(np.int64)
    copies = np.asarray(near_duplicates, np.int64) if len(near_duplicates) else 0
    posts = CountedPosts(rated, scores.heads, copies)
    matrix = np.zeros((len(rated), WIDTH), dtype=np.int64)
    for row in ROWS:
        added = row.adds(posts)
        matrix[:, INDEX[row.name]] = added * rated if row.of == "rated" else added
    for head, at in HEAD_COLUMNS.items():
        if head in scores.heads:
            probabilities = scores.heads[head] * rated[:, None]
            if COUNTERS[at] == f"{head}_posts":
                matrix[:, at] = rated
                at += 1
            matrix[:, at : at + probabilities.shape[1]] = probabilities
    return matrix


def group_increments(
    matrix: Ints,
    starts_s: Sequence[int],
    matches: Sequence[tuple[int, ...]],
    names: Sequence[str],
    strata: Sequence[str],
    authors: Sequence[str],
) -> dict[int, list[QueryIncrement]]:
    """Return pane start (s) -> increments of each query, ready for the store.

    Args:
        matrix: (B, W) from `counter_matrix`.
        starts_s: (B,) pane start of each post.
        matches: (B,) indices into `names` of the queries each post matches.
        names: names of the queries.
        strata: (B,) stratum of each post.
        authors: (B,) author of each post.
    """
    if not any(matches):
        return {}
    rows = np.repeat(np.arange(len(matches)), [len(match) for match in matches])
    queries = np.fromiter((q for m in matches for q in m), dtype=np.int64, count=len(rows))
    pane_starts, pane_of = np.unique(np.asarray(starts_s, dtype=np.int64), return_inverse=True)
    stratum_names, stratum_of = _numbered(strata)
    fine_of = (pane_of[rows] * len(names) + queries) * len(stratum_names) + stratum_of[rows]
    order = np.argsort(fine_of, kind="stable")  # both levels: the finer key orders groups too
    rows, values, fine_of = rows[order], matrix[rows[order]], fine_of[order]
    by_group: dict[int, dict[str, list[int]]] = {}
    keys, _, totals = _summed(values[:, :STRATUM_WIDTH], fine_of)
    for key, sums in zip(keys, totals, strict=True):
        group, stratum_index = divmod(key, len(stratum_names))
        by_group.setdefault(group, {})[stratum_names[stratum_index]] = sums
    speakers = [authors[row] for row in _plain(rows)]
    increments: dict[int, list[QueryIncrement]] = {}
    keys, at, totals = _summed(values, fine_of // len(stratum_names))
    for key, start, end, sums in zip(keys, at, [*at[1:], len(rows)], totals, strict=True):
        pane_index, query = divmod(key, len(names))
        made = increments.setdefault(int(pane_starts[pane_index]), [])
        made.append((names[query], sums, by_group[key], list(dict.fromkeys(speakers[start:end]))))
    return increments


def _summed(values: Ints, keys: Ints) -> tuple[list[int], list[int], list[list[int]]]:
    """Return the different ones of the sorted keys, where each begins, and its sum of `values`."""
    found, starts = np.unique(keys, return_index=True)
    sums = cast(Any, np.add.reduceat(values, starts, axis=0)).tolist()
    return _plain(found), _plain(starts), sums


def _numbered(names: Sequence[str]) -> tuple[list[str], Ints]:
    """Return the distinct names and, for each, its number."""
    numbers: dict[str, int] = {}
    of = [numbers.setdefault(name, len(numbers)) for name in names]
    return list(numbers), np.asarray(of, dtype=np.int64)


def _plain(numbers: Any) -> list[int]:
    """Return a one-dimensional integer array as a list."""
    return cast("list[int]", numbers.tolist())
