"""Tables of what forecasts are worth: 80 columns for people, rows and flat figures for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evaluation.encoder.bootstrap import Measured
from evaluation.forecasts.drift import Drifted
from evaluation.forecasts.floors import FLOORS
from evaluation.forecasts.judging import SERVED, TITLES, TREES, Judged

_WIDTH: Final = 80
PREDICTORS: Final = FLOORS | TITLES


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a set.

    Attributes:
        name: The name of the set.
        judged: The judged posts.
        figures: Measure -> its figure and interval.
        targets: Target beside likes -> skill over its floor.
        drifted: Coverage after all counts tripled; None where it was not asked for.
        notes: Sentences for people.
    """

    name: str
    judged: Judged
    figures: Mapping[str, Measured]
    targets: Mapping[str, Measured] = field(default_factory=dict[str, Measured])
    drifted: Drifted | None = None
    notes: Sequence[str] = ()

    def error(self, predictor: str) -> float:
        """Return the mean error of a predictor, in logs; NaN of no post or no such predictor."""
        if predictor not in self.judged.points or not len(self.judged):
            return np.nan
        return float(self.judged.errors(predictor).mean())


def flat_figures(found: Sequence[Found]) -> dict[str, float | None]:
    """Return every figure by `SET.MEASURE`, the ends of its interval by `_low` and `_high`."""
    figures: dict[str, float | None] = {}
    for one in found:
        figures[f"{one.name}.posts"] = len(one.judged)
        for measure, measured in one.figures.items():
            figures |= measured.figures(f"{one.name}.{measure}")
        for target, measured in one.targets.items():
            figures |= measured.figures(f"{one.name}.{target}_skill_med32")
        for predictor in PREDICTORS:
            figures[f"{one.name}.error_{predictor}"] = one.error(predictor)
        if one.drifted is not None:
            figures |= {
                f"{one.name}.tripled_coverage": one.drifted.known,
                f"{one.name}.tripled_coverage_made_after": one.drifted.made,
                f"{one.name}.tripled_coverage_before": one.drifted.before,
                f"{one.name}.tripled_coverage_raw": one.drifted.raw,
                f"{one.name}.tripled_blind": one.drifted.blind,
                f"{one.name}.tripled_blind_told": one.drifted.blind_told,
            }
    return figures


def rows_by_table(found: Sequence[Found]) -> dict[str, list[dict[str, Any]]]:
    """Return the error of every predictor and the figures of every set, as rows of a report."""
    errors = [
        {"predictor": name, "title": title} | {one.name: one.error(name) for one in found}
        for name, title in PREDICTORS.items()
    ]
    sets = [
        {"set": one.name, "posts": len(one.judged)}
        | {
            measure: {"value": of.value, "low": of.low, "high": of.high}
            for measure, of in one.figures.items()
        }
        for one in found
    ]
    return {"errors": errors, "sets": sets}


def print_all(found: Sequence[Found], split: str) -> None:
    """Print every table on standard output."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for table in tables_of(found, split):
        console.print(table)
        console.print()
    for note in (f"{one.name}: {note}" for one in found for note in one.notes):
        console.print(note, highlight=False, markup=False)


def tables_of(found: Sequence[Found], split: str) -> list[Table]:
    """Return the tables."""
    made = [
        _errors(found, split),
        _measures(
            found, "Skill", {"skill_med32": "over median of 32", "skill_30d": "over 30 days"}
        ),
        _measures(
            found,
            "Authors, order and intervals",
            {
                "authors_positive_share": "authors gaining",
                "spearman": "rank corr.",
                "coverage_10_90": "in 10-90 %",
            },
        ),
        _measures(
            found,
            "Loss of what is served over that of the floor",
            {"never_worse": "error", "pinball_ratio": "pinball", "brier_ratio": "Brier, any"},
        ),
    ]
    if any(one.targets for one in found):
        made.append(_targets(found))
    if any(one.drifted for one in found):
        made.append(_drift(found))
    return made


def _errors(found: Sequence[Found], split: str) -> Table:
    title = f"Mean |log error| of likes, split {split}"
    table = _table(title, "predictor", [one.name for one in found])
    for name, words in PREDICTORS.items():
        style = "bold" if name == SERVED else None
        if name == TREES:
            table.add_section()
        table.add_row(words, *(plain(one.error(name)) for one in found), style=style)
    return table


def _measures(found: Sequence[Found], title: str, columns: Mapping[str, str]) -> Table:
    table = _table(title, "set", ["posts", *columns.values()])
    for one in found:
        cells = [short(one.figures[name]) if name in one.figures else "-" for name in columns]
        table.add_row(one.name, f"{len(one.judged):,}", *cells)
    return table


def _targets(found: Sequence[Found]) -> Table:
    names = list(dict.fromkeys(name for one in found for name in one.targets))
    table = _table("Skill over median of 32, other counts", "set", names)
    for one in found:
        cells = [short(one.targets[name]) if name in one.targets else "" for name in names]
        table.add_row(one.name, *cells)
    return table


def _drift(found: Sequence[Found]) -> Table:
    columns = [
        "before",
        "known 250-750",
        "blind",
        "told blind",
        "made 250-750",
        "model alone",
    ]
    table = _table("Coverage of 10-90 % once all counts triple", "set", columns)
    for one in found:
        if (of := one.drifted) is not None:
            cells = [
                plain(of.before),
                plain(of.known),
                str(of.blind),
                str(of.blind_told),
                plain(of.made),
                plain(of.raw),
            ]
            table.add_row(one.name, *cells)
    return table


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def plain(value: float | None) -> str:
    """Return a figure with three places, a dash where there is none."""
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"


def short(measured: Measured) -> str:
    """Return a figure and its interval in few columns."""
    if np.isnan(measured.value):
        return "-"
    if measured.low == measured.high:
        return f"{measured.value:.3f}"
    return f"{measured.value:.3f} [{measured.low:.3f} {measured.high:.3f}]"
