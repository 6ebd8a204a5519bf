"""The judge beside what others do: thresholds from the same quiet streams, the same shifts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from evaluation.alerts.plan import DAY, StreamPlan
from evaluation.alerts.rivals import (
    PAGE_HINKLEY_DELTAS,
    PAGE_HINKLEY_THRESHOLDS,
    RIVER_GRIDS,
    STATISTICS,
    Alarms,
    crossings,
    every,
    page_hinkley,
    river_alarms,
)
from evaluation.alerts.running import Judged
from evaluation.alerts.scoring import tally
from evaluation.alerts.summary import OPINION_SCENARIOS, Streams, at_rate, cells, point

_EVERY: Final = (60, 360, DAY, 30 * DAY)


def compare(quiet: Streams, suite: Streams, budget: float, rate: float) -> dict[str, Any]:
    """Return every rival's point at the budget, at our rate of false alarms, and its whole curve.

    Args:
        quiet: streams in which nothing happens; each rival gets the least threshold of its grid
            that raises at most `budget` alarms per query and 30 days on them.
        suite: where it is judged; not the same streams.
        budget: false alarms per query and 30 days.
        rate: false alarms per query and day of the judge on `suite`.
    """
    found: dict[str, Any] = {"never": _never(suite)}
    for panes in _EVERY:
        alarms = [[every(panes, len(one.mean), at)] for at, (_, one) in enumerate(suite)]
        rival = _rival(None, alarms, suite, (float(panes),))
        if 30 * DAY / panes <= budget:
            rival |= {"threshold": panes, "at_budget": rival["curve"][0]}
        found[f"every {panes} minutes"] = rival
    for name, (statistic, thresholds) in STATISTICS.items():
        run = _crossing(statistic, thresholds)
        found[name] = _rival(run(quiet), run(suite), suite, thresholds, budget, quiet)
    found["Page-Hinkley on residuals"] = _page_hinkley(quiet, suite, budget, rate)
    return {name: rival | _at_rate(rival, rate) for name, rival in found.items()}


def compare_river(
    quiet: Streams, suite: Streams, budget: float, rate: float, streams: int
) -> dict[str, Any]:
    """Return the same for river's detectors; empty without river.

    KSWIN, which draws and sorts samples at every pane, runs on `streams` quiet streams and as many
    of the suite, half of them steps.
    """
    try:
        import river  # noqa: F401  an optional extra
    except ImportError:
        return {}
    found: dict[str, Any] = {}
    for name, grid in RIVER_GRIDS.items():
        few, many = quiet, suite
        if name == "KSWIN":
            steps = [pair for pair in suite if pair[0].scenario == "step"]
            half = max(1, streams // 2)
            few, many = quiet[:streams], [*suite[:half], *steps[-half:]]
        before = [[river_alarms(name, at, judged) for at in grid] for _, judged in few]
        after = [[river_alarms(name, at, judged) for at in grid] for _, judged in many]
        rival = _rival(before, after, many, grid, budget, few) | {"streams": len(many)}
        found[name] = rival | _at_rate(rival, rate)
    return found


def _at_rate(rival: dict[str, Any], rate: float) -> dict[str, Any]:
    return {"at_our_rate": at_rate(rival["curve"], rate)}


def _crossing(
    statistic: Callable[[Judged], Any], thresholds: Sequence[float]
) -> Callable[[Streams], list[Alarms]]:
    def run(streams: Streams) -> list[Alarms]:
        return [crossings(statistic(judged), thresholds) for _, judged in streams]

    return run


def _page_hinkley(quiet: Streams, suite: Streams, budget: float, rate: float) -> dict[str, Any]:
    """Return the best of the allowances of Page-Hinkley, by its delay at our rate."""
    tried: list[dict[str, Any]] = []
    for delta in PAGE_HINKLEY_DELTAS:
        before = page_hinkley([one for _, one in quiet], delta, PAGE_HINKLEY_THRESHOLDS)
        after = page_hinkley([one for _, one in suite], delta, PAGE_HINKLEY_THRESHOLDS)
        rival = _rival(before, after, suite, PAGE_HINKLEY_THRESHOLDS, budget, quiet)
        tried.append(rival | {"delta": delta} | _at_rate(rival, rate))

    def delay(one: dict[str, Any]) -> float:
        return (one["at_our_rate"] or {}).get("delay_mean_all_panes", 1e9)

    others = [{"delta": one["delta"], "at_our_rate": one["at_our_rate"]} for one in tried]
    return min(tried, key=delay) | {"deltas": others}


def _never(suite: Streams) -> dict[str, Any]:
    counted = tally([(plan, judged, []) for plan, judged in suite], OPINION_SCENARIOS)
    return {"threshold": None, "at_budget": point(counted), "curve": []}


def _rival(
    quiet_alarms: Sequence[Alarms] | None, suite_alarms: Sequence[Alarms], suite: Streams,
    thresholds: Sequence[float], budget: float = 0.0, quiet: Streams = (),
) -> dict[str, Any]:  # fmt: skip
    places = range(len(thresholds))
    counted = [tally(_with(suite, suite_alarms, place), OPINION_SCENARIOS) for place in places]
    curve = [
        {"threshold": round(thresholds[place], 6), **point(counted[place])} for place in places
    ]
    chosen: int | None = None
    if quiet_alarms is not None:
        for place in places:
            false = tally(_with(quiet, quiet_alarms, place), ()).false_per_30_days
            if false <= budget:
                chosen = place
                break
    if chosen is None:
        return {"threshold": None, "at_budget": None, "curve": curve}
    return {
        "threshold": thresholds[chosen],
        "at_budget": point(counted[chosen]),
        "cells": cells(counted[chosen]),
        "curve": curve,
    }


def _with(
    streams: Streams, alarms: Sequence[Alarms], place: int
) -> Iterable[tuple[StreamPlan, Judged, Sequence[int]]]:
    return [
        (plan, judged, found[place]) for (plan, judged), found in zip(streams, alarms, strict=True)
    ]
