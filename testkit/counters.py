"""What one post adds to a counter of panes that the plain programs do not know by themselves.

They add up what they are told of a post, post by post: so that a counter which is only a row of the
product's table is held to be counted once, in its pane and under its queries, like the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.heads import COUNTED
from stream.windows.layout import COUNTERS, ROWS, CountedPosts


def further(
    known: Sequence[str], rated: bool, scores: Mapping[str, Sequence[int]], is_copy: bool
) -> dict[str, int]:
    """Return what a post adds to the counters that are not among the known ones.

    Args:
        known: The names of the counters that the caller works out by itself.
        rated: Whether the model rates the post.
        scores: Head -> its probabilities in micro-units.
        is_copy: Whether the post is marked as a copy.
    """
    found: dict[str, int] = {}
    for head in COUNTED:
        if rated and head.name in scores:
            found[f"{head.name}_posts"] = 1
            for label, score in zip(head.labels, scores[head.name], strict=True):
                found[f"{head.name}_{label}"] = score
    alone = CountedPosts(
        np.array([rated], np.int64),
        {head: np.array([values], np.int64) for head, values in scores.items()},
        np.array([is_copy], np.int64),
    )
    for row in ROWS:
        if row.name not in known and (rated or row.of == "all"):
            found[row.name] = int(np.broadcast_to(row.adds(alone), (1,))[0])
    return {name: found[name] for name in COUNTERS if name in found and name not in known}
