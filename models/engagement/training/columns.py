"""What is trained on, as arrays: posts of one or several sets, with a weight each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.features import Floats
from models.engagement.training.dataset import Examples, Mask
from models.engagement.training.variants import Variant

FULL_WEIGHT: Final = 20_000
"""A set of more posts weighs as much as one of so many: the largest does not decide alone."""


@dataclass(frozen=True, slots=True)
class TrainingColumns:
    """Posts to train on.

    Attributes:
        features: (N, F) as `models.engagement.features.FEATURES`.
        sequence: (N, 32, S) as `models.engagement.features.SEQUENCE`.
        bases: (N, 3) what answers are relative to.
        outcomes: (N, 3) log1p of the counts; NaN where unknown.
        weights: (N,) of each post.
    """

    features: Floats
    sequence: Floats
    bases: Floats
    outcomes: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.weights)

    def select(self, chosen: NDArray[Any]) -> "TrainingColumns":
        """Return some of the posts, by mask or by number."""
        return TrainingColumns(
            self.features[chosen], self.sequence[chosen], self.bases[chosen],
            self.outcomes[chosen], self.weights[chosen],
        )  # fmt: skip


def columns_of(found: Examples) -> TrainingColumns:
    """Return posts as they are, each of weight one."""
    weights = np.ones(len(found), np.float32)
    seen = found.seen
    return TrainingColumns(seen.features, seen.sequence, found.bases(), found.outcomes, weights)


def columns_for(
    sets: Mapping[str, Examples], masks: Mapping[str, Mask], variant: Variant
) -> TrainingColumns:
    """Draw posts of some sets to train on.

    Posts of authors without a known outcome are drawn too: the model is asked about them as well.

    Args:
        sets: The posts by the name of their set.
        masks: Of each set, which posts may be trained on.
        variant: How many of a set at most, what they weigh, and the seed of the chance.
    """
    rng = np.random.default_rng(variant.seed)
    parts: list[TrainingColumns] = []
    for name, found in sets.items():
        usable = masks[name] & ~np.isnan(found.outcomes[:, 0])
        chosen = np.flatnonzero(usable)
        total = min(len(chosen), FULL_WEIGHT) * variant.weights.get(name, 1.0)
        if len(chosen) > variant.rows:
            chosen = np.sort(rng.choice(chosen, variant.rows, replace=False))
        parts.append(
            TrainingColumns(
                found.seen.features[chosen],
                found.seen.sequence[chosen],
                found.bases()[chosen],
                found.outcomes[chosen],
                np.full(len(chosen), total / max(1, len(chosen)), np.float32),
            )
        )
    names = ("features", "sequence", "bases", "outcomes", "weights")
    return TrainingColumns(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
