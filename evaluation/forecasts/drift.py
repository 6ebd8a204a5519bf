"""What happens to the intervals when all counts triple from a date on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.forecast_settings import ForecastSettings
from evaluation.forecasts.assembling import outcomes_of
from evaluation.forecasts.judging import covered
from evaluation.forecasts.serving import Ask, Say, Scored, serve

FACTOR: Final = 3.0
BLOCK: Final = (250, 750)
"""Which outcomes are judged, counted from the first drifted one."""
_WIDTH: Final = BLOCK[1] - BLOCK[0]


@dataclass(frozen=True, slots=True)
class Drifted:
    """Coverage of the served 10-90 % interval around the date; None where there are too few posts.

    Attributes:
        before: Over as many outcomes as `BLOCK` has, the last ones before the date.
        known: Over outcomes number 250 to 750 to become known, from the first drifted one on. Where
            posts come fast some of their forecasts were made before any drifted outcome was known.
        made: Over forecasts number 250 to 750 made after the first drifted outcome was known.
        raw: The model's own intervals over the posts of `made`.
        blind: How many of the posts of `known` were forecast before any drifted outcome was known.
        blind_told: Of how many all that is told, at the last further age too, is from before that.
    """

    before: float | None
    known: float | None
    made: float | None
    raw: float | None
    blind: int
    blind_told: int


def drift(
    scored: Scored,
    ask: Ask,
    settings: ForecastSettings,
    share: float,
    say: Say = lambda _: None,
    told_until_s: float = 0.0,
) -> Drifted:
    """Serve a set whose counts are three times as many from a date on, and judge the intervals.

    Args:
        scored: The posts of the set.
        ask: The model, which knows nothing of it.
        settings: The settings of the forecaster.
        share: The share of the posts, in order of time, that come before the date.
        say: Told how far it is.
        told_until_s: The age at which a forecast is told for the last time, in seconds.
    """
    order = scored.in_time()
    at_s = scored.posts.at_s
    date_s = float(at_s[order[min(int(len(order) * share), len(order) - 1)]])
    factors = np.where(at_s >= date_s, FACTOR, 1.0)
    logs = np.log1p(np.rint(np.expm1(outcomes_of(scored.posts))) * factors)
    settled = order[~np.isnan(logs[order])]
    after = settled[at_s[settled] >= date_s]
    known_s = float(at_s[after].min(initial=np.inf)) + settings.horizon_s
    known, made = after[slice(*BLOCK)], after[at_s[after] >= known_s][slice(*BLOCK)]
    # What comes after the last post that is judged changes nothing of it.
    judged = made if len(made) == _WIDTH else order
    last = int(np.flatnonzero(order == judged[-1])[0])
    served = serve(scored, ask, settings, rows=order[: last + 1], factors=factors, say=say)
    return Drifted(
        before=_coverage(served.served, logs, settled[at_s[settled] < date_s][-_WIDTH:]),
        known=_coverage(served.served, logs, known),
        made=_coverage(served.served, logs, made),
        raw=_coverage(served.model, logs, made),
        blind=int((at_s[known] < known_s).sum()),
        blind_told=int((at_s[known] + told_until_s < known_s).sum()),
    )


def _coverage(
    quantiles: NDArray[np.float64], logs: NDArray[np.float64], rows: NDArray[np.intp]
) -> float | None:
    """Return the coverage of likes over some posts; None where they are no whole block."""
    return float(covered(logs[rows], quantiles[rows, 0]).mean()) if len(rows) == _WIDTH else None
