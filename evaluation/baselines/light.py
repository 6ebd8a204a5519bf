"""The baselines that need no torch, on the official participation test.

Every cut is chosen on training posts, each scored by a model that saw none of its group, and
weighted to the share of participation that deployments expect.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.heads import PARTICIPATION
from evaluation.baselines import centroid, frozen
from evaluation.baselines.embedding import embed
from evaluation.baselines.excerpts import passages
from evaluation.baselines.linear import tfidf
from evaluation.baselines.shown import Shown, cut_for_prior, load_shown
from evaluation.encoder.floors import KEPT, kept
from evaluation.encoder.participation import Answer
from models.encoder.heads.participation import DEPLOYED_PARTICIPATION, SOURCE_WEIGHTS

LEVELS: Final = len(PARTICIPATION)
Vectors = NDArray[np.float32]


def _embedded(name: str, texts: tuple[str, ...]) -> Vectors:
    return kept(f"minilm-{name}", texts, lambda: embed(texts), KEPT)


def _cross_fitted(
    design: Callable[..., frozen.Predict], vectors: Vectors, shown: Shown, weights: frozen.Weights
) -> NDArray[np.float64]:
    fold_of = np.asarray(shown.fold_of)
    found = np.zeros((len(vectors), LEVELS))
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        predict = design(vectors[~inside], shown.levels[~inside], weights[~inside])
        found[inside] = predict(vectors[inside])
    return found


def _cut(scores: NDArray[np.float64], shown: Shown) -> float:
    crowd = shown.is_crowd
    return cut_for_prior(1 - scores[crowd, 0], shown.levels[crowd] > 0, DEPLOYED_PARTICIPATION)


def centroid_answers(root: Path) -> list[Answer]:
    """Return the cosine to class centroids of the backbone's embeddings."""
    shown = load_shown(root)
    vectors = _embedded("shown", shown.train.texts)
    asked = _embedded("asked", shown.test.texts)
    held_out = centroid.held_out_scores(vectors, shown.levels, LEVELS, shown.fold_of)
    means = centroid.centroids(vectors, shown.levels, LEVELS)
    direct = centroid.class_scores(asked, means).astype(np.float32)
    whether = (shown.levels > 0).astype(np.int64)
    pair = centroid.held_out_scores(vectors, whether, 2, shown.fold_of)
    two = centroid.class_scores(asked, centroid.centroids(vectors, whether, 2))
    level = direct[:, 1:] / direct[:, 1:].sum(1, keepdims=True)
    layered = np.concatenate([two[:, :1], two[:, 1:] * level], axis=1).astype(np.float32)
    return [
        Answer("centroid", "centroid cosine, gate then level", layered, _cut(pair, shown)),
        Answer("centroid_direct", "centroid cosine, five classes", direct, _cut(held_out, shown)),
    ]


def tfidf_answers(root: Path) -> list[Answer]:
    """Return TF-IDF of crowd and synthetic posts, and of all sources, with a held-out cut."""
    answers: list[Answer] = []
    for key, title, sources in (
        ("tfidf", "TF-IDF, crowd + synthetic", ("crowd", "synthetic")),
        ("tfidf_all", "TF-IDF, all sources", ("crowd", "synthetic", "extension")),
    ):
        shown = load_shown(root, sources)
        fold_of = np.asarray(shown.fold_of)
        held_out = np.zeros((len(shown.train), LEVELS))
        for fold in np.unique(fold_of):
            known = shown.train.select(np.flatnonzero(fold_of != fold).tolist())
            inside = np.flatnonzero(fold_of == fold)
            asked = [shown.train.texts[row] for row in inside]
            held_out[inside] = tfidf(known.texts, known.labels, LEVELS, asked)
        found = tfidf(shown.train.texts, shown.train.labels, LEVELS, shown.test.texts)
        answers.append(Answer(key, title, found, _cut(held_out, shown)))
    return answers


def frozen_answers(root: Path) -> list[Answer]:
    """Designs of the head, and inputs, on frozen embeddings; all sources, weighted."""
    shown = load_shown(root, ("crowd", "synthetic", "extension"))
    weights = np.asarray([SOURCE_WEIGHTS[source] for source in shown.train.sources])
    vectors = _embedded("all", shown.train.texts)
    asked = _embedded("asked", shown.test.texts)
    answers: list[Answer] = []
    for key, (title, design) in frozen.DESIGNS.items():
        predict = design(vectors, shown.levels, weights)
        cut = _cut(_cross_fitted(design, vectors, shown, weights), shown)
        found = predict(asked).astype(np.float32)
        answers.append(Answer(key, f"frozen, {title}, excerpt", found, cut))
    return answers + _input_answers(shown, vectors, weights)


def _input_answers(shown: Shown, vectors: Vectors, weights: frozen.Weights) -> list[Answer]:
    """Whole messages instead of excerpts, and the most participating sentence of a message."""
    predict = frozen.ordinal(vectors, shown.levels, weights)
    cut = _cut(_cross_fitted(frozen.ordinal, vectors, shown, weights), shown)
    whole = _embedded("whole", shown.test.originals)
    answers = [
        Answer(
            "ordinal_whole",
            "frozen, ordinal gates, asked the whole message",
            predict(whole).astype(np.float32),
            cut,
        )
    ]
    learned = _embedded("all-whole", shown.train.originals)
    own = frozen.ordinal(learned, shown.levels, weights)
    own_cut = _cut(_cross_fitted(frozen.ordinal, learned, shown, weights), shown)
    answers.append(
        Answer(
            "ordinal_whole_trained",
            "frozen, ordinal gates, taught and asked whole messages",
            own(whole).astype(np.float32),
            own_cut,
        )
    )
    answers.append(_pooled_answer(shown, predict))
    return answers


def _pooled_answer(shown: Shown, predict: frozen.Predict) -> Answer:
    """Return the most participating sentence; its cut is chosen on pooled training messages."""

    def most(name: str, texts: tuple[str, ...]) -> NDArray[np.float64]:
        parts = [passages(text) for text in texts]
        flat = tuple(part for found in parts for part in found)
        scored = predict(_embedded(name, flat))
        ends = np.cumsum([len(found) for found in parts]).tolist()
        starts = [0, *ends[:-1]]
        rows = [a + int(scored[a:b, 0].argmin()) for a, b in zip(starts, ends, strict=True)]
        return scored[rows]

    crowd = shown.train.select(np.flatnonzero(shown.is_crowd).tolist())
    seen = most("crowd-sentences", crowd.originals)
    # These posts were in training, so the cut leans high; pooling has no held-out messages of its
    # own at a tenth of the cost.
    cut = cut_for_prior(1 - seen[:, 0], np.asarray(crowd.labels) > 0, DEPLOYED_PARTICIPATION)
    found = most("asked-sentences", shown.test.originals).astype(np.float32)
    return Answer(
        "ordinal_pooled", "frozen, ordinal gates, best sentence of the message", found, cut
    )


LIGHT: Final[dict[str, Callable[[Path], list[Answer]]]] = {
    "tfidf": tfidf_answers,
    "centroid": centroid_answers,
    "frozen": frozen_answers,
}
