"""Figures with their 95 % intervals: posts drawn again with replacement, seeded.

Shapes: `N` posts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1_000
SEED: Final = 20171

Rows = NDArray[np.integer[Any]]
Measure = Callable[[Rows], Mapping[str, float]]
"""Row numbers (N,), repeats allowed, to measures by name: the same names every time."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def figures(self, name: str) -> dict[str, float]:
        """Return the figure and the ends of its interval, by name."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    measure: Measure, posts: int, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Measured]:
    """Return every measure on all posts, with percentile intervals over resampled posts.

    A measure that is undefined on a resample (NaN: a class did not occur) is left out of the
    interval there.
    """
    whole = measure(np.arange(posts))
    rng = np.random.default_rng(seed)
    drawn = [measure(rng.integers(0, posts, posts)) for _ in range(resamples)]
    found: dict[str, Measured] = {}
    for name, value in whole.items():
        values = np.array([sample[name] for sample in drawn])
        if np.isnan(values).all():
            found[name] = Measured(value, value, value)
        else:
            found[name] = Measured(value, *np.nanpercentile(values, (2.5, 97.5)).tolist())
    return found
