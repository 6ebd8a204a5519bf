"""The log score of the next answers to an event: of the forecast, of counts, of the posterior.

Folds of events: usual shares are learnt from the events of the other folds; the strength of the
forecast is learnt from events that were judged before (prequential). Answers without times, and
the order of events, are drawn again for each seed.

Shapes: `E` events, `C` classes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.crowds.events import CrowdSet, LabelledEvent
from evaluation.encoder.bootstrap import Measured, Rows, bootstrap
from models.socialalign.crowd import UsualShares
from models.socialalign.posterior import CrowdPosterior, CrowdStrength, Floats

SEEDS: Final = (20171, 20172, 20173)
FOLDS: Final = 5
NEXT: Final = 5
"""Answers that are scored at a time."""
AFTER: Final = (0, 5, 20)
"""Answers that are seen by then."""
SYSTEMS: Final[Mapping[str, str]] = {
    "forecast": "the usual shares of the topic, whatever is seen",
    "counts": "what is seen, each label once more (Laplace)",
    "posterior": "the forecast with what is seen, by a strength that is learnt",
}


@dataclass(frozen=True, slots=True)
class JudgedCrowds:
    """A set with what was measured on it.

    Attributes:
        crowds: The set.
        measures: By name: `SYSTEM_nN` the mean log score of the next five answers,
            `posterior_minus_SYSTEM_nN` paired differences, `js_*` Jensen-Shannon distances.
        strength: The strength, in answers, that was learnt by the end; mean over seeds.
    """

    crowds: CrowdSet
    measures: Mapping[str, Measured]
    strength: float


def judge_crowds(crowds: CrowdSet, resamples: int) -> JudgedCrowds:
    """Judge a set of events; figures are means over seeds, intervals are over events."""
    runs = [_run(crowds, seed) for seed in SEEDS]
    names = list(runs[0][0])
    table = np.stack([[of_seed[name] for name in names] for of_seed, _strength in runs])
    means = _known_mean(table)

    def measure(rows: Rows) -> dict[str, float]:
        return {name: _mean(means[row, rows]) for row, name in enumerate(names)}

    measures = bootstrap(measure, means.shape[1], resamples)
    return JudgedCrowds(crowds, measures, float(np.mean([strength for _run, strength in runs])))


def _known_mean(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means over the first axis; NaN only where an event has too few answers."""
    return np.asarray(table.mean(axis=0), np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _run(crowds: CrowdSet, seed: int) -> tuple[dict[str, Floats], float]:
    """Return every measure of every event (E,), NaN where it has too few answers."""
    events, classes = crowds.events, len(crowds.classes)
    draws = random.Random(seed)
    order = draws.sample(range(len(events)), len(events))
    overall, by_topic = _forecasts(events, order, classes)
    strength, rng = CrowdStrength(), np.random.default_rng(seed)
    found: dict[str, Floats] = {}
    for row in order:
        labels = list(events[row].labels)
        if not crowds.is_timed:
            draws.shuffle(labels)
        crowd = CrowdPosterior(by_topic[row], strength)
        measured = next_scores(crowd, labels) | _distances(labels, by_topic[row], overall[row], rng)
        strength.learn(crowd)
        for name, value in measured.items():
            found.setdefault(name, np.full(len(events), np.nan))[row] = value
    return found, strength.mean


def _forecasts(
    events: Sequence[LabelledEvent], order: Sequence[int], classes: int
) -> tuple[dict[int, Floats], dict[int, Floats]]:
    """Return (C,) shares of all topics and of its own topic for each event, by its row."""
    overall: dict[int, Floats] = {}
    by_topic: dict[int, Floats] = {}
    for fold in range(FOLDS):
        held, usual = set(order[fold::FOLDS]), UsualShares(classes)
        for row in order:
            if row not in held:
                usual.learn(events[row].topic, _counts(events[row].labels, classes))
        for row in held:
            overall[row] = usual.forecast("")
            by_topic[row] = usual.forecast(events[row].topic)
    return overall, by_topic


def _counts(labels: Sequence[int], classes: int) -> Floats:
    return np.bincount(labels, minlength=classes).astype(np.float64)


def next_scores(crowd: CrowdPosterior, labels: Sequence[int]) -> dict[str, float]:
    """Show the crowd its answers one by one; return the scores of the next ones on the way."""
    found: dict[str, float] = {}
    for seen, label in enumerate(labels):
        coming = labels[seen : seen + NEXT]
        if seen in AFTER and len(coming) == NEXT:
            said = crowd.said_by().items()
            scores = {name: float(np.log(shares[coming]).mean()) for name, shares in said}
            found |= {f"{name}_n{seen}": score for name, score in scores.items()}
            for name in ("forecast", "counts"):
                found[f"posterior_minus_{name}_n{seen}"] = scores["posterior"] - scores[name]
        crowd.add(label)
    return found


def _distances(
    labels: Sequence[int], of_topic: Floats, overall: Floats, rng: np.random.Generator
) -> dict[str, float]:
    """Return distances to the observed shares; the floor is what drawing as many of them gives."""
    counts = _counts(labels, len(of_topic))
    observed = counts / counts.sum()
    again = rng.multinomial(int(counts.sum()), observed) / counts.sum()
    of_forecast = jensen_shannon(observed, of_topic)
    return {
        # The forecast is the usual shares of the topic: nothing beat them (docs/crowds.md).
        "js": of_forecast,
        "js_topic": of_forecast,
        "js_global": jensen_shannon(observed, overall),
        "js_floor": jensen_shannon(observed, again),
    }


def jensen_shannon(p: Floats, q: Floats) -> float:
    """Return the Jensen-Shannon distance (the root of the divergence, natural logarithm)."""
    middle = (p + q) / 2

    def divergence(one: Floats) -> float:
        there = one > 0
        return float((one[there] * np.log(one[there] / middle[there])).sum())

    return float(np.sqrt(max((divergence(p) + divergence(q)) / 2, 0.0)))
