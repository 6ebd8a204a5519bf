"""Train a reward: ``python -m models.popalm.training.reward_run``.

Three linear rankers learn from pairs by logistic loss, weighted by margin: from the shape, from the
letters, and from the vector with the shape and the closeness to the post; the last one is left out
where vectors only say which words there are. Each strength of
regularisation is chosen by folds of posts within what is learnt from; the rankers are scaled to
deviation one and summed. The same again for each fold of posts that is left out.

Shapes: `N` pairs, `B` texts, `K` features, `L` buckets of letters, `D` embedding width.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from models.popalm.encoders import TextVectors
from models.popalm.pairs import Pair
from models.popalm.reward import FOLDS, fold_of, post_key
from models.popalm.text_shape import BUCKETS, COLUMNS, buckets_of, shapes_of

Floats = NDArray[np.float64]
STRENGTHS: Final[Mapping[str, Sequence[float]]] = {
    "shape": (0.003, 0.03), "letters": (0.0003, 0.001, 0.003), "vectors": (0.1, 0.3, 1.0),
}  # fmt: skip
_INNER: Final = 3
_VECTOR_SCALE: Final = 16.0
_CLOSE_SCALE: Final = 5.0
_ITERATIONS: Final = 200
_LEAST_SCALE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Read:
    """Pairs as numbers.

    Attributes:
        pairs: The pairs.
        rows: The (N, 2) rows of their preferred and rejected texts.
        closeness: The (B_N, 2) cosines of both to the post.
        shapes: The (B, F) features of shape, not scaled.
        letters: The (B, L) letters as a sparse matrix, rows of length one.
        vectors: The (B, D) vectors.
    """

    pairs: Sequence[Pair]
    rows: NDArray[np.int64]
    closeness: Floats
    shapes: Floats
    letters: Any
    vectors: Floats


def read_pairs(pairs: Sequence[Pair], encode: TextVectors) -> Read:
    """Return pairs as numbers; every text is read once."""
    texts = list(dict.fromkeys(t for pair in pairs for t in (pair.preferred, pair.rejected)))
    posts = list(dict.fromkeys(pair.post for pair in pairs))
    number = {text: row for row, text in enumerate(texts)}
    vectors, of_posts = encode(texts).astype(np.float64), encode(posts).astype(np.float64)
    rows = np.array([(number[pair.preferred], number[pair.rejected]) for pair in pairs])
    place = {post: row for row, post in enumerate(posts)}
    own = of_posts[[place[pair.post] for pair in pairs]]
    closeness = np.stack([(vectors[rows[:, side]] * own).sum(axis=1) for side in (0, 1)], axis=1)
    return Read(
        pairs, rows, closeness, shapes_of(texts).astype(np.float64), letters_of(texts), vectors
    )


def letters_of(texts: Sequence[str]) -> Any:
    """Return the (B, L) sparse letters of texts, rows of length one."""
    found = [buckets_of(text) for text in texts]
    ends = np.cumsum([0, *map(len, found)])
    columns = np.fromiter((column for row in found for column in row), np.int64, int(ends[-1]))
    values = np.repeat([1 / len(row) ** 0.5 for row in found], [len(row) for row in found])
    return csr_matrix((values, columns, ends), shape=(len(texts), BUCKETS))


def fit(differences: Any, margins: Floats, strength: float) -> Floats:
    """Return (K,) weights that put the preferred reply first: logistic loss weighted by margin.

    Args:
        differences: The (N, K) features of the preferred reply less those of the rejected one.
        margins: The (N,) margins.
        strength: The weight of the squared length of the weights.
    """
    weights = margins / margins.sum()

    def loss(w: Floats) -> tuple[float, Floats]:
        ahead = differences @ w
        gradient = -(differences.T @ (weights / (1 + np.exp(ahead)))) + strength * w
        return float(weights @ np.logaddexp(0, -ahead) + strength * (w @ w) / 2), gradient

    start = np.zeros(differences.shape[1])
    options = {"maxiter": _ITERATIONS}
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)


def differences_of(
    read: Read, scale: tuple[Floats, Floats], with_vectors: bool = True
) -> dict[str, Any]:
    """Return the (N, K) differences that each ranker learns from."""
    one, other = read.rows.T
    shapes = (read.shapes - scale[0]) / scale[1]
    shape = shapes[one] - shapes[other]
    vectors = _VECTOR_SCALE * (read.vectors[one] - read.vectors[other])
    close = _CLOSE_SCALE * (read.closeness[:, :1] - read.closeness[:, 1:])
    found = {"shape": shape, "letters": read.letters[one] - read.letters[other]}
    return found | ({"vectors": np.hstack([vectors, shape, close])} if with_vectors else {})


def chosen(differences: Any, margins: Floats, folds: NDArray[np.int64], name: str) -> float:
    """Return the strength that puts most pairs of the left-out inner folds in their order."""
    right: dict[float, float] = {}
    for strength in STRENGTHS[name]:
        scores = np.zeros(len(margins))
        for inner in range(_INNER):
            known = folds % _INNER != inner
            scores[~known] = differences[~known] @ fit(differences[known], margins[known], strength)
        right[strength] = float(np.mean(scores > 0))
    return max(right, key=lambda strength: right[strength])


def train_popularity(read: Read, with_vectors: bool = True) -> dict[str, NDArray[Any]]:
    """Return the tensors of the head of liking, a row from all posts and one without each fold."""
    mean, scale = read.shapes.mean(axis=0), np.maximum(read.shapes.std(axis=0), _LEAST_SCALE)
    margins = np.array([pair.margin for pair in read.pairs])
    folds = np.array([fold_of(pair.post) for pair in read.pairs])
    # Inner folds are of other digits than the outer ones.
    inner = np.array([post_key(pair.post) // FOLDS % 1_000 for pair in read.pairs])
    differences = differences_of(read, (mean, scale), with_vectors)
    rows = [
        _one_set(read, differences, margins, inner, folds != out, (mean, scale))
        for out in range(-1, FOLDS)
    ]
    tensors = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    learnt = sorted({post_key(pair.post) for pair in read.pairs})
    return tensors | {
        "shape_mean": mean.astype(np.float32), "shape_scale": scale.astype(np.float32),
        "learnt_posts": np.array(learnt, np.uint64),
    }  # fmt: skip


def _one_set(
    read: Read,
    differences: Mapping[str, Any],
    margins: Floats,
    inner: NDArray[np.int64],
    known: NDArray[np.bool_],
    scale: tuple[Floats, Floats],
) -> dict[str, NDArray[Any]]:
    found: dict[str, Floats] = {}
    for name, whole in differences.items():
        some = whole[known]
        strength = chosen(some, margins[known], inner[known], name)
        weights = fit(some, margins[known], strength)
        found[name] = weights / max(float(np.std(some @ weights)), 1e-9)
        sys.stderr.write(f"{name}: strength {strength}\n")
    width, features = read.vectors.shape[1], len(COLUMNS)
    found.setdefault("vectors", np.zeros(width + features + 1))
    shape = found["shape"] + found["vectors"][width : width + features]
    vectors, close = _VECTOR_SCALE * found["vectors"][:width], _CLOSE_SCALE * found["vectors"][-1]
    usual = float(read.closeness[known].mean())
    own = np.unique(read.rows[known])
    plain = (read.shapes[own] - scale[0]) / scale[1] @ shape + read.vectors[own] @ vectors
    plain = plain + read.letters[own] @ found["letters"]
    return {
        "shape": shape.astype(np.float32), "letters": found["letters"].astype(np.float16),
        "vectors": vectors.astype(np.float32), "close": np.array(close, np.float32),
        "close_mean": np.array(usual, np.float32),
        "popularity": np.array([plain.mean(), plain.std()], np.float32),
    }  # fmt: skip
