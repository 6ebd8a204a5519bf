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
from msgspec.structs import replace

from core.settings import ShiftSettings

SPLIT: Final = {"opinion": 0.60, "mix": 0.15, "volume": 0.20, "brigading": 0.05}
"""Who may use how much of the budget of a query."""
_NEVER: Final = 1e9
_TAIL: Final = 40
_LEAST: Final = {"opinion": 7.0, "mix": 7.0, "volume": 7.0, "brigading": 10.0}
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
    return replace(
        settings,
        opinion_threshold=_NEVER,
        mix_threshold=_NEVER,
        volume_threshold=_NEVER,
        brigading_threshold=_NEVER,
    )


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
        return Tuned(kind, _LEAST[kind], 0.0, len(ordered), 1.0)
    place = min(_TAIL, len(ordered) - 1)
    level = float(ordered[place])
    tail = max(0.5, float((ordered[:place] - level).mean()))
    rate = 30 * place / days
    threshold = level + tail * float(np.log(max(rate / budget, 1e-9))) + _MARGIN
    threshold = max(_LEAST[kind], threshold)
    expected = rate * float(np.exp(-(threshold - level) / tail))
    return Tuned(kind, round(threshold, 2), round(expected, 4), len(ordered), round(tail, 3))


def tuned_settings(settings: ShiftSettings, tuned: Sequence[Tuned]) -> ShiftSettings:
    """Return the settings with the thresholds."""
    return replace(settings, **{f"{one.kind}_threshold": one.threshold for one in tuned})


def as_toml(settings: ShiftSettings, budget: float, note: str) -> str:
    """Return a settings file with the thresholds, for `--config`."""
    lines = [
        f"# Thresholds for {budget:g} false alarms per query and 30 days, set by",
        f"# `groundswell tune` on {note}.",
        "[shifts]",
        *(f"{kind}_threshold = {getattr(settings, f'{kind}_threshold'):g}" for kind in SPLIT),
    ]
    return "\n".join(lines) + "\n"
