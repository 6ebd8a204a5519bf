"""The posts that corrections are fitted on, and those that they are judged on, by head."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.heads import HEADS
from evaluation.encoder.decisions import layered
from evaluation.encoder.scoring import Score, score_all
from evaluation.shares.windows import Labelled, Target
from models.encoder.data import LabelledTexts, ParticipationTexts
from models.encoder.heads import emotion, participation, sentiment

Posts = LabelledTexts | ParticipationTexts
LEAST_TEST_POSTS: Final = 30
"""Windows full of the same few posts say nothing of the class."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a head's posts come from, and in what words."""

    held_out: Callable[[Path], Posts]
    test: Callable[[Path], Posts]
    held_out_name: str


SOURCES: Final = {
    "sentiment": Source(
        sentiment.validation,
        sentiment.test,
        "TweetEval sentiment validation",
    ),
    "emotion": Source(emotion.validation, emotion.test, "TweetEval emotion validation"),
    "participation": Source(
        lambda root: participation.split(root)[1],
        participation.test,
        "crowd-labelled participation posts of the fold that was not trained on",
    ),
}


def scored(score: Score, posts: Posts, head: str, cut: float) -> Labelled | None:
    """Return the posts that the model rates, as it sees them; None if it has no such head."""
    batch = score_all(score, posts.texts)
    if head not in batch.heads:
        return None
    keep = batch.rated
    probabilities = batch.heads[head][keep].astype(np.float64)
    truth = np.asarray(posts.labels, np.int64)[keep]
    return Labelled(probabilities, decide(head, probabilities, cut), truth)


def decide(head: str, probabilities: NDArray[np.floating[Any]], cut: float) -> NDArray[np.int64]:
    """Return the labels that counting counts."""
    if head == "participation":
        return layered(probabilities, cut)
    return probabilities.argmax(1)


def targets_of(head: str, truth: NDArray[np.integer[Any]]) -> list[Target]:
    """Return every class with enough posts against the rest; for participation first all levels."""
    labels = HEADS[head]
    counts = np.bincount(truth, minlength=len(labels))
    single = [
        Target(label, (c,))
        for c, label in enumerate(labels)
        if counts[c] >= LEAST_TEST_POSTS and not (head == "participation" and c == 0)
    ]
    if head == "participation":
        return [Target("participating", tuple(range(1, len(labels)))), *single]
    return single
