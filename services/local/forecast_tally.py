"""What a run's forecasts came to, for its summary."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core.logs import get_logger
from core.settings import Settings

_log = get_logger(__name__)
_UNKNOWN = "not yet known"


@dataclass(frozen=True, slots=True)
class ForecastTally:
    """Forecasts of a run, over all sources.

    Attributes:
        posts: The posts that were forecast.
        outcomes: The posts of them whose outcome came.
        skill: One less the error over that of the author's median; None if not known yet.
        coverage: The share of outcomes in the interval of 80 %; None if not known yet.
    """

    posts: int
    outcomes: int = 0
    skill: float | None = None
    coverage: float | None = None

    def figures(self) -> dict[str, float]:
        """Return the figures for `--json`, flat; what is not known is left out."""
        known = {"skill": self.skill, "coverage": self.coverage}
        return {
            "forecasts": self.posts,
            "forecast_outcomes": self.outcomes,
            **{f"forecast_{n}": round(v, 4) for n, v in known.items() if v is not None},
        }

    def describe(self) -> str:
        """Return what is behind the number of posts, in words."""
        if not self.outcomes:
            return f"posts; outcomes {_UNKNOWN}"
        return (
            f"posts; {self.outcomes:,} outcome{'s' if self.outcomes > 1 else ''}, "
            f"skill {_number(self.skill)}, coverage {_number(self.coverage)}"
        )


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}"


def tally_forecasts(settings: Settings) -> ForecastTally:
    """Return what is stored of forecasts; what of it cannot be read is said and left out.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    from services.forecaster.showing import read_view  # with numpy: the stack needs none before

    view = asyncio.run(read_view(settings))
    for note in view.notes:
        _log.error("the tally of forecasts leaves something out", reason=note)
    sums = view.over_sources()
    return ForecastTally(view.totals["tracked"], sums.outcomes, sums.skill, sums.coverage)
