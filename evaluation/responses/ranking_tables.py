"""Tables of how well leading replies are found: 80 columns for people, figures for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evaluation.encoder.bootstrap import Measured
from evaluation.responses.ranking import RANKINGS, SNAPSHOTS_S

_WIDTH: Final = 80


@dataclass(frozen=True, slots=True)
class RankedSet:
    """What was found of a set of events.

    Attributes:
        name: Its name.
        events: The number of its events.
        by_curve: Curve of the simulated likes -> `HOURSh.RANKING.MEASURE` -> figure.
    """

    name: str
    events: int
    by_curve: Mapping[str, Mapping[str, Measured]]


def ranking_figures(found: Sequence[RankedSet]) -> dict[str, float | None]:
    """Return every figure by `SET.ranking.CURVE.HOURSh.RANKING.MEASURE`, and its interval."""
    figures: dict[str, float | None] = {}
    for one in found:
        figures[f"{one.name}.ranking.events"] = one.events
        for curve, measures in one.by_curve.items():
            for measure, measured in measures.items():
                figures |= measured.figures(f"{one.name}.ranking.{curve}.{measure}")
    return figures


def print_rankings(found: Sequence[RankedSet]) -> None:
    """Write a table for each set and curve to standard output."""
    console = Console(file=sys.stdout, width=_WIDTH, highlight=False)
    hours = [f"{snapshot / 3600:.0f}h" for snapshot in SNAPSHOTS_S]
    for one in found:
        for curve, measures in one.by_curve.items():
            table = Table(
                title=f"{one.name}: {one.events} events ranked, likes arrive {curve} (simulated)",
                box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left",
            )  # fmt: skip
            table.add_column("ranking", no_wrap=True)
            for hour in hours:
                table.add_column(f"NDCG@5 {hour}", justify="right")
                table.add_column(f"Spearman {hour}", justify="right")
            for ranking in RANKINGS:
                cells = [
                    _cell(measures[f"{hour}.{ranking}.{measure}"])
                    for hour in hours
                    for measure in ("ndcg5", "spearman")
                ]
                table.add_row(ranking, *cells)
            console.print(table)
    if found:
        console.print("; ".join(f"{ranking}: {title}" for ranking, title in RANKINGS.items()))


def _cell(measured: Measured) -> str:
    if measured.value != measured.value:  # NaN: it has no ranks
        return "–"
    return f"{measured.value:.3f}\n{measured.low:.3f}…{measured.high:.3f}"
