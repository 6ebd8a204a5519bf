"""Events whose answers have labels, by set.

`fanchuan`: the sentiment that people gave to comments on one parent, no times. `stance`: the stance
that people gave to the answers in a RumourEval thread, in the order of their times. `gop_debate`:
the sentiment that people gave to posts on a candidate and subject of a debate. Sentiment of
RumourEval and Reddit answers, which nobody labelled, is that of the built post encoder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import ConfigError
from evaluation.responses.threads import FOLDER, rows_of

LEAST_ANSWERS: Final = 10
LEAST_EVENTS: Final = 10
SENTIMENTS: Final = ("negative", "neutral", "positive")
STANCES: Final = ("comment", "support", "query", "deny")

LabelsOf = Callable[[Sequence[str]], Sequence[int]]
"""Texts to their sentiment, as its place in `SENTIMENTS`; -1 where it is not rated."""


@dataclass(frozen=True, slots=True)
class LabelledEvent:
    """An event with the labels of its answers.

    Attributes:
        topic: What it is about.
        labels: One of each answer, the earliest first where times are known.
    """

    topic: str
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CrowdSet:
    """A set of events.

    Attributes:
        name: Its name.
        classes: What its labels are called.
        events: Its events, each with `LEAST_ANSWERS` answers at least.
        is_timed: Whether answers are in the order of their times.
    """

    name: str
    classes: tuple[str, ...]
    events: Sequence[LabelledEvent]
    is_timed: bool


Rows = Sequence[Mapping[str, str]]
_PASSED_ON: Final = re.compile(r"^(?:RT @\w+:? ?)+")


def _fanchuan(file: Path, _labels_of: LabelsOf | None) -> list[LabelledEvent]:
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows_of(file):
        if row["parent_text"]:
            of_parent = found.setdefault((row["topic"], row["parent_text"]), [])
            of_parent.append(place_of(row, "sentiment", SENTIMENTS))
    return [LabelledEvent(topic, tuple(labels)) for (topic, _parent), labels in found.items()]


def _answers(file: Path) -> list[dict[str, str]]:
    rows = [row for row in rows_of(file) if row["is_source"] != "1"]
    return sorted(rows, key=lambda row: row["created_at"])


def _stance(file: Path, _labels_of: LabelsOf | None) -> list[LabelledEvent]:
    rows = [row for row in _answers(file) if row["stance"]]
    return _by_thread(rows, ("event", "thread"), [place_of(row, "stance", STANCES) for row in rows])


def place_of(row: Mapping[str, str], column: str, classes: Sequence[str]) -> int:
    """Return the place of a label among its classes; one that is none of them is refused."""
    if row[column] not in classes:
        raise ValueError(f"{column} is {row[column]!r}; expected one of {', '.join(classes)}")
    return classes.index(row[column])


def _rumoureval(file: Path, labels_of: LabelsOf | None) -> list[LabelledEvent]:
    rows = _answers(file)
    return _by_thread(rows, ("event", "thread"), _scored(rows, labels_of))


def _reddit_scores(file: Path, labels_of: LabelsOf | None) -> list[LabelledEvent]:
    rows = sorted(rows_of(file), key=lambda row: row["created_at"])
    return _by_thread(rows, ("source", "post"), _scored(rows, labels_of))


class DebateAnswer(NamedTuple):
    """What was said of a candidate: (subject, candidate), the text, and people's label of it."""

    event: tuple[str, str]
    text: str
    label: int


def debate_answers(file: Path) -> Iterator[DebateAnswer]:
    """Yield what was said in the debate, in the order of its times.

    More than half are copies: each text counts once, whoever passes it on.
    """
    texts: set[str] = set()
    for row in sorted(rows_of(file), key=lambda row: row["created_at"]):
        text = _PASSED_ON.sub("", row["text"]).strip()
        if text not in texts and row["subject"] and row["topic"]:
            label = place_of(row, "label", SENTIMENTS)
            yield DebateAnswer((row["subject"], row["topic"]), text, label)
        texts.add(text)


def _gop_debate(file: Path, _labels_of: LabelsOf | None) -> list[LabelledEvent]:
    """Return what was said of each candidate by subject; the subject is the topic."""
    found: dict[tuple[str, str], list[int]] = {}
    for answer in debate_answers(file):
        found.setdefault(answer.event, []).append(answer.label)
    return [LabelledEvent(subject, tuple(labels)) for (subject, _who), labels in found.items()]


def _scored(rows: Rows, labels_of: LabelsOf | None) -> Sequence[int]:
    if labels_of is None:
        raise ConfigError("nobody labelled this set: it needs the built post encoder")
    return labels_of([row["text"] for row in rows])


def _by_thread(rows: Rows, names: tuple[str, str], labels: Sequence[int]) -> list[LabelledEvent]:
    found: dict[tuple[str, str], list[int]] = {}
    for row, label in zip(rows, labels, strict=True):
        if label >= 0:
            found.setdefault((row[names[0]], row[names[1]]), []).append(label)
    return [LabelledEvent(topic, tuple(of_event)) for (topic, _name), of_event in found.items()]


@dataclass(frozen=True, slots=True)
class CrowdKind:
    """How a set is read: from which file, its classes, and whether the encoder labels it."""

    file: str
    classes: tuple[str, ...]
    read: Callable[[Path, LabelsOf | None], list[LabelledEvent]]
    is_timed: bool
    is_scored: bool


CROWDS: Final[Mapping[str, CrowdKind]] = {
    "fanchuan": CrowdKind(f"{FOLDER}fanchuan/comments.csv.gz", SENTIMENTS, _fanchuan, False, False),
    "stance": CrowdKind(f"{FOLDER}rumoureval/posts.csv.gz", STANCES, _stance, True, False),
    "rumoureval": CrowdKind(
        f"{FOLDER}rumoureval/posts.csv.gz", SENTIMENTS, _rumoureval, True, True
    ),
    "gop_debate": CrowdKind("streams/gop_debate.csv.gz", SENTIMENTS, _gop_debate, True, False),
    "reddit": CrowdKind(
        f"{FOLDER}reddit_scores/comments.csv.gz", SENTIMENTS, _reddit_scores, True, True
    ),
}
"""Sets of events by name."""


def load_crowds(data: Path, name: str, labels_of: LabelsOf | None) -> CrowdSet:
    """Return the events of a set that have answers enough, in the order of the file.

    Raises:
        ConfigError: The set is not there, is not what it should be, or has too few events.
    """
    kind = CROWDS[name]
    file = data / kind.file
    try:
        found = kind.read(file, labels_of)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
    kept = [event for event in found if len(event.labels) >= LEAST_ANSWERS]
    if len(kept) < LEAST_EVENTS:
        raise ConfigError(
            f"{file}: {len(kept)} events of {LEAST_ANSWERS} answers; expected {LEAST_EVENTS}"
        )
    return CrowdSet(name, kind.classes, kept, kind.is_timed)
