"""The judge beside what others do: thresholds from the same quiet streams, the same shifts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from services.backtest.plan import DAY, StreamPlan
from services.backtest.rivals import (
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
from services.backtest.running import Judged
from services.backtest.scoring import tally
from services.backtest.summary import OPINION_SCENARIOS, Streams, cells, point

_RIVER_SHARES: Final = {"ADWIN": 1.0, "Page-Hinkley (river)": 1.0, "KSWIN": 0.25}
"""KSWIN draws and sorts samples at every pane: it runs on a quarter of the streams."""
_EVERY: Final = (60, 360, DAY)


def compare(quiet: Streams, suite: Streams, budget: float) -> dict[str, Any]:
    """Return every rival's point at the budget and its whole curve.

    Args:
        quiet: streams in which nothing happens; each rival gets the least threshold of its grid
            that raises at most `budget` alarms per query and 30 days on them.
        suite: where it is judged; not the same streams.
        budget: false alarms per query and 30 days.
    """
    found: dict[str, Any] = {"never": _never(suite)}
    for panes in _EVERY:
        alarms = [[every(panes, len(judged.mean))] for _, judged in suite]
        found[f"every {panes} minutes"] = _rival(None, alarms, suite, (float(panes),), budget)
    for name, (statistic, thresholds) in STATISTICS.items():
        run = _crossing(statistic, thresholds)
        found[name] = _rival(run(quiet), run(suite), suite, thresholds, budget, quiet)
    found["Page-Hinkley on residuals"] = _page_hinkley(quiet, suite, budget)
    return found


def compare_river(quiet: Streams, suite: Streams, budget: float, streams: int) -> dict[str, Any]:
    """Return the same for river's detectors, on the first `streams`; empty without river."""
    try:
        import river  # noqa: F401  an optional extra
    except ImportError:
        return {}
    found: dict[str, Any] = {}
    for name, grid in RIVER_GRIDS.items():
        most = max(2, round(streams * _RIVER_SHARES[name]))
        steps = [pair for pair in suite if pair[0].scenario == "step"]
        few, many = quiet[:most], [*suite[: most // 2], *steps[: most // 2]]
        before = [[river_alarms(name, at, judged) for at in grid] for _, judged in few]
        after = [[river_alarms(name, at, judged) for at in grid] for _, judged in many]
        found[name] = _rival(before, after, many, grid, budget, few) | {"streams": len(many)}
    return found


def _crossing(
    statistic: Callable[[Judged], Any], thresholds: Sequence[float]
) -> Callable[[Streams], list[Alarms]]:
    def run(streams: Streams) -> list[Alarms]:
        return [crossings(statistic(judged), thresholds) for _, judged in streams]

    return run


def _page_hinkley(quiet: Streams, suite: Streams, budget: float) -> dict[str, Any]:
    """Return the best of the allowances of Page-Hinkley, by its delay at the budget."""
    tried: list[dict[str, Any]] = []
    for delta in PAGE_HINKLEY_DELTAS:
        before = page_hinkley([one for _, one in quiet], delta, PAGE_HINKLEY_THRESHOLDS)
        after = page_hinkley([one for _, one in suite], delta, PAGE_HINKLEY_THRESHOLDS)
        rival = _rival(before, after, suite, PAGE_HINKLEY_THRESHOLDS, budget, quiet)
        tried.append(rival | {"delta": delta})
    kept = [one for one in tried if one["at_budget"]]
    return min(kept or tried, key=lambda one: (one["at_budget"] or {}).get("delay_mean_panes", 1e9))


def _never(suite: Streams) -> dict[str, Any]:
    counted = tally([(plan, judged, []) for plan, judged in suite], OPINION_SCENARIOS)
    return {"threshold": None, "at_budget": point(counted), "curve": []}


def _rival(
    quiet_alarms: Sequence[Alarms] | None, suite_alarms: Sequence[Alarms], suite: Streams,
    thresholds: Sequence[float], budget: float, quiet: Streams = (),
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
