"""Recorded posts as a model sees them, each as of its own time, and the ways to split them.

Features come from `models.engagement.history` and `models.engagement.features` alone, as on the
stream.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.features import BASES, HEAD_WIDTH, AsOf, Floats, features_of
from models.engagement.history import as_of
from models.engagement.layout import FLOORS, HISTORY, TARGETS, from_log16
from models.engagement.levels import UsualCounts
from models.engagement.training.heads import Scores, head_scores
from models.engagement.training.sets import HORIZON_S, EngagementSet, read_set

TEST_SHARE: Final = 0.2
AUTHOR_FOLDS: Final = 5
MED32: Final = FLOORS.index("med32")
_BLOCK: Final = 16_384

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Examples:
    """The posts of a set as a model sees them.

    Attributes:
        posts: The posts, author by author.
        seen: What is known just before each of them.
        outcomes: (N, 3) log1p of the counts at the horizon; NaN where unknown.
        horizon_s: The horizon.
    """

    posts: EngagementSet
    seen: AsOf
    outcomes: Floats
    horizon_s: float = HORIZON_S

    def __len__(self) -> int:
        return len(self.posts)

    def bases(self) -> Floats:
        """Return (N, 3) what the answer of a model is relative to."""
        return self.seen.features[:, list(BASES)]

    def judged(self, target: int = 0) -> Mask:
        """Return (N,) which posts count for skill: settled, of an author with a known outcome."""
        return self.seen.known[:, target] & ~np.isnan(self.outcomes[:, target])

    def select(self, chosen: NDArray[Any]) -> "Examples":
        """Return some of the posts, by mask or by number."""
        seen = AsOf(
            self.seen.features[chosen], self.seen.sequence[chosen],
            self.seen.floors[chosen], self.seen.known[chosen],
        )  # fmt: skip
        return replace(
            self, posts=self.posts.select(chosen), seen=seen, outcomes=self.outcomes[chosen]
        )


def no_scores(posts: EngagementSet) -> Scores:
    """Return head scores of posts that no encoder has read: all unknown, none rated."""
    return np.full((len(posts), HEAD_WIDTH), np.nan, np.float32), np.zeros(len(posts), np.bool_)


def examples(
    posts: EngagementSet, scores: Scores | None = None, horizon_s: float = HORIZON_S
) -> Examples:
    """Return the posts of a set as a model sees them; without scores every head is unknown."""
    columns = posts.posts(*(scores or no_scores(posts)))
    histories = histories_of(posts, columns.kinds(), horizon_s)
    levels = source_levels(posts.at_s, posts.counts, horizon_s)
    parts = [
        features_of(histories[part], columns.select(part), levels[part])
        for part in (slice(start, start + _BLOCK) for start in range(0, len(posts), _BLOCK))
    ]
    seen = AsOf(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("features", "sequence", "floors", "known")
        )
    )
    return Examples(posts, seen, from_log16(posts.counts), horizon_s)


def load_examples(
    data: Path, name: str, cache: Path | None = None, with_heads: bool = True
) -> Examples:
    """Read a set with its head scores and return it as a model sees it.

    Raises:
        ConfigError: The set is not there, or its head scores are not and cannot be made here.
    """
    posts = read_set(data, name)
    return examples(posts, head_scores(data, posts, cache) if with_heads else None)


def histories_of(
    posts: EngagementSet, kinds: NDArray[np.uint8], horizon_s: float = HORIZON_S
) -> NDArray[Any]:
    """Return (N,) what was remembered of each post's author just before it."""
    found = np.zeros(len(posts), HISTORY)
    ends = np.flatnonzero(np.diff(posts.author, append=-1)) + 1
    start = 0
    for end in ends.tolist():
        rows = slice(start, end)
        at_s, of_author = posts.at_s[rows].tolist(), kinds[rows].tolist()
        found[rows] = as_of(at_s, of_author, posts.counts[rows], horizon_s)
        start = end
    return found


def source_levels(
    at_s: NDArray[np.float64], counts: NDArray[np.uint16], horizon_s: float = HORIZON_S
) -> Floats:
    """Return (N, 3) logs that are usual in a source as of each post; 0 before anything is known."""
    usual, medians = UsualCounts(), np.zeros((len(at_s), len(TARGETS)), np.uint16)
    order, due = np.argsort(at_s, kind="stable").tolist(), 0
    for row in order:
        while at_s[order[due]] + horizon_s <= at_s[row]:
            usual.add(counts[order[due]].tolist())
            due += 1
        medians[row] = usual.medians()
    return from_log16(medians)


def time_split(found: Examples, share: float = TEST_SHARE) -> tuple[Mask, Mask]:
    """Return which posts are for training and which for the test: the last fifth of the settled.

    All authors in one order of time. A post whose outcome was not yet known when the test begins is
    in neither.
    """
    settled = ~np.isnan(found.outcomes[:, 0])
    at_s = found.posts.at_s
    cut_s = np.quantile(at_s[settled], 1 - share)
    return settled & (at_s + found.horizon_s <= cut_s), settled & (at_s >= cut_s)


def validation_split(found: Examples) -> tuple[Mask, Mask]:
    """Return which posts are for training and which to choose settings by: the fifth before last.

    Both are of what `time_split` trains on: nothing of the test, nor of what was not yet known when
    it began, has a say.
    """
    before = time_split(found)[0]
    at_s = found.posts.at_s
    cut_s = np.quantile(at_s[before], 1 - TEST_SHARE / (1 - TEST_SHARE))
    return before & (at_s + found.horizon_s <= cut_s), before & (at_s >= cut_s)


def author_folds(found: EngagementSet, folds: int = AUTHOR_FOLDS) -> NDArray[np.int64]:
    """Return (N,) the fold of each post, by the hash of its author's name."""
    of_author = [
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") % folds
        for name in found.authors
    ]
    return np.asarray(of_author, np.int64)[found.author]
