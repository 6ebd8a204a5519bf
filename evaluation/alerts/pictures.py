"""Two pictures of a backtest: delay against false alarms, and delay against the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.drawing import Picture, Points, lines


def delay_picture(report: Mapping[str, Any]) -> Picture:
    """Return median delay against false alarms per query and day, the judge first."""
    series: dict[str, Points] = {"groundswell": _curve(report.get("curve", []))}
    for name, rival in report.get("rivals", {}).items():
        if found := _curve(rival["curve"]):
            series[name] = found
    return lines(
        "Steps of opinion: delay against false alarms",
        "false alarms per query and day",
        "median delay, panes",
        {name: values for name, values in series.items() if values},
        is_log=True,
    )


def limit_picture(report: Mapping[str, Any]) -> Picture:
    """Return mean delay against the limit, one point a cell, beside the limit itself."""
    cells = [
        cell
        for cell in report["suite"]["cells"]
        if cell["limit_mean_panes"] and cell["delay_mean_panes"] is not None
    ]
    ours = [(cell["limit_mean_panes"], cell["delay_mean_panes"]) for cell in cells]
    limits = sorted(x for x, _ in ours)
    return lines(
        "Steps of opinion: mean delay against ln(30 days) / I",
        "limit, panes",
        "mean delay, panes",
        {
            "groundswell": ours,
            "1.5 limits + one pane": [(x, 1.5 * x + 1) for x in limits],
            "limit": [(x, x) for x in limits],
        },
        is_log=True,
    )


def _curve(rows: Sequence[Mapping[str, Any]]) -> Points:
    return [
        (row["false_per_query_and_day"], row["delay_median_panes"])
        for row in rows
        if row.get("delay_median_panes") and row["false_per_query_and_day"] is not None
    ]
