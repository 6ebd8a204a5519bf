"""Tables of crowds: 80 columns for people, flat figures for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evaluation.crowds.judging import AFTER, SYSTEMS, JudgedCrowds
from evaluation.encoder.bootstrap import Measured

_WIDTH: Final = 80
_OF_REACTIONS: Final = {
    "": "model",
    "served_": "as served",
    "parent_": "same post",
    "topic_": "topic",
}
_OF_STANCES: Final = {
    "": "model", "thread_": "thread so far", "parent_": "same post so far", "topic_": "topic",
    "majority_": "all",
}  # fmt: skip


def flat_figures(
    found: Sequence[JudgedCrowds],
    others: Mapping[str, Mapping[str, Measured]],
) -> dict[str, float | None]:
    """Return figures by `macro.SET.MEASURE`, and by `NAME.MEASURE` of all others.

    Each has the ends of its interval beside it, by `_low` and `_high`.
    """
    figures: dict[str, float | None] = {}
    for one in found:
        name = f"macro.{one.crowds.name}"
        figures[f"{name}.events"] = len(one.crowds.events)
        figures[f"{name}.strength"] = one.strength
        for measure, measured in one.measures.items():
            figures |= measured.figures(f"{name}.{measure}")
    for name, measures in others.items():
        for measure, measured in measures.items():
            figures |= measured.figures(f"{name}.{measure}")
    return figures


def print_reactions(found: Mapping[str, Measured]) -> None:
    """Write the table of single persons' reactions to standard output."""
    table = Table(
        title="fanchuan: how one person reacts, official test", box=SIMPLE_HEAD, padding=(0, 1),
        caption=f"Another person's history worsens log loss by {found['swap_cost']}",
        title_justify="left", caption_justify="left",
    )  # fmt: skip
    measures = {
        "log_loss": "log loss", "macro_f1": "macro F1", "unseen_log_loss": "log loss, both unseen"
    }  # fmt: skip
    _print_systems(table, found, _OF_REACTIONS, measures)


def print_stances(found: Mapping[str, Measured]) -> None:
    """Write the table of the stance of single replies to standard output."""
    table = Table(
        title="stance of a reply before it is written, RumourEval, official test",
        box=SIMPLE_HEAD, padding=(0, 1), title_justify="left",
    )  # fmt: skip
    measures = {
        "log_loss": "log loss", "macro_f1": "macro F1", "balanced_macro_f1": "macro F1, balanced"
    }  # fmt: skip
    _print_systems(table, found, _OF_STANCES, measures)


def _print_systems(
    table: Table,
    found: Mapping[str, Measured],
    systems: Mapping[str, str],
    measures: Mapping[str, str],
) -> None:
    table.add_column("system")
    for title in measures.values():
        table.add_column(title, justify="right")
    for system, title in systems.items():
        own = (found[f"{system}{one}"] for one in measures)
        table.add_row(title, *(f"{one.value:.3f}\n{one.low:.3f}…{one.high:.3f}" for one in own))
    Console(file=sys.stdout, width=_WIDTH, highlight=False).print(table)


def print_crowds(found: Sequence[JudgedCrowds]) -> None:
    """Write a table for each set to standard output."""
    console = Console(file=sys.stdout, width=_WIDTH, highlight=False)
    for one in found:
        console.print(_table(one))
    console.print("Mean log score of the next five answers, higher is better; 95 % intervals over")
    console.print("events below. Differences are paired.")
    for system, title in SYSTEMS.items():
        console.print(f"{system}: {title}")


def _table(one: JudgedCrowds) -> Table:
    crowds, measures = one.crowds, one.measures
    distances = ", ".join(
        f"{name} {measures[f'js_{name}'].value:.3f}" for name in ("floor", "topic", "global")
    )
    table = Table(
        title=f"{crowds.name}: {len(crowds.events)} events, strength {one.strength:.1f} answers",
        caption=f"Jensen-Shannon distance before the first answer: {distances}",
        box=SIMPLE_HEAD, padding=(0, 1), title_justify="left", caption_justify="left",
    )  # fmt: skip
    table.add_column("system", no_wrap=True)
    for seen in AFTER:
        table.add_column(f"after {seen}", justify="right", no_wrap=True)
    for system in SYSTEMS:
        table.add_row(system, *(_cell(one, f"{system}_n{seen}") for seen in AFTER))
    for system in ("forecast", "counts"):
        names = [f"posterior_minus_{system}_n{seen}" for seen in AFTER]
        table.add_row(f"posterior − {system}", *(_cell(one, name) for name in names))
    return table


def _cell(one: JudgedCrowds, name: str) -> str:
    measured = one.measures.get(name)
    if measured is None:
        return "–"
    return f"{measured.value:.3f}\n{measured.low:.3f}…{measured.high:.3f}"
