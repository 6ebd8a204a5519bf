"""The floor for a text prior of liking: TF-IDF of a pair's texts, their difference, logistic loss.

Words and word pairs, and runs of characters (inside words where a language has spaces), seen in two
texts at least, logarithmic counts. Folds are those of posts that the reward has; what is judged is
neither counted nor learnt from, and the strength of regularisation was set beforehand.

Shapes: `N` pairs, `R` texts, `V` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.popalm.pairs import Pair
from models.popalm.reward import FOLDS, fold_of

Floats = NDArray[np.float64]
STRENGTH: Final = 1.0
"""C of the logistic regression a pair, which stands there both ways round: set beforehand."""
_FEATURES: Final = 100_000
"""The most frequent runs of characters; bounds memory and time."""
_RUNS: Final[dict[str, tuple[str, tuple[int, int]]]] = {
    "zh": ("char", (1, 3)), "en": ("char_wb", (2, 5)),
}  # fmt: skip


class TextFloor:
    """Learns from pairs which words and letters are liked; fit once, then asked.

    Args:
        pairs: The pairs that are learnt from.
        language: `en` or `zh`.

    Attributes:
        has_learnt: Whether there was anything to learn; if not, all texts are worth the same.
    """

    def __init__(self, pairs: Sequence[Pair], language: str) -> None:
        from scipy.sparse import vstack
        from sklearn.linear_model import LogisticRegression

        self.has_learnt = False
        texts = list(dict.fromkeys(t for pair in pairs for t in (pair.preferred, pair.rejected)))
        row = {text: number for number, text in enumerate(texts)}
        self._features = _features(language)
        try:
            seen = self._features.fit_transform(texts)
        except ValueError:  # no word, or no run of characters, stands in two texts
            return
        ahead = (
            seen[[row[pair.preferred] for pair in pairs]]
            - seen[[row[pair.rejected] for pair in pairs]]
        )
        # Both ways round, as either says the same and there have to be two classes.
        both, is_ahead = vstack([ahead, -ahead]), np.arange(2 * len(pairs)) < len(pairs)
        model = LogisticRegression(C=STRENGTH / 2, fit_intercept=False, max_iter=300)
        self._weights: Floats = model.fit(both, is_ahead).coef_[0]
        self.has_learnt = True

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return (R,) how much texts are liked, by their words and letters alone."""
        if not self.has_learnt or not len(texts):
            return np.zeros(len(texts))
        return np.asarray(self._features.transform(list(texts)) @ self._weights, np.float64)


def _features(language: str) -> Any:
    """Return what makes (R, V) features of texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    analyzer, runs = _RUNS[language]
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        TfidfVectorizer(
            analyzer=analyzer, ngram_range=runs, min_df=2, sublinear_tf=True,
            max_features=_FEATURES,
        ),
    )  # fmt: skip


def floors_by_fold(learnt: Sequence[Pair], language: str) -> list[TextFloor]:
    """Return a floor for each fold of posts, learnt from the pairs of all others."""
    return [
        TextFloor([pair for pair in learnt if fold_of(pair.post) != fold], language)
        for fold in range(FOLDS)
    ]


def floor_ahead(floors: Sequence[TextFloor], judged: Sequence[Pair]) -> Floats:
    """Return (N,) how far the preferred reply of each pair is ahead, by what did not see its post.

    Args:
        floors: A floor for each fold.
        judged: The pairs.
    """
    ahead = np.zeros(len(judged))
    for fold, floor in enumerate(floors):
        rows = [row for row, pair in enumerate(judged) if fold_of(pair.post) == fold]
        if rows:
            ahead[rows] = floor.scores([judged[row].preferred for row in rows])
            ahead[rows] -= floor.scores([judged[row].rejected for row in rows])
    return ahead
