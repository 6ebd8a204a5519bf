"""How one person reacts, on the official test of FanChuan: the model beside its floors.

The weights are fitted on all comments but the test's, by what was known from the other folds of
them; the test's are then judged by what is known from all of those. Of the test nothing is fitted.
The tone of what is answered is that of its words, by a model of the texts of other folds' comments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from evaluation.crowds.events import SENTIMENTS, place_of
from evaluation.crowds.served import served_shares
from evaluation.encoder.bootstrap import Measured, Rows, bootstrap
from evaluation.responses.threads import rows_of
from models.socialalign.posterior import Floats
from models.socialalign.reaction import AnsweredPost, PastReactions, fit_reactions
from models.socialalign.tone import fit_tone

FOLDS: Final = 20
"""Of histories: with many of them what is learnt by is as rich as what is judged by."""
TONE_FOLDS: Final = 5
LEAST_HISTORY: Final = 2
_SEED: Final = 20171
_LEAN: Final = 2.0
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer that was given.

    Attributes:
        answered: What was answered, and by whom.
        text: The answer.
        label: The place of its sentiment in `SENTIMENTS`.
    """

    answered: AnsweredPost
    text: str
    label: int


def read_fanchuan(folder: Path) -> tuple[list[GivenAnswer], list[GivenAnswer]]:
    """Return what may be learnt from, and the official test.

    Raises:
        ConfigError: The set is not there, is not what it should be, or one part has too few.
    """
    parts: tuple[list[GivenAnswer], list[GivenAnswer]] = ([], [])
    try:
        for row in rows_of(folder / "comments.csv.gz"):
            # The numbers of persons start again in every topic; parents' were written as floats.
            author = row["parent_user_id"].removesuffix(".0")
            one = AnsweredPost(row["topic"], row["user_id"], author, row["parent_text"])
            label = place_of(row, "sentiment", SENTIMENTS)
            parts[row["split"] == "test"].append(GivenAnswer(one, row["text"], label))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder}: {type(error).__name__}: {error}") from error
    if min(map(len, parts)) < FOLDS:
        raise ConfigError(f"{folder}: {len(parts[0])} comments to learn from, {len(parts[1])} test")
    return parts


def _known(answers: Sequence[GivenAnswer]) -> PastReactions:
    past = PastReactions(len(SENTIMENTS))
    for one in answers:
        past.learn(one.answered, one.text, one.label)
    return past


def labels_of(answers: Sequence[GivenAnswer]) -> Labels:
    """Return (n,) the labels of answers."""
    return np.array([one.label for one in answers], np.int64)


def learnable(answers: Sequence[GivenAnswer]) -> Floats:
    """Return (n, F) what was known of each answer and (n, C) its tone, from other folds."""
    return np.hstack([_learnable(answers), _learnable_tone(answers)])


def _learnable(answers: Sequence[GivenAnswer]) -> Floats:
    """Return the features of each answer, from the folds that it is not in."""
    folds = np.random.default_rng(_SEED).integers(FOLDS, size=len(answers))
    found: dict[int, Floats] = {}
    for fold in range(FOLDS):
        past = _known([one for one, own in zip(answers, folds, strict=True) if own != fold])
        for row in np.flatnonzero(folds == fold).tolist():
            found[row] = past.features([answers[row].answered])[0]
    return np.stack([found[row] for row in range(len(answers))])


def _tone_of(answers: Sequence[GivenAnswer], asked: Sequence[AnsweredPost]) -> Floats:
    """Return (n, C) the tone of what is answered, learnt from the texts and labels of answers."""
    tone = fit_tone([one.text for one in answers], labels_of(answers), len(SENTIMENTS))
    return tone.moved([one.post for one in asked])


def _learnable_tone(answers: Sequence[GivenAnswer]) -> Floats:
    """Return the tone of what each answers; where that is itself an answer, from other folds."""
    folds = np.random.default_rng(_SEED).integers(TONE_FOLDS, size=len(answers))
    fold_of: dict[tuple[str, str], int] = {}
    for one, fold in zip(answers, folds.tolist(), strict=True):
        fold_of.setdefault((one.answered.topic, one.text), fold)
    asked = [one.answered for one in answers]
    of_post = np.array([fold_of.get((one.topic, one.post), 0) for one in asked])
    found = np.zeros((len(answers), len(SENTIMENTS)))
    for fold in range(TONE_FOLDS):
        learnt = [one for one, own in zip(answers, folds, strict=True) if own != fold]
        rows = np.flatnonzero(of_post == fold)
        found[rows] = _tone_of(learnt, [asked[row] for row in rows.tolist()])
    return found


def _swapped(asked: Sequence[AnsweredPost], known: Sequence[GivenAnswer]) -> Mapping[int, str]:
    """Return another person of the topic who has a history, for each answer whose person has."""
    said: dict[tuple[str, str], int] = {}
    for one in known:
        key = one.answered.topic, one.answered.person
        said[key] = said.get(key, 0) + 1
    of_topic: dict[str, list[str]] = {}
    for (topic, person), many in said.items():
        if many >= LEAST_HISTORY:
            of_topic.setdefault(topic, []).append(person)
    rng, found = np.random.default_rng(_SEED), {}
    for row, own in enumerate(asked):
        others = [other for other in of_topic.get(own.topic, []) if other != own.person]
        if said.get((own.topic, own.person), 0) >= LEAST_HISTORY and others:
            found[row] = others[int(rng.integers(len(others)))]
    return found


def judge_reactions(folder: Path, resamples: int) -> dict[str, Measured]:
    """Return the figures of the official test, by name, with intervals over its comments."""
    known, test = read_fanchuan(folder)
    past, labels = _known(known), labels_of(test)
    model = fit_reactions(learnable(known), labels_of(known), len(SENTIMENTS))
    asked = [one.answered for one in test]
    tone = _tone_of(known, asked)
    systems = {
        "": model.shares(np.hstack([past.features(asked), tone])), **_floors(known, asked),
        "served_": served_shares(past, asked),
    }  # fmt: skip
    each = np.arange(len(labels))
    losses = {name: -np.log(shares[each, labels]) for name, shares in systems.items()}
    unseen, swaps = _unseen(known, asked), _swapped(asked, known)
    others = [replace(one, person=swaps.get(row, one.person)) for row, one in enumerate(asked)]
    as_others = model.shares(np.hstack([past.features(others), tone]))
    cost = -np.log(as_others[each, labels]) - losses[""]
    cost[[row not in swaps for row in each.tolist()]] = np.nan

    def measure(rows: Rows) -> dict[str, float]:
        found = {"swap_cost": _mean(cost[rows])}
        for name, shares in systems.items():
            most = shares[rows].argmax(axis=1)
            found[f"{name}log_loss"] = _mean(losses[name][rows])
            found[f"{name}macro_f1"] = macro_f1(labels[rows], most, len(SENTIMENTS))
            found[f"{name}unseen_log_loss"] = _mean(losses[name][rows[unseen[rows]]])
        return found

    return bootstrap(measure, len(labels), resamples)


def _floors(known: Sequence[GivenAnswer], asked: Sequence[AnsweredPost]) -> dict[str, Floats]:
    """Return (n, C) shares of the topic, and of the same post shrunk towards them."""
    topics: dict[str, Floats] = {}
    posts: dict[tuple[str, str], Floats] = {}
    for one in known:
        topic, post = one.answered.topic, one.answered.post
        topics.setdefault(topic, np.ones(len(SENTIMENTS)))[one.label] += 1
        posts.setdefault((topic, post), np.zeros(len(SENTIMENTS)))[one.label] += 1
    nothing = np.ones(len(SENTIMENTS))
    usual = [topics.get(one.topic, nothing) / topics.get(one.topic, nothing).sum() for one in asked]
    of_post = [posts.get((one.topic, one.post), 0 * nothing) for one in asked]
    parent = [
        (seen + _LEAN * share) / (seen.sum() + _LEAN)
        for seen, share in zip(of_post, usual, strict=True)
    ]
    return {"topic_": np.stack(usual), "parent_": np.stack(parent)}


def _unseen(known: Sequence[GivenAnswer], asked: Sequence[AnsweredPost]) -> NDArray[np.bool_]:
    """Return (n,) where neither the person nor what is answered is known."""
    persons = {(one.answered.topic, one.answered.person) for one in known}
    posts = {(one.answered.topic, one.answered.post) for one in known}
    return np.array(
        [(o.topic, o.person) not in persons and (o.topic, o.post) not in posts for o in asked]
    )


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def macro_f1(labels: Labels, found: Labels, classes: int) -> float:
    """Return the mean F1 over classes; a class that is nowhere counts zero."""
    of_class = [
        2 * float(((labels == one) & (found == one)).sum())
        / max(1, int((labels == one).sum() + (found == one).sum()))
        for one in range(classes)
    ]  # fmt: skip
    return sum(of_class) / classes
