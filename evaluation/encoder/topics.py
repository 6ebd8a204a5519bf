"""Topics: any number of 19 classes a post, learned from 180 posts.

Shapes: `N` posts, `C` = 19 topics.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.heads import TOPICS
from evaluation.baselines.embedding import embed
from evaluation.baselines.linear import tfidf_tags
from evaluation.drawing import reliability_diagram
from evaluation.encoder.bootstrap import Measure
from evaluation.encoder.context import Context, HeadMissing
from evaluation.encoder.decisions import unread_as
from evaluation.encoder.floors import constant_floor, kept
from evaluation.encoder.scoring import score_all
from evaluation.encoder.tables import Evaluation, Row, Section
from models.encoder.data import TaggedTexts
from models.encoder.heads import topics
from models.encoder.neighbours import choose_neighbours, neighbour_scores
from models.metrics import (
    BINS,
    average_precision,
    calibration_gap,
    multilabel_f1,
    reliability,
)

Probabilities = NDArray[np.float32]
Tags = NDArray[np.bool_]
COLUMNS: Final = {
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "macro_ap": "mean average precision",
    "ece": f"ECE, {BINS} bins",
    "labels": "labels a post",
}
FOLDS: Final = 5
CUTS: Final = tuple(np.round(np.arange(0.1, 0.71, 0.05), 2).tolist())


def measure_of(probabilities: Probabilities, cut: float, truth: Tags) -> Measure:
    """Return the measures of sets of topics, on any choice of rows."""
    chosen = probabilities >= cut

    def measure(rows: NDArray[np.integer]) -> Mapping[str, float]:
        p, y = probabilities[rows], truth[rows]
        micro, macro = multilabel_f1(chosen[rows], y)
        shown = np.flatnonzero(y.any(0))
        return {
            "micro_f1": micro,
            "macro_f1": macro,
            "macro_ap": float(np.mean([average_precision(p[:, c], y[:, c]) for c in shown])),
            "ece": calibration_gap(p.ravel(), y.ravel()),
            "labels": float(chosen[rows].sum(1).mean()),
        }

    return measure


def evaluate(head: str, context: Context) -> Evaluation:
    """TweetTopicXL in English, the official few-shot test; an unread post has no topic."""
    test = topics.test(context.data)
    truth = np.asarray(test.labels, np.bool_)
    scored = score_all(context.score, test.texts)
    if head not in scored.heads:
        raise HeadMissing(head)
    found, unread = unread_as(scored.heads[head], None)
    cut = context.topic_cut
    rows = [context.row("model", scored.model_version, measure_of(found, cut, truth), len(truth))]
    rows += floor_rows(topics.train(context.data), test, context)
    each = [multilabel_f1(found[:, [c]] >= cut, truth[:, [c]])[0] for c in range(len(TOPICS))]
    extra = {
        "posts": len(truth),
        "unread_posts": int(unread.sum()),
        "rated_share_tagged_en": float(scored.rated.mean()),
        "cut": cut,
        **{f"model_f1_{name}": value for name, value in zip(TOPICS, each, strict=True)},
    }
    section = Section(
        "topics",
        f"TweetTopicXL English, few-shot split (180 to learn from), {len(truth):,} posts, "
        "95 % intervals",
        COLUMNS,
        rows,
        (),
        [
            f"a topic applies from {cut:.3g}; the true number of labels a post is "
            f"{truth.sum(1).mean():.2f}",
            "floors choose their cut, and k, on the 180 posts alone; no figure published on this "
            "split is known to us",
        ],
    )
    bins = reliability(found.ravel(), truth.ravel())
    plot = reliability_diagram("topics: claimed and observed", {"model": bins})
    return Evaluation("topics", [section], extra, {"topics-reliability.svg": plot})


def best_cut(scores: Probabilities, truth: Tags) -> float:
    """Return the cut of `CUTS` with the best mean of micro and macro F1 on these posts."""
    return max(CUTS, key=lambda cut: sum(multilabel_f1(scores >= cut, truth)))


def floor_rows(train: TaggedTexts, test: TaggedTexts, context: Context) -> list[Row]:
    """TF-IDF, nearest neighbours of the backbone's embedding, and the most frequent topic."""
    known, truth = np.asarray(train.labels, np.bool_), np.asarray(test.labels, np.bool_)
    posts = len(test)
    shares = known.mean(0)
    always = np.where(shares == shares.max(), 1.0, 0.0)
    rows = [
        context.row(
            "frequent",
            "always the most frequent topic",
            measure_of(constant_floor(always, posts), 0.5, truth),
            posts,
        )
    ]
    if not context.has_floors:
        return rows
    texts = (*train.texts, *test.texts)
    vectors = kept("minilm-embedding", texts, lambda: embed(texts), context.floors)
    seen, asked = vectors[: len(train)], vectors[len(train) :]
    k = choose_neighbours(seen, known)
    knn_cut = best_cut(neighbour_scores(seen, seen, known, k, is_same=True), known)
    knn = neighbour_scores(asked, seen, known, k)
    held_out = kept("topics-tfidf-held-out", texts, lambda: _cross_fitted(train), context.floors)
    tfidf_cut = best_cut(held_out, known)
    tfidf = kept(
        "topics-tfidf", texts, lambda: tfidf_tags(train.texts, known, test.texts), context.floors
    )
    return [
        context.row("knn", f"{k} nearest by embedding", measure_of(knn, knn_cut, truth), posts),
        context.row(
            "tfidf", "TF-IDF logistic regression", measure_of(tfidf, tfidf_cut, truth), posts
        ),
        *rows,
    ]


def _cross_fitted(train: TaggedTexts) -> Probabilities:
    """Return TF-IDF probabilities of the training posts, each from the other folds."""
    tags = np.asarray(train.labels, np.bool_)
    fold_of = np.arange(len(train)) % FOLDS
    found = np.empty(tags.shape, np.float32)
    for fold in range(FOLDS):
        outside, inside = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        learned = [train.texts[row] for row in outside]
        asked = [train.texts[row] for row in inside]
        found[inside] = tfidf_tags(learned, tags[outside], asked)
    return found
