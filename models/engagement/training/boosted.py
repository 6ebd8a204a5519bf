"""Boosted trees on the same inputs as the networks, by scikit-learn: what networks have to beat.

They answer likes alone. The interval is that of the errors in training around the point, of one
shape for all posts.
"""

from typing import Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from models.engagement.features import Floats
from models.engagement.layout import LEVELS, TARGETS
from models.engagement.training.columns import TrainingColumns
from models.engagement.training.variants import Variant

LOSSES: Final = {"mae": "absolute_error", "mse": "squared_error", "quantile": "quantile"}
"""Loss -> its name there; there is no Huber loss."""


class BoostedTrees:
    """A fitted ensemble."""

    def __init__(self, columns: TrainingColumns, variant: Variant) -> None:
        """Fit it on the posts whose likes are known."""
        known = columns.select(~np.isnan(columns.outcomes[:, 0]))
        self._relative = variant.scaling == "author"
        self._middle, self._width = 0.0, 1.0
        if variant.scaling == "robust":
            lower, middle, upper = np.quantile(known.outcomes[:, 0], (0.25, 0.5, 0.75))
            self._middle, self._width = float(middle), max(float(upper - lower), 1e-3)
        self._trees = HistGradientBoostingRegressor(
            loss=LOSSES[variant.loss],
            quantile=0.5 if variant.loss == "quantile" else None,
            max_iter=variant.trees,
            max_leaf_nodes=variant.leaves,
            learning_rate=0.1,
            min_samples_leaf=80,
            l2_regularization=5,
            max_features=0.5,
            early_stopping=False,
            random_state=variant.seed,
        )
        wanted = (known.outcomes[:, 0] - self._offset(known)) / self._width
        # A feature that is unknown of every post cannot be cut anywhere, and is not taken.
        self._taken = ~np.isnan(known.features).all(axis=0)
        self._trees.fit(known.features[:, self._taken], wanted, known.weights)
        self._steps = np.quantile(known.outcomes[:, 0] - self._points(known), LEVELS)
        self._steps -= self._steps[LEVELS.index(0.5)]

    def predicted(self, columns: TrainingColumns) -> Floats:
        """Return (N, 3, 5) quantiles of log1p of the counts; of the last two targets NaN."""
        found = np.full((len(columns), len(TARGETS), len(LEVELS)), np.nan, np.float32)
        found[:, 0] = np.maximum(self._points(columns)[:, None] + self._steps, 0)
        return found

    def _offset(self, columns: TrainingColumns) -> Floats:
        return columns.bases[:, 0] * self._relative + np.float32(self._middle)

    def _points(self, columns: TrainingColumns) -> Floats:
        scaled = self._trees.predict(columns.features[:, self._taken])
        return scaled * self._width + self._offset(columns)
