"""Tables of what replies are worth: 80 columns for people, flat figures for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evaluation.encoder.bootstrap import Measured
from evaluation.responses.floors import FLOORS
from evaluation.responses.judging import JudgedSet

_WIDTH: Final = 80
_PUBLISHED: Final = {"rouge1": "R-1", "rouge2": "R-2", "rougel": "R-L", "bleu4": "B-4"}
_LIFTS: Final = {"lift": "lift R-1", "content_lift": "content", "embedding_lift": "embed"}
_SHARES: Final = {"distinct": "dist", "copy": "copy"}


def flat_figures(found: Sequence[JudgedSet]) -> dict[str, float | None]:
    """Return every figure by `SET.SYSTEM.MEASURE`, its interval by `_low` and `_high`."""
    figures: dict[str, float | None] = {}
    for one in found:
        name = one.threads.name
        figures[f"{name}.posts"] = len(one.threads.test)
        figures |= {f"{name}.removed.{why}": many for why, many in one.threads.removed.items()}
        for system, measures in one.systems.items():
            for measure, measured in measures.items():
                figures |= measured.figures(f"{name}.{system}.{measure}")
    return figures


def seed_rows(found: Sequence[JudgedSet]) -> list[dict[str, Any]]:
    """Return the means of every system each time that it was drawn, as rows of a report."""
    return [
        {"set": one.threads.name, "system": system, "draw": number, **means}
        for one in found
        for system, draws in one.seeds.items()
        for number, means in enumerate(draws)
    ]


def print_all(found: Sequence[JudgedSet]) -> None:
    """Write a table for each set to standard output."""
    if not found:
        return
    console = Console(file=sys.stdout, width=_WIDTH, highlight=False)
    for one in found:
        console.print(_table(one))
    console.print("All × 100, 95 % intervals over posts below. R-1 to B-4 as published: closest of")
    console.print("all replies. Lift: own post's replies minus another post's; content: words that")
    console.print("are not among the 150 most frequent; dist, copy: distinct and copied answers.")
    for system, title in FLOORS.items():
        console.print(f"{system}: {title}")


def _table(one: JudgedSet) -> Table:
    threads = one.threads
    left_out = ", ".join(f"{why} {many}" for why, many in threads.removed.items())
    title = f"{threads.name}: {len(threads.test)} posts judged, {len(threads.train)} learnt from"
    table = Table(
        title=title, caption="\n".join([f"left out: {left_out}", *one.notes]),
        box=SIMPLE_HEAD, padding=0, title_justify="left", caption_justify="left",
    )  # fmt: skip
    table.add_column("system", no_wrap=True)
    for heading in (*_PUBLISHED.values(), *_LIFTS.values(), *_SHARES.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for system, measures in one.systems.items():
        cells = [_value(measures, name, 1) for name in _PUBLISHED]
        cells += [_value(measures, name, 1) + _interval(measures, name) for name in _LIFTS]
        table.add_row(system, *cells, *(_value(measures, name, 0) for name in _SHARES))
    return table


def _value(measures: Mapping[str, Measured], name: str, digits: int) -> str:
    measured = measures.get(name)
    if measured is None or np.isnan(measured.value):
        return "–"
    return f"{100 * measured.value:.{digits}f}"


def _interval(measures: Mapping[str, Measured], name: str) -> str:
    """Return the interval as a line of its own; nothing where there is no figure."""
    measured = measures.get(name)
    if measured is None or np.isnan(measured.value):
        return ""
    return f"\n{100 * measured.low:.1f}…{100 * measured.high:.1f}"
