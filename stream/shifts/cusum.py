"""A bank of two-sided CUSUMs with one threshold: log-likelihood ratios of several shifts at once.

Page (1954); the bank after Lorden & Eisenberger (1973): a CUSUM made for the right size of shift is
optimal in Lorden's sense, and a few sizes cover all in between. Every score is a log-likelihood
ratio in nats, so one threshold serves them all.

The design shift of a component is so many standard errors of the pane at hand, but never less than
the smallest change worth an alert and the doubt about the baseline itself: below half of it a score
drifts down. A baseline that is off by less than that raises nothing however many posts there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.shifts.columns import Flags, Floats, Rows
from stream.shifts.layout import Chart

MAX_ERRORS: Final = 10.0
"""One pane counts as at most so many standard errors: it may raise an alert, not bury a day."""
SCORE_CAP: Final = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a chart is told of a pane; all (Q,).

    Attributes:
        residual: observed less expected.
        error: its standard error, > 0 where `valid`.
        least: smallest design shift.
        valid: rows that have a reading; the others stay as they are.
    """

    residual: Floats
    error: Floats
    least: Floats
    valid: Flags


def step(
    chart: Rows,
    reading: Reading,
    designs: tuple[float, ...],
    starts_s: NDArray[np.int64],
    sums: Floats,
    strata: NDArray[np.float32] | None = None,
) -> None:
    """Move a chart one pane on, in place.

    Args:
        chart: (Q,) records with `score`, `onset`, `sums` and perhaps `strata`.
        reading: what is charted.
        designs: (K,) shifts, in standard errors.
        starts_s: (Q,) start of the pane.
        sums: (Q, len(SUMS)) what a pane adds to the sums since onset.
        strata: (Q, 3, S) what it adds per stratum.
    """
    error = np.where(reading.valid, reading.error, 1.0)[:, None]
    design = np.maximum(np.asarray(designs) * error, reading.least[:, None])
    limit = MAX_ERRORS * error[:, 0]
    residual = np.clip(reading.residual, -limit, limit)[:, None]
    drift, push = design * design / 2, design * residual
    gain = np.stack([push - drift, -push - drift], axis=2) / (error * error)[:, :, None]
    advance(chart, gain, reading.valid, starts_s, sums, strata)


def advance(
    chart: Rows,
    gain: Floats,
    valid: Flags,
    starts_s: NDArray[np.int64],
    sums: Floats,
    strata: NDArray[np.float32] | None = None,
) -> None:
    """Add `gain` (Q, K, 2), a log-likelihood ratio, to the scores of the valid rows, in place."""
    bank = Chart(chart)
    before = bank.score
    after = np.minimum(np.maximum(before + gain, 0.0), SCORE_CAP)
    moved = valid[:, None, None]
    after = np.where(moved, after, before)
    begins = moved & (before <= 0)
    np.copyto(bank.onset, starts_s[:, None, None], where=begins)
    bank.score = after
    total = bank.sums
    total += (sums * valid[:, None])[:, None, None, :]
    rests = moved & (after <= 0)
    total[rests] = 0
    if strata is not None:
        parts = bank.strata
        parts += (strata * valid[:, None, None])[:, None, None]
        parts[rests] = 0


def clear(chart: Rows, rows: Flags) -> None:
    """Start the charts of `rows` again, in place."""
    for name in chart.dtype.names or ():
        chart[name][rows] = 0
