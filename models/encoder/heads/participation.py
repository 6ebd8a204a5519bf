"""How far a post goes in collective action: five ordered levels from four gates.

Each gate is balanced between its two answers. Labels are noisy, hence smoothed: crowd workers had
one line per level, and two thirds of the rows are made.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from core.heads import PARTICIPATION
from models.encoder.anchors import folds, load_groups
from models.encoder.data import CROWD, ParticipationTexts, read_rows
from models.encoder.heads.base import (
    UNLABELLED,
    CalibrationSample,
    HeadTraining,
    Lesson,
    OfficialTest,
    PublishedFigure,
    TaskPosts,
)
from models.metrics import average_precision

LEVELS: Final = {
    "None": "none",
    "Problem-Solution": "problem_solution",
    "Call-to-action": "call_to_action",
    "Intention": "intention",
    "Execution": "execution",
}
"""The participation data's own names of the levels."""
SOURCES: Final = {"None": CROWD, "RedditExtension": "extension", "Synthetic": "synthetic"}
"""The data's `augmentation` field: labelled by the crowd, inherited in a thread, rewritten."""
SOURCE_WEIGHTS: Final = {CROWD: 1.0, "extension": 0.3, "synthetic": 0.3}
"""How much a row counts by where its label comes from. Chosen by cross-validation over groups with
a linear model on frozen embeddings; see the model card."""
DEPLOYED_PARTICIPATION: Final = 0.258
"""Share of participation to expect in use; in training it is 0.77. It is not independent of the
official test: it is the share that the test's published label counts give (209 of 809), the test
being the only sample of ordinary posts that the data set has. A deployment knows its own better."""
MAX_GATE_BALANCE: Final = 4.0


def _read(path: Path) -> ParticipationTexts:
    rows = read_rows(path)
    return ParticipationTexts(
        tuple(row["text"] for row in rows),
        tuple(PARTICIPATION.index(LEVELS[row["label"]]) for row in rows),
        tuple(
            row["text"] if row["original_text"] == "None" else row["original_text"] for row in rows
        ),
        tuple(SOURCES[row["augmentation"]] for row in rows),
    )


def train(root: Path) -> ParticipationTexts:
    """All 1,817 training rows in the file's order, which `anchors.load_groups` numbers."""
    return _read(root / "participation" / "train.csv.gz")


def test(root: Path) -> ParticipationTexts:
    """The official test, 809 excerpts labelled by experts: for the final figures only."""
    return _read(root / "participation" / "test.csv.gz")


def split(root: Path, fold: int = 0) -> tuple[ParticipationTexts, ParticipationTexts]:
    """Training rows outside a fold, and the crowd-labelled rows inside it."""
    posts = train(root)
    fold_of = folds(load_groups(posts), posts)
    rows = range(len(posts))
    inside = [row for row in rows if fold_of[row] == fold and posts.sources[row] == CROWD]
    return posts.select([row for row in rows if fold_of[row] != fold]), posts.select(inside)


def training_folds(root: Path, fold: int = 0) -> list[int]:
    """The fold of each training row that `split` gives, in its order."""
    posts = train(root)
    return [own for own in folds(load_groups(posts), posts) if own != fold]


NONE_IS_NO: Final = 0.5
"""Weight of a post whose level is none: its problem may be absent or unclear."""
UNCLEAR: Final = (0.15,)
YES: Final = (1.0,)


def implied_problem(levels: Sequence[int], weights: Sequence[float]) -> Lesson:
    """What levels of participation, each counting so much, say of collective problems."""
    targets = tuple(YES if level else UNCLEAR for level in levels)
    pairs = zip(weights, levels, strict=True)
    return Lesson("problem", targets, tuple(w if level else w * NONE_IS_NO for w, level in pairs))


def lessons(posts: ParticipationTexts) -> TaskPosts:
    """Posts for levels and `problem`, which they imply."""
    weights = tuple(SOURCE_WEIGHTS[source] for source in posts.sources)
    own = Lesson("participation", posts.labels, weights)
    return TaskPosts(posts.texts, (own, implied_problem(posts.labels, weights)))


def deployed_levels(crowd: ParticipationTexts) -> tuple[float, ...]:
    """Shares of the levels where the model is used.

    The documented share of participation, and within it the proportions that crowd workers found;
    those of rewritten rows mean nothing.
    """
    levels = [
        level
        for level, source in zip(crowd.labels, crowd.sources, strict=True)
        if source == CROWD and level
    ]
    counts = np.bincount(levels, minlength=len(PARTICIPATION))
    shares = DEPLOYED_PARTICIPATION * counts / counts.sum()
    shares[0] = 1 - DEPLOYED_PARTICIPATION
    return tuple(shares.tolist())


def gate_shift(rows: ParticipationTexts, prior: tuple[float, ...]) -> tuple[float, ...]:
    """Log odds (L,) from how training weighed the two answers of each gate to the deployed ones."""
    levels = np.asarray(rows.labels)
    weights = np.asarray([SOURCE_WEIGHTS[source] for source in rows.sources])
    shares = np.asarray(prior)
    shifts = []
    for gate in range(len(prior) - 1):
        balance = (levels == gate).sum() / max(1, (levels > gate).sum())
        balance = np.clip(balance, 1 / MAX_GATE_BALANCE, MAX_GATE_BALANCE)
        trained = weights[levels > gate].sum() * balance / weights[levels == gate].sum()
        deployed = shares[gate + 1 :].sum() / shares[gate]
        shifts.append(float(np.log(deployed / trained)))
    return tuple(shifts)


def sample(root: Path) -> CalibrationSample:
    """The crowd's posts of a held-out fold, weighted to the shares in use."""
    rows, held = split(root)
    prior = deployed_levels(rows)
    said = (
        f"{len(held)} crowd-labelled excerpts of a held-out fold, weighted to "
        f"{DEPLOYED_PARTICIPATION:.1%} participation"
    )
    return CalibrationSample(
        held.texts, np.asarray(held.labels), said, prior, gate_shift(rows, prior)
    )


TRAINING = HeadTraining(
    figure=lambda logits, truth: average_precision(logits[:, 0], truth > 0, DEPLOYED_PARTICIPATION),
    train=lambda root, fold: lessons(split(root, fold)[0]),
    validation=lambda root, fold: lessons(split(root, fold)[1]),
    sample=sample,
    label_smoothing=0.05,
    most_weight=MAX_GATE_BALANCE,
    passes={"distil": 0.75, "student": 4.0},
    teacher_asked=("participation", UNLABELLED),
    test=OfficialTest(
        "Participation, official test",
        test,
        train,
        evaluation="evaluation.encoder.participation:evaluate",
    ),
    published=(
        PublishedFigure(
            "fine-tuned RoBERTa-base",
            "weighted_f1",
            0.71,
            "Pera & Aiello, arXiv 2501.07368, abstract; the only figure that could be had",
        ),
    ),
)
