"""Models fitted here on recorded posts: for posts that come later, other authors, other sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from core.ports import EngagementAnswer
from evaluation.forecasts.judging import TREES
from evaluation.forecasts.run import Answering, Plan, Way
from evaluation.forecasts.serving import Rows, Say, Scored
from models.engagement.features import BASES
from models.engagement.layout import LEVELS, TARGETS
from models.engagement.training.columns import TrainingColumns, columns_for
from models.engagement.training.dataset import (
    AUTHOR_FOLDS,
    Examples,
    author_folds,
    load_examples,
    time_split,
)
from models.engagement.training.sets import present_sets
from models.engagement.training.variants import Variant, variant_of

_MEDIAN: Final = LEVELS.index(0.5)
Features = NDArray[np.float32]
Masks = Mapping[str, NDArray[np.bool_]]


class Predict(Protocol):
    """A fitted model: (B, F) and (B, 32, S) to (B, 3, 5) quantiles, and (B,) those of the trees."""

    def __call__(self, features: Features, sequence: Features) -> tuple[Features, Features]:
        """Return quantiles of log1p of the counts, and what the trees expect of likes."""
        ...


def fit_on(columns: TrainingColumns, variant: Variant, name: str) -> Predict:
    """Return the network of a variant and boosted trees, fitted on posts."""
    # Torch and scikit-learn, which only this needs.
    from models.engagement.training.boosted import BoostedTrees
    from models.engagement.training.fit import fit, predicted

    trees = BoostedTrees(columns, variant)
    network, scale = fit(columns, variant, name=name)

    def predict(features: Features, sequence: Features) -> tuple[Features, Features]:
        bases = np.nan_to_num(features[:, list(BASES)])
        nothing = np.zeros(len(features), np.float32)
        asked = TrainingColumns(features, sequence, bases, bases, nothing)
        quantiles = np.sort(predicted(network, scale, asked), axis=2)
        return quantiles, trees.predicted(asked)[:, 0, _MEDIAN]

    return predict


_VARIANTS: Final = {"engagement": "shipped", "engagement_transformer": "transformer_shipped"}
"""The variants that the shipped models are."""


@dataclass(frozen=True, slots=True)
class _Fold:
    """A fitted model, and the number of the fold that it answers for."""

    predict: Predict
    number: int = 0


class Fitting:
    """Fits what a plan needs, and no more.

    Args:
        plan: What is to be measured.
        model: The name of a shipped model, whose kind is fitted.
        left_out: Sets that are each served by a model fitted on all others.
        say: Told how far it is.
    """

    def __init__(self, plan: Plan, model: str, left_out: Sequence[str], say: Say) -> None:
        self._plan, self._left_out, self._say = plan, left_out, say
        self._name = plan.variant or _VARIANTS[model]
        self._variant = variant_of(self._name)
        self._sets: dict[str, Examples] = {}
        for name in present_sets(plan.data):
            say(f"{name}: reading what is fitted on\n")
            self._sets[name] = load_examples(plan.data, name, plan.cache)
        self._folds: list[_Fold] = []

    def way(self) -> Way:
        """Return what answers for the posts of each set."""
        settings = {
            "fitted": self._name, "fitted_on": list(self._sets), "left_out": self._left_out,
            "folds": AUTHOR_FOLDS if self._by_author else None, "seed": self._variant.seed,
        }  # fmt: skip
        return Way(self._answering, settings, [self._note()])

    @property
    def _by_author(self) -> bool:
        return self._plan.split == "author" and not self._left_out

    def _note(self) -> str:
        of = f"variant {self._name} and boosted trees, fitted"
        if self._left_out:
            return f"{of} for each set on all the others of the folder"
        if self._by_author:
            return f"{of} {AUTHOR_FOLDS} times, each on the authors of the other folds, of all sets"
        return f"{of} on the posts of all sets whose outcome was known before the last fifth"

    def _answering(self, scored: Scored) -> Answering:
        folds = self._folds_for(scored.posts.name)
        everything = np.zeros(len(scored.posts), np.int64)
        numbers = author_folds(scored.posts) if self._by_author else everything
        points = np.full(len(scored.posts), np.nan)

        def ask(rows: Rows, features: Features, sequence: Features) -> EngagementAnswer:
            quantiles = np.empty((len(rows), len(TARGETS), len(LEVELS)), np.float32)
            for fold in folds:
                own = numbers[rows] == fold.number
                if own.any():
                    quantiles[own], points[rows[own]] = fold.predict(features[own], sequence[own])
            return EngagementAnswer(f"fitted-{self._name}", quantiles)

        return Answering(ask, {TREES: points})

    def _folds_for(self, name: str) -> list[_Fold]:
        """Return the models that answer for a set, fitted once where sets share them."""
        if self._left_out:
            others = {other: found for other, found in self._sets.items() if other != name}
            masks = {other: np.ones(len(found), np.bool_) for other, found in others.items()}
            return [_Fold(self._fitted(others, masks, f"without {name}"))]
        if not self._folds and self._by_author:
            self._folds = [self._author_fold(number) for number in range(AUTHOR_FOLDS)]
        elif not self._folds:
            masks = {other: time_split(found)[0] for other, found in self._sets.items()}
            self._folds = [_Fold(self._fitted(self._sets, masks, "time split"))]
        return self._folds

    def _author_fold(self, number: int) -> _Fold:
        masks = {name: author_folds(found.posts) != number for name, found in self._sets.items()}
        return _Fold(self._fitted(self._sets, masks, f"authors but fold {number + 1}"), number)

    def _fitted(self, sets: Mapping[str, Examples], masks: Masks, name: str) -> Predict:
        columns = columns_for(sets, masks, self._variant)
        self._say(f"{name}: fitting on {len(columns)} posts\n")
        return fit_on(columns, self._variant, name)
