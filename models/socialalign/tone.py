"""The tone of a text in whatever language, from which signs stand together in it.

It is learnt from labelled answers and read of the post that is answered, whose label is often not
known: an insult is answered otherwise than a joke. Log-linear on hashed runs of one to three signs
(Joachims 1998; Weinberger et al. 2009), rare runs weighing more. It knows no meaning.

Shapes: `n` texts, `B` buckets, `C` labels, `K` runs of all texts together.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.socialalign.posterior import Floats

BUCKETS: Final = 1 << 16
_LONGEST: Final = 3
MOST_LETTERS: Final = 1_000
"""Of a text so many are read."""
_LOOSENESS: Final = 2.0
"""The inverse of the penalty, as scikit-learn counts it."""
_STEPS: Final = 300
_LEAST_TEXTS: Final = 3
"""A run of signs that fewer texts have says nothing of others."""


@dataclass(frozen=True, slots=True)
class _Runs:
    """Texts as rows of a sparse matrix: (n + 1,) begins, (K,) buckets, (K,) weights."""

    begins: NDArray[np.int64]
    buckets: NDArray[np.int64]
    weights: Floats


def _runs(texts: Sequence[str], rarity: Floats | None) -> tuple[_Runs, Floats]:
    rows: list[NDArray[np.int64]] = []
    for text in texts:
        padded = f" {' '.join(text[:MOST_LETTERS].casefold().split())} " if text.strip() else ""
        found = {
            zlib.crc32(padded[at : at + size].encode("utf-8", "replace")) % BUCKETS
            for size in range(1, _LONGEST + 1)
            for at in range(len(padded) - size + 1)
        }
        rows.append(np.array(sorted(found), np.int64))
    buckets = np.concatenate([*rows, np.zeros(0, np.int64)])
    of_text = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    if rarity is None:
        many = np.bincount(buckets, minlength=BUCKETS)
        rarity = np.where(many < _LEAST_TEXTS, 0, np.log((1 + len(rows)) / (1 + many)) + 1)
    known = rarity[buckets] > 0
    buckets, of_text = buckets[known], of_text[known]
    weights = rarity[buckets]
    length = np.sqrt(np.bincount(of_text, weights**2, len(rows)))
    begins = np.searchsorted(of_text, np.arange(len(rows) + 1))
    return _Runs(begins, buckets, weights / length[of_text]), rarity


@dataclass(frozen=True, slots=True)
class TextTone:
    """What tells tones apart. Read-only, and so safe for concurrent calls.

    Attributes:
        rarity: (B,) how much a bucket counts.
        weights: (B, C) what it says of each label.
        usual: (C,) what no text says.
    """

    rarity: Floats
    weights: Floats
    usual: Floats

    def moved(self, texts: Sequence[str]) -> Floats:
        """Return (n, C) what each text says of the labels beyond the usual; zeros for no text."""
        given, _rarity = _runs(texts, self.rarity)
        sums = np.zeros((len(given.buckets) + 1, len(self.usual)))
        np.cumsum(given.weights[:, None] * self.weights[given.buckets], axis=0, out=sums[1:])
        return np.diff(sums[given.begins], axis=0)


def fit_tone(texts: Sequence[str], labels: NDArray[np.int64], classes: int) -> TextTone:
    """Fit by cross-entropy with a squared penalty; needs scikit-learn.

    Args:
        texts: n texts.
        labels: (n,) their labels.
        classes: The number of labels; one that no text has stays as usual.
    """
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    given, rarity = _runs(texts, None)
    usual = np.log(np.bincount(labels, minlength=classes) + 1.0) - np.log(len(texts) + classes)
    weights = np.zeros((BUCKETS, classes))
    if not given.buckets.size or len(np.unique(labels)) < 2:
        return TextTone(rarity, weights, usual)
    matrix = csr_matrix((given.weights, given.buckets, given.begins), (len(texts), BUCKETS))
    used = np.unique(given.buckets)
    fitted = LogisticRegression(C=_LOOSENESS, max_iter=_STEPS).fit(matrix[:, used], labels)
    if len(fitted.classes_) == 2:
        weights[np.ix_(used, fitted.classes_)] = np.vstack([-fitted.coef_, fitted.coef_]).T / 2
    else:
        weights[np.ix_(used, fitted.classes_)] = fitted.coef_.T
    return TextTone(rarity, weights, usual)
