"""Labelled posts that calibration is fitted to: the held-out splits, or a file from a deployment.

None of them is a test split. Shapes: `N` posts, `C` classes, `L` logits of a head.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.heads import HEADS, PARTICIPATION
from models.encoder import data as datasets
from models.encoder.anchors import participation_split
from models.encoder.config import activation_of
from models.encoder.data import CROWD, ParticipationTexts
from models.encoder.selection import DEPLOYED_PARTICIPATION
from models.encoder.tasks import MAX_GATE_BALANCE, SOURCE_WEIGHTS


@dataclass(frozen=True, slots=True)
class Sample:
    """Posts, what is true of them, and how they differ from the place of use.

    Attributes:
        truth: (N,) class or level; (N, C) 0 and 1 where classes are independent.
        prior: shares of the classes (or of no and yes) where the model is used; empty where the
            sample itself has them.
        shift: (L,) log odds to start from: how training weighed the answers, undone.
        said: for people, what this is.
        is_deployed: whether the posts are from the place of use itself, so that class shares are
            to be learned from them.
    """

    texts: tuple[str, ...]
    truth: NDArray[np.int64]
    said: str
    prior: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    is_deployed: bool = False


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


def gate_shift(train: ParticipationTexts, prior: tuple[float, ...]) -> tuple[float, ...]:
    """Log odds (L,) from how training weighed the two answers of each gate to the deployed ones."""
    levels = np.asarray(train.labels)
    weights = np.asarray([SOURCE_WEIGHTS[source] for source in train.sources])
    shares = np.asarray(prior)
    shifts = []
    for gate in range(len(prior) - 1):
        balance = (levels == gate).sum() / max(1, (levels > gate).sum())
        balance = np.clip(balance, 1 / MAX_GATE_BALANCE, MAX_GATE_BALANCE)
        trained = weights[levels > gate].sum() * balance / weights[levels == gate].sum()
        deployed = shares[gate + 1 :].sum() / shares[gate]
        shifts.append(float(np.log(deployed / trained)))
    return tuple(shifts)


def held_out(head: str, data: Path) -> Sample:
    """The sample that the shipped calibration of a head is fitted to.

    Raises:
        ConfigError: there is no such head, or the data is missing.
    """
    if head == "sentiment":
        posts = datasets.sentiment_validation(data)
        truth = np.asarray(posts.labels)
        return Sample(posts.texts, truth, f"TweetEval sentiment validation, {len(posts):,} posts")
    if head == "emotion":
        posts = datasets.emotion_validation(data)
        truth = np.asarray(posts.labels)
        return Sample(posts.texts, truth, f"TweetEval emotion validation, {len(posts):,} posts")
    if head == "topics":
        tagged = datasets.topics_validation(data)
        said = f"TweetTopicXL validation, {len(tagged):,} posts, one scale and bias for all topics"
        return Sample(tagged.texts, np.asarray(tagged.labels), said)
    if head not in ("participation", "problem"):
        raise ConfigError(f"there is no held-out sample for head {head!r}")
    train, held = participation_split(data)
    prior = deployed_levels(train)
    levels = np.asarray(held.labels)
    said = (
        f"{len(held)} crowd-labelled excerpts of a held-out fold, weighted to "
        f"{DEPLOYED_PARTICIPATION:.1%} participation"
    )
    if head == "participation":
        return Sample(held.texts, levels, said, prior, gate_shift(train, prior))
    yes = (levels > 0).astype(np.int64)[:, None]
    binary = (1 - DEPLOYED_PARTICIPATION, DEPLOYED_PARTICIPATION)
    return Sample(held.texts, yes, said + " (which implies a problem)", binary, (0.0,))


def _rows(file: Path) -> list[Mapping[str, Any]]:
    if file.suffix == ".jsonl":
        with file.open(encoding="utf-8") as opened:
            return [json.loads(line) for line in opened if line.strip()]
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def read_sample(head: str, file: Path, prior: tuple[float, ...] = ()) -> Sample:
    """A deployment's own sample: CSV with a header or JSON lines, fields `text` and `label`.

    A label is a class of the head, matched exactly; where any number may apply, classes are joined
    by `|` and may be none at all.

    Raises:
        ConfigError: the file is missing, has no rows, or a label is not one of the head's.
    """
    if not file.is_file():
        raise ConfigError(f"{file} does not exist: name the labelled sample with --sample FILE")
    classes = HEADS[head]
    texts, truth = [], []
    for number, row in enumerate(_rows(file), start=1):
        given = str(row.get("label", ""))
        several = activation_of(head) == "sigmoid"
        names = [name for name in given.split("|") if name] if several else [given]
        wrong = [name for name in names if name not in classes]
        if wrong or "text" not in row:
            raise ConfigError(
                f"{file}, row {number}: needs a field text and a label of head {head} "
                f"({', '.join(classes)})"
            )
        texts.append(str(row["text"]))
        truth.append([int(name in names) for name in classes] if several else classes.index(given))
    if not texts:
        raise ConfigError(f"{file} has no rows")
    said = f"{len(texts)} labelled posts of {file.name}"
    return Sample(tuple(texts), np.asarray(truth), said, prior, is_deployed=True)
