"""Heads with one class a post: sentiment and emotion.

Shapes: `N` posts, `C` classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.heads import EMOTION, SENTIMENT
from evaluation.baselines.linear import tfidf
from evaluation.encoder import published
from evaluation.encoder.bootstrap import Measure
from evaluation.encoder.context import Context, HeadMissing
from evaluation.encoder.decisions import unread_as
from evaluation.encoder.floors import constant_floor, kept, random_floor, shares_of
from evaluation.encoder.plots import confusion_plot, reliability_plot
from evaluation.encoder.scoring import score_all
from evaluation.encoder.tables import Evaluation, Published, Row, Section
from models.encoder import data as datasets
from models.encoder.data import LabelledTexts
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


@dataclass(frozen=True, slots=True)
class Task:
    """A head, its test and what stands beside it."""

    head: str
    title: str
    labels: tuple[str, ...]
    train: LabelledTexts
    test: LabelledTexts
    unread: str
    published: Sequence[Published]
    headline: str


def measures(probabilities: Probabilities, truth: Truth) -> dict[str, float]:
    """All measures of one classifier."""
    predicted = probabilities.argmax(1)
    return {
        "macro_recall": macro_recall(predicted, truth),
        "macro_f1": macro_f1(predicted, truth, probabilities.shape[1]),
        "accuracy": accuracy(predicted, truth),
        "ece": expected_calibration_error(probabilities, truth),
    }


def measure_of(probabilities: Probabilities, truth: Truth) -> Measure:
    """`measures` on any choice of rows."""
    return lambda rows: measures(probabilities[rows], truth[rows])


def evaluate_sentiment(context: Context) -> Evaluation:
    """SemEval-2017 task 4A; macro recall is the official measure."""
    task = Task(
        "sentiment",
        "SemEval-2017 task 4A test",
        SENTIMENT,
        datasets.sentiment_train(context.data),
        datasets.sentiment_test(context.data),
        "neutral",
        published.SENTIMENT,
        "macro_recall",
    )
    return evaluate(task, context)


def evaluate_emotion(context: Context) -> Evaluation:
    """TweetEval emotion; macro F1 is its measure."""
    task = Task(
        "emotion",
        "TweetEval emotion test",
        EMOTION,
        datasets.emotion_train(context.data),
        datasets.emotion_test(context.data),
        "anger",
        published.EMOTION,
        "macro_f1",
    )
    return evaluate(task, context)


def evaluate(task: Task, context: Context) -> Evaluation:
    """Measure the model on every post of the test, and the floors on the same ones.

    A post that the model does not read at all (no letters) counts as the class `task.unread`, so
    that none is left out; a second row has only the posts that the model rates.
    """
    truth = np.asarray(task.test.labels, np.int64)
    scored = score_all(context.score, task.test.texts)
    if task.head not in scored.heads:
        raise HeadMissing(task.head)
    untagged = score_all(context.score, task.test.texts, lang="")
    found, unread = unread_as(scored.heads[task.head], task.labels.index(task.unread))
    rows = [
        context.row("model", scored.model_version, measure_of(found, truth), len(truth)),
        context.row(
            "rated_only",
            "the same, rated posts only",
            measure_of(found[scored.rated], truth[scored.rated]),
            int(scored.rated.sum()),
        ),
    ]
    if context.has_floors:
        rows += floor_rows(task, truth, context)
    predicted = found.argmax(1)
    table = confusion(predicted, truth, len(task.labels))
    confidence, is_right = found.max(1), predicted == truth
    recalls = np.diag(table) / np.maximum(1, table.sum(1))
    tagged_share, untagged_share = float(scored.rated.mean()), float(untagged.rated.mean())
    extra = {
        "posts": len(truth),
        "unread_posts": int(unread.sum()),
        "rated_share_tagged_en": tagged_share,
        "rated_share_untagged": untagged_share,
        "model_ece_if_honest": honest_gap(confidence),
        **{f"model_recall_{c}": float(r) for c, r in zip(task.labels, recalls, strict=True)},
        **_cells(table, task.labels),
    }
    honest = extra["model_ece_if_honest"]
    notes = [
        f"rated: {tagged_share:.1%} of the posts when tagged en, {untagged_share:.1%} untagged; "
        f"the {int(unread.sum())} without letters count as {task.unread}",
        f"ECE: top class, bins of equal count; {honest:.3f} would be expected of the model's "
        "probabilities if each were true",
    ]
    title = f"{task.title}, {len(truth):,} posts, 95 % intervals"
    section = Section(task.head, title, COLUMNS, rows, task.published, notes)
    bins = reliability(confidence, is_right)
    plots = {
        f"{task.head}-reliability.svg": reliability_plot(
            f"{task.head}: confidence and accuracy", {"model": bins}
        ),
        f"{task.head}-confusion.svg": confusion_plot(
            f"{task.head}: truth by row", table, task.labels
        ),
    }
    return Evaluation(task.head, [section], extra, plots)


def floor_rows(task: Task, truth: Truth, context: Context) -> list[Row]:
    """TF-IDF, the most frequent class of training, and random at training's shares."""
    shares = shares_of(task.train.labels, len(task.labels))
    floors: Mapping[str, tuple[str, Probabilities]] = {
        "tfidf": (
            "TF-IDF logistic regression",
            kept(
                f"{task.head}-tfidf",
                (*task.train.texts, *map(str, task.train.labels), *task.test.texts),
                lambda: tfidf(
                    task.train.texts, task.train.labels, len(task.labels), task.test.texts
                ),
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
