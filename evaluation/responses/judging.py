"""Every system's figures on a set, with intervals over posts.

Shapes: `N` judged posts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.encoder.bootstrap import Measured, bootstrap
from evaluation.responses.floors import Answer, Answers, floor_answers
from evaluation.responses.lift import Similarities, distinct, is_copied, lifts
from evaluation.responses.published import OVERLAPS, overlaps
from evaluation.responses.threads import Thread, ThreadSet
from evaluation.responses.words import vocabulary_of
from models.popalm.encoders import TextVectors

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """What was found of a set.

    Attributes:
        threads: The set.
        systems: System -> measure -> figure and interval.
        seeds: System -> one row of means for each time that it was drawn.
        notes: Sentences for people.
    """

    threads: ThreadSet
    systems: Mapping[str, Mapping[str, Measured]]
    seeds: Mapping[str, Sequence[Mapping[str, float]]]
    notes: Sequence[str] = field(default_factory=list[str])


def judge(threads: ThreadSet, embed: TextVectors | None, resamples: int) -> JudgedSet:
    """Measure every floor on the judged posts of a set."""
    vocabulary = vocabulary_of(reply for thread in threads.train for reply in thread.replies)
    answers = floor_answers(threads, vocabulary)
    vectors = None if embed is None else _vectors(threads.test, answers, embed)
    similarities = Similarities(vocabulary, vectors)
    systems: dict[str, Mapping[str, Measured]] = {}
    seeds: dict[str, Sequence[Mapping[str, float]]] = {}
    for system, draws in answers.items():
        columns = [columns_of(threads.test, drawn, similarities) for drawn in draws]
        shares = [distinct(drawn) for drawn in draws]
        systems[system] = _measured(columns, resamples) | _plain(shares)
        seeds[system] = [
            {name: float(known_mean(values)) for name, values in column.items()} | dict(share)
            for column, share in zip(columns, shares, strict=True)
        ]
    return JudgedSet(threads, systems, seeds)


def columns_of(
    threads: Sequence[Thread], answers: Answers, similarities: Similarities
) -> Mapping[str, Floats]:
    """Return (N,) columns: the published overlaps, all lifts, whether an answer is copied."""
    pairs = list(zip(threads, answers, strict=True))
    found = [overlaps(answer.text, _published(thread, answer)) for thread, answer in pairs]
    columns = {name: np.array([one[name] for one in found]) for name in OVERLAPS}
    copied = np.array([is_copied(answer.text, thread.post) for thread, answer in pairs], np.float64)
    return columns | dict(lifts(threads, answers, similarities)) | {"copy": copied}


def _published(thread: Thread, answer: Answer) -> Sequence[str]:
    """Return all replies, as published; without the one that the answer is."""
    return [reply for row, reply in enumerate(thread.replies) if row != answer.used]


def _vectors(
    threads: Sequence[Thread], answers: Mapping[str, Sequence[Answers]], embed: TextVectors
) -> Mapping[str, NDArray[np.float32]]:
    replies = (reply for thread in threads for reply in thread.replies)
    given = (one.text for draws in answers.values() for drawn in draws for one in drawn)
    texts = list(dict.fromkeys([*replies, *given]))
    return dict(zip(texts, embed(texts), strict=True))


def _measured(columns: Sequence[Mapping[str, Floats]], resamples: int) -> dict[str, Measured]:
    """Return the means over posts of what each post has on average over draws."""
    names = list(columns[0])
    table = np.mean([[column[name] for name in names] for column in columns], axis=0)

    def measure(rows: NDArray[np.integer]) -> dict[str, float]:
        return dict(zip(names, known_mean(table[:, rows]).tolist(), strict=True))

    return bootstrap(measure, table.shape[1], resamples)


def known_mean(values: Floats) -> Floats:
    """Return the means over the last axis of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _plain(shares: Sequence[Mapping[str, float]]) -> dict[str, Measured]:
    """Return shares without interval: a resample repeats posts, and so has fewer distinct ones."""
    found = {name: float(np.mean([share[name] for share in shares])) for name in shares[0]}
    return {name: Measured(value, value, value) for name, value in found.items()}
