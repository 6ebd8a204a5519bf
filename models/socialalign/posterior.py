"""How a crowd answers an event, as its answers arrive: a Dirichlet posterior of learnt strength.

Before the first answer there is a forecast of the shares of each label; each answer moves it. How
far depends on the strength of the forecast, in answers: where crowds differ from event to event a
few answers say more than any forecast, where they do not, many are needed. The strength is not a
constant but has a distribution over a grid, by what each strength would have said of the answers
that came (Dirichlet-multinomial; prequential, so nothing is fitted on what it is judged by), one
of each source and kind of label. Within an event it moves on: a crowd that is not as forecast is
believed sooner.

Shapes: `C` classes of the label, `K` strengths of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, lgamma
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRENGTHS: Final[Floats] = np.geomspace(0.5, 512.0, 11)
"""The grid: each is twice the one before."""
LEAST_SHARE: Final = 1e-3
"""No forecast calls a label impossible; nothing that was seen could bring it back."""
_USUAL: Final = 8.0
_SPREAD: Final = 1.5
"""Before anything is known: log-normal about eight answers."""
_MEMORY: Final = 500.0
"""Events over which what was learnt decays by a factor of e."""
_UNLIKE: Final = 0.02
"""How many events may be unlike all that were learnt from: of them each strength is as likely."""
_POINTS: Final = 512
_SHARES: Final[Floats] = (np.arange(_POINTS) + 0.5) / _POINTS
"""Where densities of a share are looked at."""


def checked_shares(shares: Sequence[float] | Floats) -> Floats:
    """Return (C,) shares that sum to one, none below `LEAST_SHARE`.

    Raises:
        ValueError: One is no share, there are fewer than two, or all are zero.
    """
    given = np.asarray(shares, np.float64)
    if given.ndim != 1 or len(given) < 2 or not np.isfinite(given).all() or (given < 0).any():
        raise ValueError(f"shares {shares}: expected two or more finite ones, none below zero")
    if not given.any():
        raise ValueError(f"shares {shares}: all are zero")
    mixed = given / given.sum() * (1 - LEAST_SHARE * len(given)) + LEAST_SHARE
    return mixed / mixed.sum()


def _normalised(logs: Floats) -> Floats:
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


class CrowdStrength:
    """What is learnt of how strong forecasts are in one source. Not thread-safe.

    Args:
        learnt: (K,) log-likelihoods of the grid, as `learnt` gave them; nothing is known else.

    Raises:
        ValueError: They are not so many, or not finite.
    """

    def __init__(self, learnt: Sequence[float] | Floats | None = None) -> None:
        self._learnt = np.zeros(len(STRENGTHS)) if learnt is None else np.array(learnt, np.float64)
        if self._learnt.shape != STRENGTHS.shape or not np.isfinite(self._learnt).all():
            raise ValueError(f"expected {len(STRENGTHS)} finite log-likelihoods of strengths")

    @property
    def learnt(self) -> Floats:
        """(K,) log-likelihoods of the grid, a copy: what `CrowdStrength` is made of again."""
        return self._learnt.copy()

    def log_weights(self) -> Floats:
        """Return the (K,) log-weights of the grid, the largest 0."""
        usual = -0.5 * (np.log(STRENGTHS / _USUAL) / _SPREAD) ** 2
        weights = (1 - _UNLIKE) * _normalised(usual + self._learnt) + _UNLIKE / len(STRENGTHS)
        return np.log(weights / weights.max())

    @property
    def mean(self) -> float:
        """The strength in answers: the weighted mean of its logarithm, taken back."""
        weights = _normalised(self.log_weights())
        return float(np.exp(weights @ np.log(STRENGTHS)))

    def learn(self, crowd: CrowdPosterior) -> None:
        """Take in an event that is over, whole: what each strength said of its answers."""
        self._learnt = self._learnt * exp(-1 / _MEMORY) + crowd.log_likelihoods
        self._learnt -= self._learnt.max()


class CrowdPosterior:
    """The answers to one event, held against their forecast. Not thread-safe.

    Args:
        forecast: (C,) forecast shares of the labels.
        strength: What is known of the source's forecasts when the event begins.
    """

    def __init__(self, forecast: Sequence[float] | Floats, strength: CrowdStrength) -> None:
        self.forecast = checked_shares(forecast)
        self.counts = np.zeros(len(self.forecast))
        self.log_likelihoods = np.zeros(len(STRENGTHS))
        self._known = strength.log_weights()

    @classmethod
    def of_counts(
        cls, forecast: Sequence[float] | Floats, strength: CrowdStrength, counts: Sequence[int]
    ) -> CrowdPosterior:
        """Return what `add` would have made of so many answers, in whatever order they came.

        Args:
            forecast: As of the constructor.
            strength: As of the constructor.
            counts: (C,) how often each label was given.

        Raises:
            ValueError: There are more or fewer counts than labels, or one is below zero.
        """
        crowd = cls(forecast, strength)
        if len(counts) != len(crowd.forecast) or min(counts) < 0:
            raise ValueError(f"counts {counts}: expected {len(crowd.forecast)}, none below zero")
        crowd.counts = np.array(counts, np.float64)
        for row, strong in enumerate(STRENGTHS.tolist()):
            logs = [
                lgamma(strong * share + count) - lgamma(strong * share)
                for share, count in zip(crowd.forecast.tolist(), counts, strict=True) if count
            ]  # fmt: skip
            whole = lgamma(strong + sum(counts)) - lgamma(strong)
            crowd.log_likelihoods[row] = sum(logs) - whole
        return crowd

    @property
    def strength(self) -> float:
        """The strength in answers by now: the weighted mean of its logarithm, taken back."""
        return float(np.exp(self.weights() @ np.log(STRENGTHS)))

    def said_by(self) -> Mapping[str, Floats]:
        """Return (C,) shares of the next answer by `forecast`, `counts` (Laplace), `posterior`."""
        laplace = (self.counts + 1) / (self.seen + len(self.counts))
        return {"forecast": self.forecast, "counts": laplace, "posterior": self.shares()}

    @property
    def seen(self) -> int:
        """How many answers were seen."""
        return int(self.counts.sum())

    def _predictives(self) -> Floats:
        """Return (K, C): what each strength says of the next answer."""
        strengths = STRENGTHS[:, None]
        return (strengths * self.forecast + self.counts) / (strengths + self.counts.sum())

    def weights(self) -> Floats:
        """Return the (K,) weights of the strengths, this event's answers taken in."""
        return _normalised(self._known + self.log_likelihoods)

    def shares(self) -> Floats:
        """Return (C,) the shares expected of the answers to come."""
        return self.weights() @ self._predictives()

    def add(self, label: int) -> None:
        """Take in the next answer.

        Raises:
            ValueError: There is no such label.
        """
        if not 0 <= label < len(self.forecast):
            raise ValueError(f"label {label}: expected one of 0 to {len(self.forecast) - 1}")
        self.log_likelihoods += np.log(self._predictives()[:, label])
        self.counts[label] += 1

    def add_all(self, labels: Sequence[int]) -> Mapping[str, Floats]:
        """Take in the next answers at once, as `add` would one after the other.

        Sums run in the order of the answers, so the same answers give the same bits each time.

        Args:
            labels: (N,) their labels, the earliest first.

        Returns:
            System, as `said_by` names them -> (N,) log scores (natural) of each answer, by what
            was said before it came.

        Raises:
            ValueError: There is no such label; nothing is taken in.
        """
        given, classes = np.array(labels, np.int64), len(self.forecast)
        if len(given) and (given.min() < 0 or given.max() >= classes):
            raise ValueError(f"labels: expected none but 0 to {classes - 1}")
        rows, one = np.arange(len(given)), np.eye(classes)[given]
        after = np.cumsum(np.vstack([self.counts, one]), axis=0)  # (N + 1, C)
        same, total = after[rows, given], after[:-1].sum(axis=1)  # (N,) before each answer
        said = (STRENGTHS * self.forecast[given, None] + same[:, None]) / (
            STRENGTHS + total[:, None]
        )  # (N, K)
        logs = np.cumsum(np.vstack([self.log_likelihoods, np.log(said)]), axis=0)  # (N + 1, K)
        known = self._known + logs[:-1]
        weights = np.exp(known - known.max(axis=1, keepdims=True))
        shares = (weights * said).sum(axis=1) / weights.sum(axis=1)
        self.counts, self.log_likelihoods = after[-1], logs[-1]
        return {
            "forecast": np.log(self.forecast[given]),
            "counts": np.log((same + 1) / (total + classes)), "posterior": np.log(shares),
        }  # fmt: skip

    def interval(self, label: int, level: float = 0.8) -> tuple[float, float]:
        """Return the bounds between which a label's share of the crowd lies.

        Args:
            label: The label.
            level: How probable it is that the share lies between them, in (0, 1).
        """
        strengths = STRENGTHS
        a = strengths * self.forecast[label] + self.counts[label]
        b = strengths + self.counts.sum() - a
        logs = (a[:, None] - 1) * np.log(_SHARES) + (b[:, None] - 1) * np.log1p(-_SHARES)
        densities = np.exp(logs - logs.max(axis=1, keepdims=True))
        densities /= densities.sum(axis=1, keepdims=True)
        below = np.cumsum(self.weights() @ densities)
        low, high = np.searchsorted(below, ((1 - level) / 2, (1 + level) / 2))
        return float(_SHARES[low]), float(_SHARES[min(high, len(_SHARES) - 1)])
