"""What the crowd model says of threads, and whether it is used, worked out without the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, sqrt

import numpy as np

from core.ports import CrowdQuestions
from core.schemas import MICRO
from evaluation.crowds.before_answers import HeadsOf
from models.build_crowd import CROWD_WEIGHTS
from models.scorers.crowd_edge import as_sent
from models.serving.crowd import open_crowd
from models.socialalign.crowd_config import LABELS
from models.socialalign.known_better import LEAST_EVENTS, MEMORY, SURE
from models.socialalign.posterior import Floats, checked_shares
from models.socialalign.reaction import KINDS

Says = Callable[[Floats, Sequence[int]], Sequence[float]]
"""(C,) usual shares of a topic and a post's heads, in millionths, to the shares that are said."""


def question_of(usual: Floats, heads: Sequence[int]) -> CrowdQuestions:
    """Return what is asked of one post of which nothing but its heads is known."""
    given = np.array(heads, np.float64) / MICRO
    return CrowdQuestions(
        usual[None].astype(np.float32), given[None].astype(np.float32),
        np.zeros((1, KINDS, LABELS), np.float32), np.zeros((1, 2), np.float32), [""],
    )  # fmt: skip


def shipped_says() -> Says:
    """Return what the shipped weights say.

    Raises:
        ConfigError: They are not there, or are of another program.
    """
    service = open_crowd(CROWD_WEIGHTS, is_built=False)

    def says(usual: Floats, heads: Sequence[int]) -> Sequence[float]:
        return service.expect(as_sent(question_of(usual, heads))).forecast[0].tolist()

    return says


def first_heads(text: str, heads_of: HeadsOf | None) -> tuple[int, ...]:
    """Return what is said of a first post, in millionths; empty where nothing is."""
    found = np.zeros(0) if heads_of is None else np.rint(heads_of([text])[0] * MICRO)
    return () if np.isnan(found).any() else tuple(found.astype(int).tolist())


class JudgedModel:
    """Holds what a model says against the usual shares, event by event, nothing summed ahead.

    Args:
        says: The model; None: there is none.
    """

    def __init__(self, says: Says | None) -> None:
        self._says = says
        self._gains: list[float] = []

    def forecast(self, usual: Floats, heads: Sequence[int]) -> tuple[Floats, Floats | None]:
        """Return the forecast of an event, and what the model says of it, None if nothing."""
        if self._says is None or not heads:
            return usual, None
        said = checked_shares(self._says(usual, heads))
        return (said if self._is_known() else usual), said

    def learn(self, said: Floats | None, usual: Floats, labels: Sequence[int]) -> None:
        """Judge an event that is over."""
        if said is not None:
            pair = [
                float(np.log(checked_shares(one)[list(labels)]).mean()) for one in (said, usual)
            ]
            self._gains.append(pair[0] - pair[1])

    def _is_known(self) -> bool:
        events = len(self._gains)
        if events < LEAST_EVENTS:
            return False
        weights = [exp(-age / MEMORY) for age in range(events)][::-1]
        total = sum(weights)
        mean = sum(w * gain for w, gain in zip(weights, self._gains, strict=True)) / total
        square = sum(w * gain**2 for w, gain in zip(weights, self._gains, strict=True)) / total
        return mean > SURE * sqrt(max(square - mean * mean, 0.0) / total)
