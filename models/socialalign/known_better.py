"""Is one forecast known to beat another: what it gains on each event, decayed.

An event counts as one, however many answers it has; the mean gain must be above `SURE` of its
standard errors, and `LEAST_EVENTS` must have been judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, sqrt
from typing import Any, Final

import msgspec
import numpy as np

from models.socialalign.crowd import MOST_SUMMED

MEMORY: Final = 500.0
"""Events over which scores decay by a factor of e."""
LEAST_EVENTS: Final = 20
"""Before so many events were judged, nothing is known of a forecast."""
SURE: Final = 1.645
"""Standard errors by which a forecast is better than another: 95 in 100, one-sided."""
_KEPT: Final = exp(-1 / MEMORY)
PAIRED: Final = ("model", "topic")
"""Forecasts that are compared on the events of which the model said something."""


class GainOverEvents:
    """What one forecast gains over another in log score. Not thread-safe."""

    def __init__(self) -> None:
        self._events = self._judged = self._sum = self._squares = 0.0

    def learn(self, gain: float) -> None:
        """Take in the mean gain (natural logarithm) over the answers to an event."""
        self._events = self._events * _KEPT + 1
        self._judged += 1
        self._sum = self._sum * _KEPT + gain
        self._squares = self._squares * _KEPT + gain * gain

    @property
    def is_known(self) -> bool:
        """Whether it is known to gain."""
        if self._judged < LEAST_EVENTS:
            return False
        mean = self._sum / self._events
        spread = sqrt(max(self._squares / self._events - mean * mean, 0.0) / self._events)
        return mean > SURE * spread

    def sums(self) -> list[float]:
        """Return what was learnt: decayed events, events, decayed sum and sum of squares."""
        return [self._events, self._judged, self._sum, self._squares]

    def restore(self, sums: Sequence[float]) -> None:
        """Take up what `sums` gave.

        Raises:
            ValueError: It is not of this shape, or no events give it; nothing is changed.
        """
        numbers = np.array(sums, np.float64)
        if numbers.shape != (4,) or not (np.abs(numbers) <= MOST_SUMMED).all():
            raise ValueError("scores of crowds cannot be read")
        is_none = sums[0] == sums[1] == 0
        if not (is_none or 0 < sums[0] <= sums[1]):
            raise ValueError("scores of crowds cannot be read")
        self._events, self._judged, self._sum, self._squares = sums


class _ModelSums(msgspec.Struct):
    version: str
    over_topic: list[float]
    over_average: list[float]
    scores: dict[str, float]


class ModelForecasts:
    """How a model's forecasts compare with the usual shares, of one source. Not thread-safe.

    Only events of which the model said something count; what it said is judged whether it was used
    or not.

    Args:
        version: The model's version.

    Attributes:
        version: The same.
    """

    def __init__(self, version: str = "") -> None:
        self.version = version
        self._over_topic = GainOverEvents()
        self._over_average = GainOverEvents()
        self._scores: dict[str, float] = dict.fromkeys(("answers", *PAIRED), 0.0)

    @property
    def beats_topic(self) -> bool:
        """Whether the model is known to beat the usual shares of the topic: then it is used."""
        return self._over_topic.is_known

    @property
    def beats_average(self) -> bool:
        """Whether the model is known to beat the usual shares of all topics."""
        return self._over_average.is_known

    @property
    def log_scores(self) -> Mapping[str, float]:
        """System -> mean log score (natural) of the next answer; empty before the first one."""
        answers = self._scores["answers"]
        return {name: self._scores[name] / answers for name in PAIRED} if answers else {}

    def learn(self, model: float, topic: float, average: float, answers: int) -> None:
        """Judge an event that is over.

        Args:
            model: The sum of log scores of its answers by the model.
            topic: By the usual shares of its topic.
            average: By those of all topics.
            answers: The number of answers.
        """
        self._over_topic.learn((model - topic) / answers)
        self._over_average.learn((model - average) / answers)
        for name, value in {"answers": float(answers), "model": model, "topic": topic}.items():
            self._scores[name] = self._scores[name] * _KEPT + value

    def sums(self) -> dict[str, Any]:
        """Return what was learnt, as `restore` takes it."""
        return {
            "version": self.version,
            "over_topic": self._over_topic.sums(), "over_average": self._over_average.sums(),
            "scores": self._scores,
        }  # fmt: skip

    def restore(self, sums: Mapping[str, Any]) -> None:
        """Take up what `sums` gave.

        Raises:
            ValueError: It is not of this shape.
        """
        found = msgspec.convert(sums, _ModelSums)
        scores = np.array(list(found.scores.values()), np.float64)
        if set(found.scores) != set(self._scores) or not (np.abs(scores) <= MOST_SUMMED).all():
            raise ValueError("scores of a crowd model cannot be read")
        if found.scores["answers"] < 0:
            raise ValueError("scores of a crowd model cannot be read")
        self._over_topic.restore(found.over_topic)
        self._over_average.restore(found.over_average)
        self.version, self._scores = found.version, dict(found.scores)
