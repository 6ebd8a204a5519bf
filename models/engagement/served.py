"""What is served of a pending post: a median and widths, from what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.forecast_schemas import Expected
from models.engagement.conformal import FACTOR_STEPS, Spread
from models.engagement.experts import EXPERTS, MED32
from models.engagement.layout import KNOWN, STEPS, UNKNOWN
from models.engagement.pending import PendingPost
from models.engagement.shrinkage import ShrunkWidths

_KEPT = len(EXPERTS) - 1


@dataclass(frozen=True)
class Served:
    """What was served of a post when it was seen.

    Attributes:
        kept: (6,) floors and model of the judged target, as kept logs.
        widths: For each target the width below the median, the median and the width above it, as
            kept logs and as the model had them.
        factors: For each target and side how much wider was served, in `FACTOR_STEPS`.
    """

    kept: Sequence[int]
    widths: Sequence[Sequence[int]]
    factors: Sequence[int]

    @classmethod
    def of(cls, post: PendingPost, served: NDArray[np.uint16]) -> Served:
        """Return what was served of a post.

        Args:
            post: The post.
            served: (EPOCHS, 2, 6) the factors of its source, for unknown and for known authors.
        """
        asked = post.asked
        widths = [asked[start : start + 3] for start in range(_KEPT, len(asked), 3)]
        return cls(asked[:_KEPT], widths, served[post.epoch, int(post.has(KNOWN))].tolist())

    def modelled(self, target: int) -> Spread:
        """Return the distribution with its widths as the model has them."""
        down, middle, up = self.widths[target]
        return Spread(down / STEPS, middle / STEPS, up / STEPS)

    def spread(self, target: int) -> Spread:
        """Return the distribution as it was served."""
        return Spread(*self._as_served(target))

    def _as_served(
        self, target: int, shrunk: ShrunkWidths | None = None
    ) -> tuple[float, float, float]:
        """Return the width below the median, the median and the width above it, as logs."""
        down, middle, up = self.widths[target]
        if shrunk is not None:
            down, up = (STEPS * width for width in shrunk.shrunk(target, down / STEPS, up / STEPS))
        below, above = self.factors[2 * target : 2 * target + 2]
        whole = STEPS * FACTOR_STEPS
        return down * below / whole, middle / STEPS, up * above / whole

    @cached_property
    def outer(self) -> list[tuple[float, float, float]]:
        """(3, 3) the served quantiles .1, .5 and .9 of each target, as logs."""
        return [_outer(*self._as_served(target)) for target in range(len(self.widths))]

    def five(self) -> list[list[float]]:
        """Return (3, 5) the served quantiles, the inner ones halfway as in `sharpening`."""
        return [_five(*logs) for logs in self.outer]

    def shrunk(self, shrunk: ShrunkWidths) -> list[list[float]]:
        """Return (3, 5) the same with widths shrunk towards what is usual in the source."""
        targets = range(len(self.widths))
        return [_five(*_outer(*self._as_served(target, shrunk))) for target in targets]

    def with_inner(self, inner: Sequence[Sequence[float]]) -> list[list[float]]:
        """Return (3, 5) the served quantiles, given the widths of .25 and .75 as modelled."""
        found: list[list[float]] = []
        for target, (low, middle, high) in enumerate(self.outer):
            below, above = self.factors[2 * target : 2 * target + 2]
            quarter = middle - inner[target][0] * below / FACTOR_STEPS
            three = middle + inner[target][1] * above / FACTOR_STEPS
            found.append([low, min(max(low, quarter), middle), middle, min(three, high), high])
        return found

    def normal(self, post: PendingPost) -> float | None:
        """Return the median likes of the author's last posts, None where none is known."""
        floor = self.kept[MED32]
        if post.judged or not post.has(KNOWN) or floor == UNKNOWN:
            return None
        return round(math.expm1(floor / STEPS), 2)


def _outer(down: float, middle: float, up: float) -> tuple[float, float, float]:
    return max(0.0, middle - down), middle, middle + up


def _five(low: float, middle: float, high: float) -> list[float]:
    return [low, (low + middle) / 2, middle, (middle + high) / 2, high]


def as_expected(logs: Sequence[float]) -> Expected:
    """Return expected counts of logs, to a hundredth."""
    return tuple([round(math.expm1(log), 2) for log in logs])
