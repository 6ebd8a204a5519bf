"""Synthetic crowds that turn, and crowds that do not: how soon, and how often for nothing.

Crowds that do not turn are drawn as the posterior assumes: a forecast, shares about it by a
strength, answers by those shares. Those that turn do so between their fifth and fortieth answer, to
other shares whose total variation from theirs is `LEAST_MOVE` at least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.socialalign.posterior import CrowdPosterior, CrowdStrength, Floats, checked_shares
from models.socialalign.turning import CrowdTurn

CLASSES: Final = 3
LEAST_MOVE: Final = 0.5
WITHIN: Final = 20
"""Answers after the turn within which it has to be seen."""
ANSWERS: Final = 50
"""Answers of an event in an hour."""
EVENTS_AN_HOUR: Final = 1_000
_USUAL: Final = (2.0, 4.0, 2.0)
_LEARNT_FROM: Final = 200


@dataclass(frozen=True, slots=True)
class Turning:
    """What was found.

    Attributes:
        strength: By which crowds were drawn, in answers.
        recall: The share of turned crowds that were noticed in `WITHIN` answers after the turn.
        false_an_hour: Crowds that were noticed and did not turn, of `EVENTS_AN_HOUR` an hour.
    """

    strength: float
    recall: float
    false_an_hour: float


def measure_turning(strength: float, least: float, events: int, seed: int) -> Turning:
    """Draw crowds and watch them.

    Args:
        strength: By how many answers crowds follow their forecast.
        least: The evidence from which a crowd has turned.
        events: The number of crowds of each kind.
        seed: What they are drawn by.
    """
    rng = np.random.default_rng(seed)
    known = learnt_strength(strength, rng)
    false = sum(_noticed(*_calm(strength, rng), known, least) is not None for _ in range(events))
    found = 0
    for _ in range(events):
        forecast, labels, turned = _turned(strength, rng)
        at = _noticed(forecast, labels, known, least)
        found += at is not None and at >= turned
    return Turning(strength, found / events, false * EVENTS_AN_HOUR / events)


def learnt_strength(strength: float, rng: np.random.Generator) -> CrowdStrength:
    """Return what is learnt from crowds that were drawn by a strength."""
    known = CrowdStrength()
    for _ in range(_LEARNT_FROM):
        forecast, shares = drawn(strength, rng)
        crowd = CrowdPosterior(forecast, known)
        crowd.add_all(rng.choice(CLASSES, ANSWERS, p=shares).tolist())
        known.learn(crowd)
    return known


def drawn(strength: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return (C,) a forecast, and (C,) shares about it by a strength."""
    forecast = checked_shares(rng.dirichlet(_USUAL))
    return forecast, rng.dirichlet(strength * forecast)


def _calm(strength: float, rng: np.random.Generator) -> tuple[Floats, list[int]]:
    forecast, shares = drawn(strength, rng)
    return forecast, rng.choice(CLASSES, ANSWERS, p=shares).tolist()


def _turned(strength: float, rng: np.random.Generator) -> tuple[Floats, list[int], int]:
    forecast, before = drawn(strength, rng)
    after = rng.dirichlet(np.ones(CLASSES))
    while np.abs(after - before).sum() / 2 < LEAST_MOVE:
        after = rng.dirichlet(np.ones(CLASSES))
    turned = int(rng.integers(5, 40))
    labels = rng.choice(CLASSES, turned, p=before).tolist()
    return forecast, labels + rng.choice(CLASSES, WITHIN, p=after).tolist(), turned


def _noticed(forecast: Floats, labels: list[int], known: CrowdStrength, least: float) -> int | None:
    """Return the place of the answer by which the crowd has turned; None where it has not."""
    crowd, turn = CrowdPosterior(forecast, known), CrowdTurn(CLASSES)
    for place, label in enumerate(labels):
        turn.add(label, crowd.shares())
        if turn.evidence >= least:
            return place
        crowd.add(label)
    return None
