"""The published figures of a backtest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from evaluation.alerts.plan import STRENGTHS, VOLUMES, StreamPlan
from evaluation.alerts.running import Judged
from evaluation.alerts.scoring import Outcome, Tally, alarms_of, delay_figures, tally
from stream.shifts.kinds import NAMED as KINDS

Streams = Sequence[tuple[StreamPlan, Judged]]

OPINION_SCENARIOS: Final = ("step", "ramp", "burst")
AT_RATE: Final = (
    "missed_share", "delay_median_panes", "delay_p90_panes", "delay_mean_all_panes",
)  # fmt: skip
"""What is compared at equal rates of false alarms."""


def summarise(streams: Streams) -> dict[str, Any]:
    """Return what the judge did on a suite, by kind, cell and scenario, and the acceptance."""
    opinion = _tally(streams, "opinion", OPINION_SCENARIOS)
    figures: dict[str, Any] = {
        "streams": len(streams),
        "false_alarms": _false_alarms(streams),
        "opinion": {
            "precision": round(opinion.precision, 4),
            **delay_figures([o for o in opinion.outcomes if o.plan.scenario == "step"]),
        },
        "cells": cells(opinion),
        "scenarios": _scenarios(streams),
    }
    figures["acceptance"] = _acceptance(figures, opinion)
    return figures


def _tally(streams: Streams, kind: str, scenarios: Sequence[str]) -> Tally:
    return tally([(plan, one, alarms_of(one, kind)) for plan, one in streams], scenarios)


def _false_alarms(streams: Streams) -> dict[str, Any]:
    found: dict[str, Any] = {}
    total = 0
    days = 0.0
    for kind in KINDS:
        counted = _tally(streams, kind, ())
        found[kind] = counted.false_alarms
        total, days = total + counted.false_alarms, counted.quiet_days
    rate = 30 * total / days if days else float("nan")
    return found | {"quiet_query_days": round(days, 1), "per_query_and_30_days": round(rate, 3)}


def cells(counted: Tally) -> list[dict[str, Any]]:
    """Return delay beside the limit for steps of every strength and volume."""
    rows: list[dict[str, Any]] = []
    for strength in STRENGTHS:
        for volume in VOLUMES:
            inside = [
                outcome
                for outcome in counted.outcomes
                if outcome.plan.scenario == "step"
                and (outcome.plan.volume, outcome.plan.strength) == (volume, strength)
            ]
            if not inside:
                continue
            row = {"strength": strength, "volume": volume, **delay_figures(inside)}
            row["allowed_mean_panes"] = round(1.5 * row["limit_mean_panes"] + 1, 2)
            row["within"] = row["delay_mean_all_panes"] <= row["allowed_mean_panes"]
            rows.append(row)
    return rows


def _inside(streams: Streams, scenario: str, kind: str) -> tuple[int, int]:
    """Return shifts of a scenario, and how many of them raised an alert of a kind."""
    shifts, raised = 0, 0
    for plan, judged in streams:
        if plan.scenario != scenario:
            continue
        alarms = alarms_of(judged, kind)
        shifts += len(plan.shifts)
        raised += sum(any(s.begin <= at < s.end for at in alarms) for s in plan.shifts)
    return shifts, raised


def _scenarios(streams: Streams) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for scenario in ("step", "ramp", "burst", "mix", "volume", "brigading", "bots", "outage"):
        shifts = _inside(streams, scenario, "opinion")[0]
        if not shifts:
            continue
        raised = {kind: _inside(streams, scenario, kind)[1] for kind in KINDS}
        found[scenario] = {"shifts": shifts} | {f"called_{kind}": n for kind, n in raised.items()}
        if scenario in ("ramp", "burst", "mix", "volume"):
            kind = scenario if scenario in ("mix", "volume") else "opinion"
            counted = _tally(streams, kind, (scenario,))
            delays = delay_figures(counted.outcomes)
            if scenario in ("mix", "volume"):
                delays.pop("limit_mean_panes", None)
            found[scenario] |= delays
    return found


def _acceptance(figures: Mapping[str, Any], opinion: Tally) -> dict[str, Any]:
    loud = [
        outcome
        for outcome in opinion.outcomes
        if outcome.plan.scenario == "step"
        and outcome.plan.volume >= 60
        and outcome.plan.strength == 0.15
    ]
    rows: Mapping[str, Any] = figures["scenarios"]

    def share(scenario: str, kind: str) -> float | None:
        row = rows.get(scenario)
        return None if row is None else round(row[f"called_{kind}"] / row["shifts"], 4)

    return {
        "found_of_0.15_at_60_posts_a_minute_and_more": _share_found(loud),
        "cells_within_1.5_limits_and_a_pane": sum(cell["within"] for cell in figures["cells"]),
        "cells": len(figures["cells"]),
        "mix_called_mix": share("mix", "mix"),
        "mix_called_opinion": share("mix", "opinion"),
        "volume_called_opinion": share("volume", "opinion"),
        "brigading_named": share("brigading", "brigading"),
        "brigading_called_opinion": share("brigading", "opinion"),
        "bots_named": share("bots", "brigading"),
        "bots_called_opinion": share("bots", "opinion"),
    }


def _share_found(outcomes: Sequence[Outcome]) -> float | None:
    if not outcomes:
        return None
    return round(sum(outcome.delay is not None for outcome in outcomes) / len(outcomes), 4)


def point(counted: Tally) -> dict[str, float]:
    """Return one point of a curve: false alarms against delay, over all steps."""
    steps = [outcome for outcome in counted.outcomes if outcome.plan.scenario == "step"]
    delays = delay_figures(steps)
    return {
        "false_per_query_and_day": round(counted.false_per_30_days / 30, 4),
        "precision": round(counted.precision, 4),
        **{name: delays[name] for name in delays if name != "shifts"},
    }


def at_rate(curve: Sequence[Mapping[str, Any]], rate: float) -> dict[str, float] | None:
    """Return the delays of a detector where it has `rate` false alarms per query and day.

    Between two points of the curve, which begins with the loosest, in the logarithm of the rate;
    from the strict end, where a looser threshold still means more alarms. None if the curve does
    not come by there.
    """
    for strict, loose in pairwise(reversed(curve)):
        low, high = (row["false_per_query_and_day"] for row in (strict, loose))
        if low <= rate < high:
            # A rate of none is taken for half of the least that can be counted.
            least = max(low, 5e-5)
            span = float(np.log(high / least))
            part = min(1.0, float(np.log(max(rate, least) / least)) / span)
            return {
                name: round(strict[name] + part * (loose[name] - strict[name]), 4)
                for name in AT_RATE
            }
    return None


def finite(value: Any) -> Any:
    """Return a report with None where a number is not finite, as JSON has none."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
