"""The stance of a reply before it is written, on the official test of RumourEval.

What is known by then: the parent's text and stance, the person's bio and earlier replies, and the
replies of the thread that came before, by their times. The reply's own words are never read.
Weights are fitted on `train` and `dev`; of `test` nothing is fitted but the labels of what stands
earlier in its own thread are seen, as they would be.

Shapes: `n` replies, `C` stances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from evaluation.crowds.events import STANCES, place_of
from evaluation.crowds.reactions import macro_f1
from evaluation.encoder.bootstrap import Measured, Rows, bootstrap
from evaluation.responses.threads import rows_of
from models.socialalign.posterior import Floats
from models.socialalign.reaction import fit_reactions
from models.socialalign.tone import TextTone, fit_tone

FOLDS: Final = 5
BALANCE: Final = 0.7
"""The power of the usual shares that shares are divided by for decisions that are not all
`comment`; the best on average of the four systems from `train` to `dev`."""
_LEAN: Final = 3.0
_SEED: Final = 20171
_CLASSES: Final = len(STANCES)
Labels = NDArray[np.int64]
Shares = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class StanceReply:
    """A reply with its stance and what it answers.

    Attributes:
        split: `train`, `dev` or `test`.
        topic: The event and whether the source of the thread is answered, or a reply to it.
        thread: The id of its thread.
        person: Who wrote it.
        bio: What the person says of themselves.
        posted_at: When, to be compared as text.
        parent: The id of what is answered.
        parent_text: Its text.
        label: The place of the stance in `STANCES`.
    """

    split: str
    topic: str
    thread: str
    person: str
    bio: str
    posted_at: str
    parent: str
    parent_text: str
    label: int


def read_stances(folder: Path) -> list[StanceReply]:
    """Return the replies that have a stance and whose parent is there, the earliest first.

    Raises:
        ConfigError: The set is not there, is not what it should be, or has too little of a split.
    """
    try:
        rows = list(rows_of(folder / "posts.csv.gz"))
        posts = {row["id"]: row for row in rows}
        found = [
            _reply(row, posts[row["parent_id"]])
            for row in rows
            if row["is_source"] != "1" and row["stance"] and row["parent_id"] in posts
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder}: {type(error).__name__}: {error}") from error
    for split in ("train", "dev", "test"):
        if (many := sum(one.split == split for one in found)) < FOLDS:
            raise ConfigError(f"{folder}: {many} replies of {split}; expected {FOLDS}")
    return sorted(found, key=lambda one: (one.posted_at, one.thread, one.parent))


def _reply(row: Mapping[str, str], parent: Mapping[str, str]) -> StanceReply:
    answers = "source" if parent["is_source"] == "1" else "reply"
    return StanceReply(
        row["split"], f"{row['event']}|{row['platform']}|{answers}", row["thread"], row["author"],
        row["author_bio"], row["created_at"], row["parent_id"], parent["text"],
        place_of(row, "stance", STANCES),
    )  # fmt: skip


def _earlier(replies: Sequence[StanceReply]) -> Mapping[str, NDArray[np.float64]]:
    """Return (n, C) counts of what was said strictly before each reply, by whom or where."""
    ways = {
        "thread": lambda one: one.thread,
        "siblings": lambda one: one.parent,
        "person": lambda one: one.person,
        "person_here": lambda one: (one.person, one.thread),
    }
    found = {name: np.zeros((len(replies), _CLASSES)) for name in ways}
    counts: dict[tuple[str, object], Floats] = {}
    waiting: list[StanceReply] = []
    for row, one in enumerate(replies):
        # Replies of the same second do not know of each other.
        if waiting and waiting[0].posted_at != one.posted_at:
            for past in waiting:
                for name, key_of in ways.items():
                    key = name, key_of(past)
                    counts.setdefault(key, np.zeros(_CLASSES))[past.label] += 1
            waiting = []
        for name, key_of in ways.items():
            found[name][row] = counts.get((name, key_of(one)), 0.0)
        waiting.append(one)
    return found


def _usual(known: Sequence[StanceReply], asked: Sequence[StanceReply]) -> Floats:
    """Return (n, C) shares of each topic, which lean on those of its kind of answer and of all."""
    counts: dict[str, Floats] = {}
    for one in known:
        for key in ("", one.topic.rpartition("|")[2], one.topic):
            counts.setdefault(key, np.zeros(_CLASSES))[one.label] += 1
    found = []
    for one in asked:
        shares = np.full(_CLASSES, 1 / _CLASSES)
        for key in ("", one.topic.rpartition("|")[2], one.topic):
            own = counts.get(key, np.zeros(_CLASSES))
            shares = (own + 10 * shares) / (own.sum() + 10)
        found.append(shares)
    return np.stack(found)


def _shrunk(seen: Floats, usual: Floats) -> Floats:
    return np.asarray((seen + _LEAN * usual) / (seen.sum(axis=1, keepdims=True) + _LEAN))


def _features(usual: Floats, earlier: Shares, tones: Sequence[Floats]) -> Floats:
    moved = [np.log(_shrunk(seen, usual)) - np.log(usual) for seen in earlier.values()]
    sizes = [np.log1p(seen.sum(axis=1, keepdims=True)) for seen in earlier.values()]
    return np.hstack([np.log(usual), *moved, *sizes, *tones])


def _tones(learnt: Sequence[StanceReply]) -> tuple[TextTone, TextTone]:
    labels = np.array([one.label for one in learnt], np.int64)
    return (
        fit_tone([one.parent_text for one in learnt], labels, _CLASSES),
        fit_tone([one.bio for one in learnt], labels, _CLASSES),
    )


def _read(tones: tuple[TextTone, TextTone], asked: Sequence[StanceReply]) -> list[Floats]:
    return [
        tones[0].moved([one.parent_text for one in asked]),
        tones[1].moved([one.bio for one in asked]),
    ]  # fmt: skip


def _rows(tables: Shares, rows: Sequence[int]) -> Shares:
    return {name: table[list(rows)] for name, table in tables.items()}


def _learnable(known: Sequence[StanceReply], earlier: Shares, with_text: bool) -> Floats:
    """Return the features of each reply, what is fitted in them from threads of other folds."""
    threads = {name: place for place, name in enumerate(sorted({one.thread for one in known}))}
    draws = np.random.default_rng(_SEED).integers(FOLDS, size=len(threads))
    folds = np.array([draws[threads[one.thread]] for one in known])
    found: dict[int, Floats] = {}
    for fold in np.unique(folds).tolist():
        learnt = [one for one, own in zip(known, folds, strict=True) if own != fold]
        rows = np.flatnonzero(folds == fold).tolist()
        held = [known[row] for row in rows]
        tones = _read(_tones(learnt), held) if with_text else []
        features = _features(_usual(learnt, held), _rows(earlier, rows), tones)
        found |= dict(zip(rows, features, strict=True))
    return np.stack([found[row] for row in range(len(known))])


def stance_shares(
    replies: Sequence[StanceReply], known: Sequence[int], asked: Sequence[int], with_text: bool
) -> dict[str, Floats]:
    """Return (n, C) shares of the asked replies, of the model and its floors, by name.

    Args:
        replies: All replies, the earliest first.
        known: The rows that may be learnt from.
        asked: The rows that are asked of; their labels are read as what stood earlier alone.
        with_text: Whether the words of parents and bios are read.
    """
    earlier = _earlier(replies)
    of_known, of_asked = [replies[row] for row in known], [replies[row] for row in asked]
    labels = np.array([one.label for one in of_known], np.int64)
    learnable = _learnable(of_known, _rows(earlier, known), with_text)
    model = fit_reactions(learnable, labels, _CLASSES)
    usual, seen = _usual(of_known, of_asked), _rows(earlier, asked)
    tones = _read(_tones(of_known), of_asked) if with_text else []
    everybody = np.tile((np.bincount(labels, minlength=_CLASSES) + 1.0), (len(asked), 1))
    return {
        "": model.shares(_features(usual, seen, tones)),
        "majority_": everybody / everybody.sum(axis=1, keepdims=True),
        "topic_": usual,
        "parent_": _shrunk(seen["siblings"], usual),
        "thread_": _shrunk(seen["thread"], usual),
    }


def judge_stances(folder: Path, resamples: int) -> dict[str, Measured]:
    """Return the figures of the official test, by name, with intervals over its replies."""
    replies = read_stances(folder)
    test = [row for row, one in enumerate(replies) if one.split == "test"]
    known = [row for row, one in enumerate(replies) if one.split != "test"]
    shares = stance_shares(replies, known, test, with_text=True)
    labels = np.array([replies[row].label for row in test], np.int64)
    each, usual = np.arange(len(labels)), shares["majority_"][0]
    losses = {name: -np.log(one[each, labels]) for name, one in shares.items()}

    def measure(rows: Rows) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, one in shares.items():
            found[f"{name}log_loss"] = float(losses[name][rows].mean())
            found[f"{name}macro_f1"] = macro_f1(labels[rows], one[rows].argmax(axis=1), _CLASSES)
            balanced = (one[rows] / usual**BALANCE).argmax(axis=1)
            found[f"{name}balanced_macro_f1"] = macro_f1(labels[rows], balanced, _CLASSES)
            if name:
                gain = losses[name][rows] - losses[""][rows]
                found[f"gain_over_{name}log_loss"] = float(gain.mean())
        return found

    return bootstrap(measure, len(labels), resamples)
