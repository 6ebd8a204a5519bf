"""``groundswell backtest`` and ``groundswell tune``: how good alerts are, and how that is set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.report import write_report
from evaluation.alerts import run as running
from evaluation.alerts.pictures import delay_picture, limit_picture
from evaluation.alerts.recorded import crowds_of, read_windows
from evaluation.alerts.run import SUITE_SEED, BacktestOptions, run_backtest
from evaluation.alerts.tuning import Tuned, as_toml
from evaluation.drawing import check_can_draw
from evaluation.options import JsonFile
from services.cli.settings import load_settings

PlotFolder = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Draw delay.svg and limit.svg into this folder."),
]
LabelledData = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", envvar="GROUNDSWELL_DATA", help="Also replay the labelled streams."
    ),
]
ModelScores = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Judge them by the model, too: of evaluation.alerts.model_scores."
    ),
]


def backtest(
    streams: Annotated[int, typer.Option(min=1, help="Streams of the suite, 14 days each.")] = 200,
    json_file: JsonFile = None,
    plot: PlotFolder = None,
    rivals: Annotated[
        int, typer.Option(min=0, help="Quiet streams that other detectors are set on; 0: none.")
    ] = 32,
    curve: Annotated[
        int, typer.Option(min=0, help="Streams that the curve is made of; 0: no curve.")
    ] = 30,
    data: LabelledData = None,
    model_scores: ModelScores = None,
    river: Annotated[
        int, typer.Option(min=0, help="Streams that river's KSWIN runs on; 0: no river.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Of the suite.")] = SUITE_SEED,
    processes: Annotated[int, typer.Option(min=0, help="0: one a core.")] = 0,
) -> None:
    """Judge streams with known shifts and say how late, how often wrong, and beside whom.

    The streams are invented: docs/shifts.md. The code that judges them is the closer's.

    Exit status: 0 done, 2 wrong use.

    Example: groundswell backtest --streams 20 --rivals 0 --curve 0
    """
    options = BacktestOptions(
        streams, rivals, curve, data, model_scores, seed, processes, river_streams=river
    )
    if plot is not None:
        check_can_draw()
    report = run_backtest(load_settings().shifts, options)
    if json_file is not None:
        write_backtest(json_file, report, seed)
    if plot is not None:
        delay_picture(report).write(plot / "delay.svg")
        limit_picture(report).write(plot / "limit.svg")
    _show(report)


def write_backtest(file: Path, report: Mapping[str, Any], seed: int) -> None:
    """Write what a backtest returned: numbers by their path, such as `suite.opinion.precision`."""
    found = {name: value for name, value in report.items() if name != "settings"}
    figures: dict[str, float | None] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    _flatten(found, "", figures, tables, notes)
    write_report(
        file, "backtest", figures, settings=report["settings"], packages=("numpy", "river"),
        seed=seed, tables=tables, notes=notes,
    )  # fmt: skip


def _flatten(
    value: Any,
    path: str,
    figures: dict[str, float | None],
    tables: dict[str, list[dict[str, Any]]],
    notes: list[str],
) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _flatten(inner, f"{path}.{name}" if path else str(name), figures, tables, notes)
    elif isinstance(value, list):
        tables[path] = [row if isinstance(row, dict) else {"value": row} for row in value]
    elif isinstance(value, str):
        notes.append(f"{path}: {value}")
    else:
        figures[path] = None if value is None else float(value)


def tune(
    windows: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Recorded windows, JSON lines (groundswell windows dump); else synthetic streams.",
        ),
    ] = None,
    budget: Annotated[
        float, typer.Option(min=0.001, help="False alarms per query and 30 days.")
    ] = 1.0,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a settings file here.")
    ] = None,
    streams: Annotated[int, typer.Option(min=4, help="Synthetic streams, if they are used.")] = 64,
    processes: Annotated[int, typer.Option(min=0, help="0: one a core.")] = 0,
) -> None:
    """Set thresholds for a budget of false alarms from a stream in which little happened.

    Exit status: 0 done, 2 wrong use.

    Example: groundswell tune --windows windows.jsonl --output configs/shifts.toml
    """
    settings = load_settings().shifts
    if windows is None:
        tuned, rows = running.tune_on_synthetic(settings, budget, streams, processes)
        note = f"{streams} synthetic streams of 14 days"
    else:
        crowds = crowds_of(read_windows(windows))
        tuned, rows = running.tune_on_windows(settings, budget, crowds)
        note = f"{len(crowds)} recorded queries"
    text = as_toml(tuned, budget, note)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
    _show_tuned(rows)


def _show_tuned(rows: list[Tuned]) -> None:
    table = Table("kind", "threshold (nats)", "expected per 30 days", "excursions", "tail")
    for one in rows:
        table.add_row(
            one.kind, f"{one.threshold:g}", f"{one.per_30_days:g}", str(one.excursions),
            f"{one.tail:g}",
        )  # fmt: skip
    Console(stderr=True).print(table)


def _show(report: dict[str, Any]) -> None:
    console = Console(width=max(100, os.get_terminal_size(2).columns) if _terminal() else 100)
    suite = report["suite"]
    table = Table("strength", "posts/min", "shifts", "missed", "mean", "p90", "limit", "allowed")
    for cell in suite["cells"]:
        table.add_row(
            *(
                f"{cell[name]:g}" if cell[name] is not None else "-"
                for name in (
                    "strength", "volume", "shifts", "missed_share", "delay_mean_panes",
                    "delay_p90_panes", "limit_mean_panes", "allowed_mean_panes",
                )
            )
        )  # fmt: skip
    console.print(table)
    for name, value in suite["acceptance"].items():
        console.print(f"{name.replace('_', ' ')}: {value}")
    false = suite["false_alarms"]
    console.print(f"false alarms per query and 30 days: {false['per_query_and_30_days']}")
    if report.get("rivals"):
        _show_rivals(console, report)


def _show_rivals(console: Console, report: dict[str, Any]) -> None:
    table = Table("detector", "false a day", "missed", "median", "p90", "precision")
    rows = {"groundswell": report["judge_at_budget"]} | {
        name: rival["at_budget"] for name, rival in report["rivals"].items()
    }
    for name, row in rows.items():
        if row is None:
            table.add_row(name, *["never within the budget"], *["-"] * 4)
            continue
        table.add_row(
            name,
            *(
                "-" if row[key] is None else f"{row[key]:g}"
                for key in (
                    "false_per_query_and_day", "missed_share", "delay_median_panes",
                    "delay_p90_panes", "precision",
                )
            ),
        )  # fmt: skip
    console.print(table)


def _terminal() -> bool:
    return os.isatty(2)
