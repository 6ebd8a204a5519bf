"""Heads with one class a post, like sentiment and emotion.

Shapes: `N` posts, `C` classes.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.heads import HEADS
from core.ports import ScoreBatch
from evaluation.baselines.linear import tfidf
from evaluation.drawing import confusion_matrix, reliability_diagram
from evaluation.encoder.bootstrap import Measure
from evaluation.encoder.context import Context, HeadMissing
from evaluation.encoder.decisions import unread_as
from evaluation.encoder.floors import constant_floor, kept, random_floor, shares_of
from evaluation.encoder.scoring import score_all
from evaluation.encoder.tables import Evaluation, Row, Section
from models.encoder.data import LabelledTexts
from models.encoder.heads import official_test, training_of
from models.metrics import (
    BINS,
    accuracy,
    confusion,
    expected_calibration_error,
    honest_gap,
    macro_f1,
    macro_recall,
    reliability,
)

Probabilities = NDArray[np.float32]
Truth = NDArray[np.int64]
COLUMNS: Final = {
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "ece": f"ECE, {BINS} bins",
}


def measures(probabilities: Probabilities, truth: Truth) -> dict[str, float]:
    """Return all measures of one classifier."""
    predicted = probabilities.argmax(1)
    return {
        "macro_recall": macro_recall(predicted, truth),
        "macro_f1": macro_f1(predicted, truth, probabilities.shape[1]),
        "accuracy": accuracy(predicted, truth),
        "ece": expected_calibration_error(probabilities, truth),
    }


def measure_of(probabilities: Probabilities, truth: Truth) -> Measure:
    """Return `measures` on any choice of rows."""
    return lambda rows: measures(probabilities[rows], truth[rows])


def evaluate(head: str, context: Context) -> Evaluation:
    """Measure the model on every post of the test, and the floors on the same ones.

    A post that the model does not read at all (no letters) counts as the class `unread` of the
    test, so that none is left out; a second row has only the posts that the model rates.
    """
    test, labels = official_test(head), HEADS[head]
    posts = test.posts(context.data)
    truth = np.asarray(posts.labels, np.int64)
    scored = score_all(context.score, posts.texts)
    if head not in scored.heads:
        raise HeadMissing(head)
    untagged = score_all(context.score, posts.texts, lang="")
    found, unread = unread_as(scored.heads[head], labels.index(test.unread))
    table = confusion(found.argmax(1), truth, len(labels))
    extra = {
        "posts": len(truth),
        "unread_posts": int(unread.sum()),
        "rated_share_tagged_en": float(scored.rated.mean()),
        "rated_share_untagged": float(untagged.rated.mean()),
        "model_ece_if_honest": honest_gap(found.max(1)),
        **_recalls(table, labels),
        **_cells(table, labels),
    }
    rows = _rows(context, found, scored, truth)
    if context.has_floors:
        rows += floor_rows(head, test.learned(context.data), posts, context)
    title = f"{test.title}, {len(truth):,} posts, 95 % intervals"
    notes = _notes(test.unread, extra)
    section = Section(head, title, COLUMNS, rows, training_of(head).published, notes)
    bins = reliability(found.max(1), found.argmax(1) == truth)
    plots = {
        f"{head}-reliability.svg": reliability_diagram(
            f"{head}: confidence and accuracy", {"model": bins}
        ),
        f"{head}-confusion.svg": confusion_matrix(f"{head}: truth by row", table, labels),
    }
    return Evaluation(head, [section], extra, plots)


def _rows(context: Context, found: Probabilities, scored: ScoreBatch, truth: Truth) -> list[Row]:
    """Return the model's rows: all posts, and those that it rates."""
    return [
        context.row("model", scored.model_version, measure_of(found, truth), len(truth)),
        context.row(
            "rated_only",
            "the same, rated posts only",
            measure_of(found[scored.rated], truth[scored.rated]),
            int(scored.rated.sum()),
        ),
    ]


def _notes(unread: str, extra: Mapping[str, float]) -> list[str]:
    return [
        f"rated: {extra['rated_share_tagged_en']:.1%} of the posts when tagged en, "
        f"{extra['rated_share_untagged']:.1%} untagged; "
        f"the {extra['unread_posts']} without letters count as {unread}",
        f"ECE: top class, bins of equal count; {extra['model_ece_if_honest']:.3f} would be "
        "expected of the model's probabilities if each were true",
    ]


def _recalls(table: NDArray[np.int64], labels: Sequence[str]) -> dict[str, float]:
    recalls = np.diag(table) / np.maximum(1, table.sum(1))
    return {f"model_recall_{c}": float(r) for c, r in zip(labels, recalls, strict=True)}


def floor_rows(head: str, train: LabelledTexts, test: LabelledTexts, context: Context) -> list[Row]:
    """TF-IDF, the most frequent class of training, and random at training's shares."""
    classes, truth = len(HEADS[head]), np.asarray(test.labels, np.int64)
    shares = shares_of(train.labels, classes)
    floors: Mapping[str, tuple[str, Probabilities]] = {
        "tfidf": (
            "TF-IDF logistic regression",
            kept(
                f"{head}-tfidf",
                (*train.texts, *map(str, train.labels), *test.texts),
                lambda: tfidf(train.texts, train.labels, classes, test.texts),
                context.floors,
            ),
        ),
        "majority": ("majority class", constant_floor(shares, len(truth))),
        "random": ("random, as frequent as in training", random_floor(shares, len(truth), 1)),
    }
    return [
        context.row(key, title, measure_of(found, truth), len(truth))
        for key, (title, found) in floors.items()
    ]


def _cells(table: NDArray[np.int64], labels: Sequence[str]) -> dict[str, float]:
    return {
        f"model_confusion_{true}_as_{guess}": int(table[i, j])
        for i, true in enumerate(labels)
        for j, guess in enumerate(labels)
    }
