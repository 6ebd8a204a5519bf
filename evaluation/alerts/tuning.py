"""Thresholds for a budget of false alarms, from streams in which nothing happens.

The streams are judged with no alert ever raised, and the highest score of every excursion that the
gates let pass is noted. Scores are log-likelihood ratios, so their excesses over a high level are
exponential; the tail is fitted above the level that some forty excursions pass, and read off where
it meets the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.settings import ShiftSettings
from stream.shifts.kinds import KINDS, NAMED

SPLIT: Final = {kind.name: kind.budget / sum(one.budget for one in KINDS) for kind in KINDS}
"""Who may use how much of the budget of a query."""
_NEVER: Final = 1e9
_TAIL: Final = 40
_MARGIN: Final = 0.3
"""Nats on top, for the error of the fit: the budget is to be kept, not met on average."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A threshold and what it is expected to do."""

    kind: str
    threshold: float
    per_30_days: float
    excursions: int
    tail: float


def without_alerts(settings: ShiftSettings) -> ShiftSettings:
    """Return settings under which nothing is ever raised."""
    for kind in KINDS:
        settings = kind.with_threshold(settings, _NEVER)
    return settings


def threshold_for(kind: str, peaks: Sequence[float], days: float, budget: float) -> Tuned:
    """Return the threshold that scores of a kind pass `budget` times in 30 days.

    Args:
        kind: of the alerts.
        peaks: highest score of each excursion.
        days: query-days that they were seen in.
        budget: alarms per query and 30 days.
    """
    ordered = np.sort(np.asarray(peaks, dtype=np.float64))[::-1]
    if len(ordered) < 2 or days <= 0:
        return Tuned(kind, NAMED[kind].least_threshold, 0.0, len(ordered), 1.0)
    place = min(_TAIL, len(ordered) - 1)
    level = float(ordered[place])
    tail = max(0.5, float((ordered[:place] - level).mean()))
    rate = 30 * place / days
    threshold = level + tail * float(np.log(max(rate / budget, 1e-9))) + _MARGIN
    threshold = max(NAMED[kind].least_threshold, threshold)
    expected = rate * float(np.exp(-(threshold - level) / tail))
    return Tuned(kind, round(threshold, 2), round(expected, 4), len(ordered), round(tail, 3))


def tuned_settings(settings: ShiftSettings, tuned: Sequence[Tuned]) -> ShiftSettings:
    """Return the settings with the thresholds."""
    for one in tuned:
        settings = NAMED[one.kind].with_threshold(settings, one.threshold)
    return settings


def as_toml(settings: ShiftSettings, budget: float, note: str) -> str:
    """Return a settings file with the thresholds, for `--config`."""
    lines = [
        f"# Thresholds for {budget:g} false alarms per query and 30 days, set by",
        f"# `groundswell tune` on {note}.",
        "[shifts]",
        *(f"{k.setting} = {k.threshold(settings):g}" for k in KINDS if k.setting),
    ]
    if settings.further_thresholds:
        lines.append(f'further_thresholds = "{settings.further_thresholds}"')
    return "\n".join(lines) + "\n"
