"""How right corrected shares are on windows in the tests' own mix, and how often intervals hold.

The sweep of `windows` takes every mix alike; a deployment has one. Shapes: `N` posts, `C` classes.
"""

from typing import Final

import numpy as np

from core.quantification import Correction, corrected_intervals
from evaluation.encoder.bootstrap import Measured
from evaluation.encoder.tables import Row, Section
from evaluation.shares.windows import SEED, SIZES, Labelled

WINDOWS: Final = 200
"""Windows drawn of each size."""


def measure_own_mix(posts: Labelled, correction: Correction, size: int) -> dict[str, list[float]]:
    """Return name -> figure of each class, over windows of `size` posts drawn with replacement.

    `counted` and `corrected` are mean absolute errors of the share, `held` is how many intervals
    hold the true share, `width` is their mean length.
    """
    rng, classes = np.random.default_rng(SEED), len(correction.labels)
    rows: list[list[list[float]]] = []
    for _ in range(WINDOWS):
        window = posts.select(rng.choice(len(posts), size))
        truth = np.bincount(window.truth, minlength=classes) / size
        expected = window.probabilities.sum(0, dtype=np.float64)
        found = corrected_intervals(expected.tolist(), size, correction)
        rows.append(
            [
                np.abs(expected / expected.sum() - truth).tolist(),
                [abs(one.value - true) for one, true in zip(found, truth, strict=True)],
                [float(o.low <= t <= o.high) for o, t in zip(found, truth, strict=True)],
                [one.high - one.low for one in found],
            ]
        )
    mean = np.asarray(rows).mean(0).tolist()
    return dict(zip(("counted", "corrected", "held", "width"), mean, strict=True))


def own_mix_section(head: str, test: Labelled, correction: Correction) -> Section:
    """Return the table of a head: a row for each class and size of window."""
    rows: list[Row] = []
    for size in SIZES:
        found = measure_own_mix(test, correction, size)
        rows.extend(
            Row(
                f"{label}_n{size}",
                f"{label}, {size:,} posts",
                {name: Measured(of[c], of[c], of[c]) for name, of in found.items()},
            )
            for c, label in enumerate(correction.labels)
        )
    columns = {
        "counted": "error as counted", "corrected": "error corrected",
        "held": "intervals that hold", "width": "width of interval",
    }  # fmt: skip
    title = f"{head}: the tests' own mix, {WINDOWS} windows of each size"
    return Section(f"own_mix_{head}", title, columns, rows, (), [])
