"""Delay, misses, false alarms and precision of alarms against a plan; the physical limit beside.

An alarm inside a shift is its detection (the first one) or a repeat. In the two hours after a shift
an alarm is an echo of its end and counts as neither. Anything else is false. Time that is inside a
shift, an echo or the first day does not count as time in which false alarms can happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.alerts.plan import DAY, RAMP_PANES, Shift, StreamPlan
from evaluation.alerts.running import Judged
from evaluation.alerts.synthetic import SPREAD

ECHO: Final = 120
WARM: Final = DAY
ARL_PANES: Final = 30 * DAY
"""30 days between false alarms: what the limit is stated for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one shift; delays in panes from its beginning, the detecting one included."""

    plan: StreamPlan
    shift: Shift
    delay: int | None
    limit: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Alarms of one detector over some streams."""

    outcomes: tuple[Outcome, ...]
    false_alarms: int
    quiet_days: float

    @property
    def false_per_30_days(self) -> float:
        """Return false alarms per query and 30 days."""
        return 30 * self.false_alarms / self.quiet_days if self.quiet_days else float("nan")

    @property
    def found(self) -> int:
        """Return how many shifts were found."""
        return sum(outcome.delay is not None for outcome in self.outcomes)

    @property
    def precision(self) -> float:
        """Return the share of shifts found among all that was called."""
        called = self.found + self.false_alarms
        return self.found / called if called else float("nan")


def limit_of(plan: StreamPlan, shift: Shift, judged: Judged) -> float:
    """Return Lorden's bound ln(ARL) / I, in panes, for a shift of opinion as it happened.

    I is the divergence of a pane's sum from what it was without the shift; it goes with the posts
    expected, so the bound is where its running sum passes ln(ARL).
    """
    inside = slice(shift.begin, shift.end)
    height = np.full(shift.end - shift.begin, abs(shift.size))
    if plan.scenario == "ramp":
        height *= np.minimum(1.0, np.arange(len(height)) / RAMP_PANES)
    known = np.cumsum(judged.rate[inside] * height**2 / (2 * SPREAD**2))
    needed = float(np.log(ARL_PANES))
    at = int(np.searchsorted(known, needed))
    if at >= len(known):
        return float("inf")
    before = float(known[at - 1]) if at else 0.0
    return at + (needed - before) / float(known[at] - before)


def tally(
    streams: Iterable[tuple[StreamPlan, Judged, Sequence[int]]], scenarios: Sequence[str]
) -> Tally:
    """Return how alarms at panes fared on shifts of `scenarios`; other streams count when quiet.

    Args:
        streams: plan, what was judged, and the panes at whose end there was an alarm.
        scenarios: whose shifts are to be found.
    """
    outcomes: list[Outcome] = []
    false_alarms, quiet = 0, 0
    for plan, judged, alarms in streams:
        taken = np.zeros(len(judged.mean), dtype=np.bool_)
        taken[:WARM] = True
        for shift in plan.shifts:
            taken[shift.begin : shift.end + ECHO] = True
            if plan.scenario in scenarios:
                found = [at for at in alarms if shift.begin <= at < shift.end]
                delay = found[0] + 1 - shift.begin if found else None
                outcomes.append(Outcome(plan, shift, delay, limit_of(plan, shift, judged)))
        false_alarms += sum(not taken[at] for at in alarms)
        quiet += int((~taken).sum())
    return Tally(tuple(outcomes), false_alarms, quiet / DAY)


def alarms_of(judged: Judged, kind: str) -> list[int]:
    """Return the panes at whose end the judge raised alerts of a kind."""
    return [call.pane for call in judged.calls if call.kind == kind]


def delay_figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return median, 90th percentile and mean delay in panes, beside the mean limit.

    A shift that was missed has the delay of its whole length in the quantiles and in
    `delay_mean_all_panes`, none in `delay_mean_panes`.
    """
    if not outcomes:
        return {}
    whole = [float(o.delay or o.shift.end - o.shift.begin) for o in outcomes]
    seen = [float(o.delay) for o in outcomes if o.delay is not None]
    return {
        "shifts": len(outcomes),
        "missed_share": round(1 - len(seen) / len(outcomes), 4),
        "delay_median_panes": round(float(np.median(whole)), 2),
        "delay_p90_panes": round(float(np.quantile(whole, 0.9)), 2),
        "delay_mean_panes": round(float(np.mean(seen)), 2) if seen else float("nan"),
        "delay_mean_all_panes": round(float(np.mean(whole)), 2),
        "limit_mean_panes": round(float(np.mean([o.limit for o in outcomes])), 2),
    }
