"""How one person will react to a post: from its topic and what was said before.

Before somebody answers there is what is known of four kinds: how this person reacted before, how
others answered the same post, how the author of the post writes, and what the author is answered.
Each is a handful of labels, held against the usual shares of the topic and shrunk towards them; a
log-linear model adds them up. Of whom and what nobody has seen the usual shares of the topic are
left. The post's tone is in it as the label that the post itself was given; columns of what its
words say (`models.socialalign.tone`) may stand beside these features.

A person here is whatever key the caller gives: a keyed hash, never a name.

Shapes: `n` posts that are answered, `C` labels, `F` features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.engagement.exact import logarithm
from models.socialalign.log_linear import descend, safe_step, softmax
from models.socialalign.posterior import Floats, checked_shares

MOST_KEPT: Final = 100_000
"""Keys of a kind that are remembered; the one that was longest without a label goes first."""
_LEAN: Final = (3.0, 2.0, 1.0, 3.0, 3.0, 3.0, 2.0)
"""The labels by which the usual shares count, by kind."""
KINDS: Final = len(_LEAN)
"""The kinds of what is known."""


@dataclass(frozen=True, slots=True)
class AnsweredPost:
    """A post that a person answers.

    Attributes:
        topic: What it is about.
        person: The key of who answers.
        author: The key of who wrote the post; empty where it is not known.
        post: The text of what is answered; empty where it is the event itself.
    """

    topic: str
    person: str
    author: str
    post: str


class PastReactions:
    """What was said by now, as labels. Not thread-safe.

    Args:
        labels: The number of labels.
    """

    def __init__(self, labels: int) -> None:
        self.labels = labels
        self.dropped = 0
        self._kept: dict[str, OrderedDict[Any, Floats]] = {}

    def learn(self, answered: AnsweredPost, text: str, label: int) -> None:
        """Take in an answer that was given.

        Args:
            answered: What was answered, and by whom.
            text: The answer, by which it is known again when others answer it.
            label: Its label.

        Raises:
            ValueError: There is no such label.
        """
        if not 0 <= label < self.labels:
            raise ValueError(f"label {label}: expected one of 0 to {self.labels - 1}")
        one, topic = answered, answered.topic
        self._add("usual", (topic, bool(one.post)), label)
        self._add("said", (topic, one.person), label)
        self._add("said_so", (topic, one.person, bool(one.post)), label)
        if text:
            self._add("answer", (topic, text), label)
        if one.post:
            self._add("post", (topic, one.post), label)
        if one.author:
            self._add("got", (topic, one.author), label)

    def _add(self, kind: str, key: Any, label: int) -> None:
        kept = self._kept.setdefault(kind, OrderedDict())
        counts = kept.pop(key, None)
        kept[key] = np.zeros(self.labels) if counts is None else counts
        kept[key][label] += 1
        if len(kept) > MOST_KEPT:
            kept.popitem(last=False)
            self.dropped += 1

    def _of(self, kind: str, key: Any) -> Floats:
        found = self._kept.get(kind, {}).get(key)
        return np.zeros(self.labels) if found is None else found

    def usual(self, answered: AnsweredPost) -> Floats:
        """Return the (C,) usual shares of the topic, for the event itself or for answers to it."""
        return checked_shares(self._of("usual", (answered.topic, bool(answered.post))) + 1)

    def seen(self, answered: AnsweredPost) -> Floats:
        """Return (7, C) how often each label was given, by kind; zeros of a kind without any."""
        one, topic, nobody = answered, answered.topic, np.zeros(self.labels)
        return np.stack([
            self._of("said", (topic, one.person)),
            self._of("post", (topic, one.post)) if one.post else nobody,
            self._of("answer", (topic, one.post)) if one.post else nobody,
            self._of("said", (topic, one.author)) if one.author else nobody,
            self._of("got", (topic, one.author)) if one.author else nobody,
            self._of("got", (topic, one.person)),
            self._of("said_so", (topic, one.person, bool(one.post))),
        ])  # fmt: skip

    def features(self, answered: Sequence[AnsweredPost]) -> Floats:
        """Return (n, F) what is known of each: for a kind that is not, zeros."""
        if not answered:
            return np.zeros((0, feature_count(self.labels)))
        return known_features(
            np.stack([self.usual(one) for one in answered]),
            np.stack([self.seen(one) for one in answered]),
            np.array([flags_of(one) for one in answered]),
        )


def flags_of(answered: AnsweredPost) -> tuple[float, float]:
    """Return whether an answer is answered and whether it is one's own, as 0 or 1."""
    own = bool(answered.author) and answered.author == answered.person
    return float(bool(answered.post)), float(own)


def known_features(usual: Floats, seen: Floats, flags: Floats) -> Floats:
    """Return (n, F) features; those of a row have the same bits whatever else is asked.

    Args:
        usual: (n, C) usual shares of the topic, none of them zero.
        seen: (n, 7, C) how often each label was given, by kind as `PastReactions.seen` has them.
        flags: (n, 2) as `flags_of` has them.
    """
    log_usual, sizes = logarithm(usual), seen.sum(axis=2)
    lean = np.array(_LEAN)[:, None]
    leaning = (seen + lean * usual[:, None]) / (sizes[:, :, None] + lean)
    moved = (logarithm(leaning) - log_usual[:, None]).reshape(len(usual), KINDS * usual.shape[1])
    return np.concatenate([log_usual, moved, logarithm(1 + sizes), flags], axis=1)


def feature_count(labels: int) -> int:
    """Return the number of features, F."""
    return labels * (KINDS + 1) + KINDS + 2


@dataclass(frozen=True, slots=True)
class ReactionModel:
    """The weights that add up what is known. Read-only, and so safe for concurrent calls.

    Attributes:
        mean: (F,) the means of the features.
        scale: (F,) their deviations.
        weights: (F + 1, C) the weights, the last row of the labels alone.
    """

    mean: Floats
    scale: Floats
    weights: Floats

    def shares(self, features: Floats) -> Floats:
        """Return (n, C) how probable each label is, from (n, F) features."""
        scaled = (features - self.mean) / self.scale
        return softmax(scaled @ self.weights[:-1] + self.weights[-1])


_STRENGTH: Final = 1e-2
_STEPS: Final = 400
_LEAST_SCALE: Final = 1e-3


def fit_reactions(features: Floats, labels: NDArray[np.int64], classes: int) -> ReactionModel:
    """Fit the weights by cross-entropy with a squared penalty, in numpy.

    Args:
        features: (n, F) what was known before each answer, none of it learnt from that answer.
        labels: (n,) the labels.
        classes: The number of labels.
    """
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), _LEAST_SCALE)
    given = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    wanted = np.eye(classes)[labels]
    penalty = np.full((given.shape[1], 1), _STRENGTH)
    penalty[-1] = 0

    def gradient(weights: Floats) -> Floats:
        said = softmax(given @ weights)
        return given.T @ (said - wanted) / len(given) + penalty * weights

    step = safe_step(given.T @ given / len(given), _STRENGTH)
    weights = descend((given.shape[1], classes), gradient, step, _STEPS)
    return ReactionModel(mean, scale, weights)
