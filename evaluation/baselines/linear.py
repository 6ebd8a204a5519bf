"""Logistic regression on TF-IDF of words and characters: the floor for anything learned.

Words and word pairs, and two to five characters inside words, at least two posts each, logarithmic
counts (the recipe behind the floors that the papers' test sets are quoted with). Reads the same
normalised text as the model. Needs scikit-learn.

Shapes: `N` posts, `C` classes.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.serving.normalise import normalise

RECIPE: Final = "tfidf word 1-2 + char_wb 2-5, min_df 2, sublinear; logistic regression, 2"
"""Changes with anything that changes the probabilities: kept results go by it."""
STRENGTH: Final = 10.0
"""C of the logistic regression: the inverse of its regularisation."""
CHARACTER_FEATURES: Final = 200_000
"""The most frequent ones; bounds memory and time on tens of thousands of posts."""
_SEED: Final = 20171


class TfidfClassifier:
    """Fit once, then ask; `balanced` weights classes inversely to their frequency."""

    def __init__(self, balanced: bool, strength: float = STRENGTH) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        features = make_union(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
            TfidfVectorizer(
                analyzer="char_wb",
                ngram_range=(2, 5),
                min_df=2,
                sublinear_tf=True,
                max_features=CHARACTER_FEATURES,
            ),
        )
        self._pipeline: Any = make_pipeline(
            features,
            LogisticRegression(
                C=strength,
                max_iter=300,
                class_weight="balanced" if balanced else None,
                random_state=_SEED,
            ),
        )
        self._classes = 0

    def fit(self, texts: Sequence[str], labels: Sequence[int], classes: int) -> "TfidfClassifier":
        """Learn from raw texts and class numbers below `classes`."""
        from sklearn.exceptions import ConvergenceWarning

        self._classes = classes
        with warnings.catch_warnings():
            # The last digits of the optimum do not matter to a floor.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._pipeline.fit([normalise(text) for text in texts], list(labels))
        return self

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the probabilities (N, C) of texts; a class that training did not show gets 0."""
        found = np.zeros((len(texts), self._classes), np.float32)
        if texts:
            known = self._pipeline[-1].classes_
            found[:, known] = self._pipeline.predict_proba([normalise(text) for text in texts])
        return found


def tfidf(
    texts: Sequence[str],
    labels: Sequence[int],
    classes: int,
    asked: Sequence[str],
    balanced: bool = True,
    strength: float = STRENGTH,
) -> NDArray[np.float32]:
    """Return the probabilities (N, C) of the texts `asked`, after learning from `texts`."""
    return TfidfClassifier(balanced, strength).fit(texts, labels, classes).probabilities(asked)


def tfidf_layered(
    texts: Sequence[str], levels: Sequence[int], classes: int, asked: Sequence[str]
) -> NDArray[np.float32]:
    """A gate (class 0 or not) and a classifier of what passes, fitted on true passers only.

    Probabilities (N, C) are those of the chain; the papers' hard decision is
    `evaluation.encoder.decisions.layered`.
    """
    gate = tfidf(texts, [int(level > 0) for level in levels], 2, asked)
    inside = [row for row, level in enumerate(levels) if level > 0]
    level = tfidf(
        [texts[row] for row in inside], [levels[row] - 1 for row in inside], classes - 1, asked
    )
    return np.concatenate([gate[:, :1], gate[:, 1:] * level], axis=1).astype(np.float32)


def tfidf_tags(
    texts: Sequence[str], tags: NDArray[np.bool_], asked: Sequence[str]
) -> NDArray[np.float32]:
    """Each class by itself (N, C), for posts that have any number of classes."""
    columns = [
        tfidf(texts, tags[:, column].astype(int).tolist(), 2, asked)[:, 1]
        if 0 < tags[:, column].sum() < len(tags)
        else np.full(len(asked), tags[:, column].mean(), np.float32)
        for column in range(tags.shape[1])
    ]
    return np.stack(columns, axis=1)
