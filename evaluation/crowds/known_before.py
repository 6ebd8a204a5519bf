"""What is known of a post and its author before anybody answers, beside the topic: FanChuan.

The reaction of nobody known (`models.socialalign.reaction`): the label of the post itself, how its
author writes and how the author is answered, as people labelled them. Folds of whole events: of an
event that is asked about no answer is known, nor is any fitted on.

Shapes: `n` events, `C` labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.crowds.events import LEAST_ANSWERS, SENTIMENTS
from evaluation.crowds.judging import jensen_shannon
from evaluation.crowds.reactions import GivenAnswer, read_fanchuan
from models.socialalign.crowd import UsualShares
from models.socialalign.posterior import Floats
from models.socialalign.reaction import PastReactions, ReactionModel, fit_reactions

FOLDS: Final = 5
INNER: Final = 10
SEEDS: Final = (20171, 20172, 20173)
_CLASSES: Final = len(SENTIMENTS)
Ints = NDArray[np.int64]


class _Events:
    """Answers by the post that they answer; -1 is no post."""

    def __init__(self, answers: Sequence[GivenAnswer]) -> None:
        self.answers = answers
        names: dict[tuple[str, str], int] = {}
        keys = [(one.answered.topic, one.answered.post) for one in answers]
        self.of = np.array([names.setdefault(key, len(names)) if key[1] else -1 for key in keys])
        self.topics = [topic for topic, _post in names]
        self.labels = np.array([one.label for one in answers])
        sizes = Counter(self.of.tolist())
        self.judged = np.array(
            [event for event in range(len(names)) if sizes[event] >= LEAST_ANSWERS], np.int64
        )

    def counts(self, rows: Ints) -> dict[int, Floats]:
        """Return event -> (C,) labels among some answers."""
        found: dict[int, Floats] = {}
        for row in rows.tolist():
            if (event := int(self.of[row])) >= 0:
                found.setdefault(event, np.zeros(_CLASSES))[self.labels[row]] += 1
        return found

    def past(self, rows: Ints) -> PastReactions:
        """Return what some answers say."""
        past = PastReactions(_CLASSES)
        for row in rows.tolist():
            one = self.answers[row]
            past.learn(one.answered, one.text, one.label)
        return past

    def posts(self, event: int) -> Ints:
        """Return an answer to each author of an event's post: short texts have several."""
        firsts: dict[str, int] = {}
        for row in np.flatnonzero(self.of == event).tolist():
            firsts.setdefault(self.answers[row].answered.author, row)
        return np.array(list(firsts.values()), np.int64)

    def features(self, past: PastReactions, rows: Ints) -> Floats:
        """Return (n, F) what is known of what is answered, whoever answers it."""
        asked = [replace(self.answers[row].answered, person="") for row in rows.tolist()]
        return past.features(asked)


def author_gains(folder: Path) -> tuple[Floats, Floats]:
    """Return (n, 2) log score and Jensen-Shannon distance of the topic, and what is added to them.

    Raises:
        ConfigError: The set is not there, is not what it should be, or has too little.
    """
    known, test = read_fanchuan(folder)
    events = _Events([*known, *test])
    runs = [_run(events, np.random.default_rng(seed)) for seed in SEEDS]
    topic, gain = (np.mean([run[part] for run in runs], axis=0) for part in (0, 1))
    return topic, gain


def _run(events: _Events, rng: np.random.Generator) -> tuple[Floats, Floats]:
    folds = rng.integers(FOLDS, size=len(events.topics))
    # What is no answer to a post is known in every fold.
    own = np.where(events.of >= 0, folds[events.of], -1)
    measured: dict[int, tuple[Floats, Floats]] = {}
    for fold in range(FOLDS):
        rows = np.flatnonzero(own != fold)
        model, past = _fitted(events, rows, rng), events.past(rows)
        usual = UsualShares(_CLASSES)
        for event, counts in events.counts(rows).items():
            usual.learn(events.topics[event], counts)
        asked = events.judged[folds[events.judged] == fold]
        seen = events.counts(np.flatnonzero(own == fold))
        for event in asked.tolist():
            said = model.shares(events.features(past, events.posts(event))).mean(axis=0)
            of_topic = _measured(usual.forecast(events.topics[event]), seen[event])
            measured[event] = of_topic, _measured(said, seen[event]) - of_topic
    topic, gain = (
        np.stack([measured[event][part] for event in sorted(measured)]) for part in (0, 1)
    )
    return topic, gain


def _fitted(events: _Events, rows: Ints, rng: np.random.Generator) -> ReactionModel:
    """Fit on answers to posts, each by what was known from inner folds that its event is not in."""
    inner = rng.integers(INNER, size=len(events.topics))
    own = np.where(events.of >= 0, inner[events.of], -1)
    features, labels = list[Floats](), list[NDArray[np.int64]]()
    for fold in range(INNER):
        held = rows[own[rows] == fold]
        features.append(events.features(events.past(rows[own[rows] != fold]), held))
        labels.append(events.labels[held])
    return fit_reactions(np.concatenate(features), np.concatenate(labels), _CLASSES)


def _measured(shares: Floats, counts: Floats) -> Floats:
    observed = counts / counts.sum()
    return np.array([float(observed @ np.log(shares)), jensen_shannon(observed, shares)])
