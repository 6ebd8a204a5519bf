"""Participation in collective action: whether, and on which level.

Shapes: `N` posts, `C` = 5 levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.heads import PARTICIPATION
from evaluation.baselines.linear import tfidf, tfidf_layered
from evaluation.drawing import confusion_matrix, reliability_diagram
from evaluation.encoder.bootstrap import Measure
from evaluation.encoder.context import Context, HeadMissing
from evaluation.encoder.decisions import layered, participating, unread_as, with_prior
from evaluation.encoder.floors import constant_floor, kept, random_floor, shares_of
from evaluation.encoder.scoring import score_all
from evaluation.encoder.tables import Evaluation, Section
from models.encoder.data import ParticipationTexts
from models.encoder.heads import participation
from models.encoder.heads.participation import DEPLOYED_PARTICIPATION
from models.metrics import (
    average_precision,
    brier,
    calibration_gap,
    confusion,
    f1_scores,
    honest_gap,
    macro_f1,
    macro_ordinal_mae,
    ordinal_mae,
    reliability,
    roc_auc,
    weighted_f1,
)

Probabilities = NDArray[np.float32]
Levels = NDArray[np.int64]
LEVELS: Final = len(PARTICIPATION)
BINS: Final = 10
"""Fewer than elsewhere: 81 posts a bin on this test."""
BINARY_COLUMNS: Final = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "f1_participation": "F1(Part.)",
    "average_precision": "average precision",
    "auc": "AUC",
    "brier": "Brier",
    "ece": f"ECE, {BINS} bins",
    "positive_rate": "called Part.",
}
LEVEL_COLUMNS: Final = {
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "mae": "ordinal MAE",
    "macro_mae": "MAE, levels equal",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a classifier says of every post: probabilities (N, 5) and from where it says yes."""

    key: str
    title: str
    probabilities: Probabilities
    cut: float = 0.5


def binary_measures(answer: Answer, truth: Levels) -> Measure:
    """Return the measures of whether a post participates, on any choice of rows."""
    scores, positive = participating(answer.probabilities), truth > 0
    called = (scores >= answer.cut).astype(np.int64)

    def measure(rows: NDArray[np.integer]) -> Mapping[str, float]:
        s, y, c = scores[rows], positive[rows], called[rows]
        t = y.astype(np.int64)
        return {
            "weighted_f1": weighted_f1(c, t, 2),
            "macro_f1": macro_f1(c, t, 2),
            "f1_participation": float(f1_scores(c, t, 2)[1]),
            "average_precision": average_precision(s, y),
            "auc": roc_auc(s, y),
            "brier": brier(s, y),
            "ece": calibration_gap(s, y, BINS),
            "positive_rate": float(c.mean()),
        }

    return measure


def level_measures(levels: Levels, truth: Levels) -> Measure:
    """Return the measures of the level, on any choice of rows."""
    return lambda rows: {
        "macro_f1": macro_f1(levels[rows], truth[rows], LEVELS),
        "weighted_f1": weighted_f1(levels[rows], truth[rows], LEVELS),
        "mae": ordinal_mae(levels[rows], truth[rows]),
        "macro_mae": macro_ordinal_mae(levels[rows], truth[rows]),
    }


def evaluate(head: str, context: Context) -> Evaluation:
    """The official test: 809 excerpts labelled by experts; an unread one counts as none."""
    test = participation.test(context.data)
    truth = np.asarray(test.labels, np.int64)
    scored = score_all(context.score, test.texts)
    if head not in scored.heads:
        raise HeadMissing(head)
    found, unread = unread_as(scored.heads[head], 0)
    model = Answer("model", scored.model_version, found, context.participation_cut)
    floors = floor_answers(participation.train(context.data), test, context)
    sections = sections_of(model, floors, truth, context)
    scores, positive = participating(found), truth > 0
    levels = layered(found, context.participation_cut)
    table = confusion(levels, truth, LEVELS)
    extra: dict[str, float] = {
        "posts": len(truth),
        "unread_posts": int(unread.sum()),
        "rated_share_tagged_en": float(scored.rated.mean()),
        "cut": context.participation_cut,
        "model_expected_share": float(scores.mean()),
        "true_share": float(positive.mean()),
        "model_ece_if_honest": honest_gap(scores, BINS),
    }
    each = f1_scores(levels, truth, LEVELS)
    extra |= {f"model_f1_{name}": float(f1) for name, f1 in zip(PARTICIPATION, each, strict=True)}
    extra |= {
        f"model_confusion_{a}_as_{b}": int(table[i, j])
        for i, a in enumerate(PARTICIPATION)
        for j, b in enumerate(PARTICIPATION)
    }
    plots = {
        "participation-reliability.svg": reliability_diagram(
            "participation: claimed and observed", {"model": reliability(scores, positive, BINS)}
        ),
        "participation-confusion.svg": confusion_matrix(
            "participation: truth by row", table, PARTICIPATION
        ),
    }
    return Evaluation("participation", sections, extra, plots)


def sections_of(
    model: Answer, others: list[Answer], truth: Levels, context: Context
) -> list[Section]:
    """Return the two tables: whether, and which level."""
    answers = [model, *others]
    honest = honest_gap(participating(model.probabilities), BINS)
    binary = Section(
        "participation_binary",
        f"Participation or none, official test, {len(truth):,} posts, 95 % intervals",
        BINARY_COLUMNS,
        [
            context.row(one.key, one.title, binary_measures(one, truth), len(truth))
            for one in answers
        ],
        participation.TRAINING.published,
        [
            f"{float((truth > 0).mean()):.1%} truly participate; yes from a probability of "
            f"{model.cut:.3g}, set on held-out posts",
            f"ECE: bins of equal count of the probability; {honest:.3f} would be expected of the "
            "model's probabilities if each were true",
        ],
    )
    said = [(one.key, one.title, layered(one.probabilities, one.cut)) for one in answers]
    said.insert(1, ("direct", "the same, likeliest level", model.probabilities.argmax(1)))
    counts = np.bincount(truth, minlength=LEVELS)
    named = ", ".join(f"{name} {count}" for name, count in zip(PARTICIPATION, counts, strict=True))
    level = Section(
        "participation_levels",
        f"Five levels, official test, {len(truth):,} posts, 95 % intervals",
        LEVEL_COLUMNS,
        [
            context.row(key, title, level_measures(levels, truth), len(truth))
            for key, title, levels in said
        ],
        (),
        [f"posts by level: {named}; nothing is claimed of intention and execution by themselves"],
    )
    return [binary, level]


def constant_answers(posts: int) -> list[Answer]:
    """Return what knows nothing of the post: always no, always yes, random as often as in use."""
    in_use = np.array([1 - DEPLOYED_PARTICIPATION, DEPLOYED_PARTICIPATION, 0, 0, 0])
    no, yes = np.eye(LEVELS)[:2]
    return [
        Answer("always_none", "always none", constant_floor(no, posts)),
        Answer("always_participation", "always participating", constant_floor(yes, posts)),
        Answer(
            "random", f"random, {DEPLOYED_PARTICIPATION:.0%} yes", random_floor(in_use, posts, 1)
        ),
    ]


def floor_answers(
    train: ParticipationTexts, test: ParticipationTexts, context: Context
) -> list[Answer]:
    """Return TF-IDF in three forms, constants, and random at the share in use."""
    constants = constant_answers(len(test))
    if not context.has_floors:
        return constants
    used = [row for row, source in enumerate(train.sources) if source != "extension"]
    shown = train.select(used)
    texts = (*shown.texts, *map(str, shown.labels), *test.texts)
    direct = kept(
        "participation-direct",
        texts,
        lambda: tfidf(shown.texts, shown.labels, LEVELS, test.texts),
        context.floors,
    )
    chain = kept(
        "participation-layered",
        texts,
        lambda: tfidf_layered(shown.texts, shown.labels, LEVELS, test.texts),
        context.floors,
    )
    fitted = np.full(LEVELS, 1 / LEVELS)  # classes were weighted equally
    levels = shares_of([label for label in shown.labels if label], LEVELS)
    expected = np.concatenate([[1 - DEPLOYED_PARTICIPATION], DEPLOYED_PARTICIPATION * levels[1:]])
    corrected = with_prior(direct, fitted.tolist(), expected.tolist())
    return [
        Answer("tfidf", "TF-IDF logistic regression, five classes", direct),
        Answer("tfidf_layered", "TF-IDF, gate then level", chain),
        Answer(
            "tfidf_prior", f"TF-IDF, told that {DEPLOYED_PARTICIPATION:.0%} participate", corrected
        ),
        *constants,
    ]
