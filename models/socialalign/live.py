"""How crowds answer, in the order of the stream: of each source, from its earlier events alone.

An event begins with the usual shares of its topic by then, and with the strength that forecasts of
its source had by then. Its answers move a posterior, the same in whatever order they come. When it
is over it is judged, the answers in the order of their times: what the forecast, the counts and the
posterior said of each next one (prequential), and what all topics together would have said. Only
then is it learnt from. What a model says of an event is used in place of the usual shares once it
is known to beat them in the source. A forecast that is not known to beat the average of all topics
is greyed.

Shapes: `C` classes of the label, `K` strengths of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from math import exp
from typing import Any, Final
from zlib import crc32

import numpy as np

from models.socialalign.crowd import MOST_SUMMED, UsualShares
from models.socialalign.crowd_start import CrowdStart, ModelForecast
from models.socialalign.known_better import MEMORY, GainOverEvents, ModelForecasts
from models.socialalign.posterior import CrowdPosterior, CrowdStrength, Floats, checked_shares
from models.socialalign.turning import turn_of

MOST_ANSWERS: Final = 1_024
"""Answers that are kept of an event: those of the least hashes, in whatever order they come."""
SYSTEMS: Final = ("average", "forecast", "counts", "posterior")


class LiveCrowd:
    """The answers to one event. Not thread-safe.

    Args:
        start: What is known before the first one.

    Attributes:
        start: The same.
        counts: (C,) how often each label was given.
        dropped: Answers that were not kept, as enough have lesser hashes.
        left_out: Answer -> why it is not counted.
    """

    def __init__(self, start: CrowdStart) -> None:
        self.start = start
        self.counts = [0] * len(start.forecast)
        self.dropped = 0
        self.left_out: dict[str, str] = {}
        self._answers: dict[str, tuple[float, int]] = {}
        self._greatest: list[tuple[int, str]] = []
        self._hashed: set[str] = set()

    def __contains__(self, answer: str) -> bool:
        """Tell whether an answer is kept."""
        return answer in self._answers

    def add(self, answer: str, at_s: float, label: int) -> bool:
        """Take in an answer; one that is known gets its new label, its time stays.

        Args:
            answer: Its id.
            at_s: When it was written, in seconds since 1970.
            label: Its label.

        Returns:
            Whether what is counted has changed.

        Raises:
            ValueError: There is no such label.
        """
        if not 0 <= label < len(self.counts):
            raise ValueError(f"label {label}: expected one of 0 to {len(self.counts) - 1}")
        known = self._answers.get(answer)
        if known is not None and known[1] == label:
            return False
        self.left_out.pop(answer, None)
        if known is not None:
            at_s = known[0]
            self.counts[known[1]] -= 1
        elif answer not in self._hashed:  # it may have been there before
            self._hashed.add(answer)
            heappush(self._greatest, (-crc32(answer.encode()), answer))
        self._answers[answer] = (at_s, label)
        self.counts[label] += 1
        # Also what was removed meanwhile comes up here.
        while len(self._greatest) > MOST_ANSWERS:
            greatest = heappop(self._greatest)[1]
            self._hashed.discard(greatest)
            self.dropped += self._let_go(greatest)
        return True

    def leave_out(self, answer: str, why: str) -> bool:
        """Do not count an answer, nor go on to count it; tell whether that is new.

        Args:
            answer: Its id.
            why: For want of what.
        """
        self._let_go(answer)
        if self.left_out.get(answer) == why:
            return False
        if answer not in self.left_out and len(self.left_out) >= MOST_ANSWERS:
            self.dropped += 1
            return True
        self.left_out[answer] = why
        return True

    def remove(self, answer: str) -> bool:
        """Forget an answer; tell whether it was known."""
        was_left_out = self.left_out.pop(answer, None) is not None
        return self._let_go(answer) or was_left_out

    def _let_go(self, answer: str) -> bool:
        known = self._answers.pop(answer, None)
        if known is not None:
            self.counts[known[1]] -= 1
        return known is not None

    def labels(self) -> list[int]:
        """Return the labels of the answers that are kept, the earliest first."""
        return self.in_order()[1]

    def in_order(self) -> tuple[list[float], list[int]]:
        """Return times (seconds since 1970) and labels of what is kept, the earliest first."""
        known = sorted((at_s, answer) for answer, (at_s, _label) in self._answers.items())
        return [at_s for at_s, _answer in known], [self._answers[one][1] for _at_s, one in known]

    def posterior(self) -> CrowdPosterior:
        """Return what is expected of the answers to come."""
        strength = CrowdStrength(self.start.learnt)
        return CrowdPosterior.of_counts(self.start.forecast, strength, self.counts)

    def prior(self) -> CrowdPosterior:
        """Return what was expected before the first answer, to be shown answers one by one."""
        return CrowdPosterior(self.start.forecast, CrowdStrength(self.start.learnt))

    def turn(self) -> tuple[float, int]:
        """Return how much speaks for the crowd having turned, and how many answers ago.

        Worked out anew from the answers that are kept, in the order of their times: the order in
        which they came, edits and deletions change nothing else.

        Returns:
            The logarithm of the statistic of `CrowdTurn`, minus infinity without answers, and the
            number of last answers that are least as expected.
        """
        labels = self.labels()
        return turn_of(labels, self.prior().add_all(labels)["posterior"], len(self.counts))


class SourceCrowds:
    """What is learnt of the crowds of one source and kind of label. Not thread-safe.

    Args:
        classes: The number of labels.
    """

    def __init__(self, classes: int) -> None:
        self._usual = UsualShares(classes)
        self._strength = CrowdStrength()
        self._scores: dict[str, float] = dict.fromkeys(("answers", *SYSTEMS), 0.0)
        self._better = GainOverEvents()
        self._model = ModelForecasts()

    def start(self, topic: str, said: ModelForecast | None = None) -> CrowdStart:
        """Return what is known by now of an event of a topic, which need not be known.

        Args:
            topic: The topic.
            said: What a model says of it; used if models are known to beat the usual shares here.

        Raises:
            ValueError: What it says are no shares of these labels.
        """
        usual = self.usual(topic)
        average, learnt = self._usual.forecast("").tolist(), self._strength.learnt.tolist()
        if said is None:
            return CrowdStart(topic, usual, average, learnt, not self.is_better)
        if len(said.shares) != len(usual):
            raise ValueError(f"{len(said.shares)} shares of a model, expected {len(usual)}")
        is_used = self._model.beats_topic and said.version == self._model.version
        shares = checked_shares(said.shares).tolist()
        model = ModelForecast(shares, said.version, is_used, usual)
        is_greyed = not (self._model.beats_average if is_used else self.is_better)
        forecast = shares if is_used else usual
        return CrowdStart(topic, forecast, average, learnt, is_greyed, model)

    def usual(self, topic: str) -> Sequence[float]:
        """Return (C,) the usual shares of a topic by now, as a model is to be asked with them."""
        return self._usual.forecast(topic).tolist()

    @property
    def is_better(self) -> bool:
        """Whether the usual shares of a topic are known to beat the average of all topics."""
        return self._better.is_known

    @property
    def log_scores(self) -> Mapping[str, float]:
        """System -> mean log score (natural) of the next answer; empty before the first one.

        Those of `model` and `topic` are of the events alone of which the model said something.
        """
        answers = self._scores["answers"]
        if not answers:
            return {}
        own = {name: self._scores[name] / answers for name in SYSTEMS}
        return {**own, **self._model.log_scores}

    @property
    def strength(self) -> float:
        """The strength of forecasts, in answers."""
        return self._strength.mean

    @property
    def dropped(self) -> int:
        """Topics that were forgotten for want of room."""
        return self._usual.dropped

    def learn(self, crowd: LiveCrowd) -> Mapping[str, float]:
        """Judge an event that is over, then learn from it.

        Returns:
            System -> the sum of its log scores of the answers; empty of an event without any.
        """
        labels = crowd.labels()
        if not labels:
            return {}
        start = crowd.start
        posterior = CrowdPosterior(start.forecast, CrowdStrength(start.learnt))
        average = CrowdPosterior(start.average, CrowdStrength()).forecast
        logs = {"average": np.log(average[labels]), **posterior.add_all(labels)}
        sums: dict[str, float] = {name: _sum(logs[name]) for name in SYSTEMS}
        self._judge(sums, labels, start)
        self._strength.learn(posterior)
        self._usual.learn(start.topic, np.array(crowd.counts, np.float64))
        return sums

    def _judge(self, sums: Mapping[str, float], labels: Sequence[int], start: CrowdStart) -> None:
        answers = len(labels)
        kept = exp(-1 / MEMORY)
        for name, value in {"answers": float(answers), **sums}.items():
            self._scores[name] = self._scores[name] * kept + value
        topic = sums["forecast"]
        if start.model is not None:
            model, topic = (
                _sum(np.log(checked_shares(shares)[labels]))
                for shares in (start.model.shares, start.model.usual)
            )
            if start.model.version != self._model.version:  # nothing is known of another model
                self._model = ModelForecasts(start.model.version)
            self._model.learn(model, topic, sums["average"], answers)
        self._better.learn((topic - sums["average"]) / answers)

    def sums(self) -> dict[str, Any]:
        """Return what was learnt, as `restore` takes it: lists and numbers by name."""
        return {
            "usual": self._usual.sums(), "strength": self._strength.learnt.tolist(),
            "scores": self._scores, "events": self._better.sums(), "model": self._model.sums(),
        }  # fmt: skip

    def restore(
        self, usual: Mapping[str, Sequence[float]], strength: Sequence[float],
        scores: Mapping[str, float], events: Sequence[float],
        model: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Take up what `sums` gave; what an earlier version gave has nothing of a model.

        Raises:
            ValueError: It is not of this shape; nothing is changed.
        """
        numbers = np.array(list(scores.values()), np.float64)
        is_whole = set(scores) == set(self._scores) and (np.abs(numbers) <= MOST_SUMMED).all()
        if not is_whole or scores["answers"] < 0:
            raise ValueError("scores of crowds cannot be read")
        known, better, models = CrowdStrength(strength), GainOverEvents(), ModelForecasts()
        better.restore(events)
        if model is not None:
            models.restore(model)
        self._usual.restore(usual)
        self._strength, self._scores = known, dict(scores)
        self._better, self._model = better, models


def _sum(logs: Floats) -> float:
    """Return the sum in the order of the answers: the same after a restart, to the last bit."""
    return float(np.cumsum(logs)[-1])
