"""``groundswell models early-counts``: what the counts of the first minutes add to a forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from core.report import write_report
from evaluation.encoder.bootstrap import RESAMPLES, Measured
from evaluation.forecasts.early import AGES_S, BOTH, WAYS, measured, scores
from evaluation.forecasts.ignitions import simulate
from evaluation.forecasts.lives import PLATFORMS, made_up, rumoureval
from evaluation.options import JsonFile, Resamples

_POSTS: Final = 1_200
_DATA: Final = Path("../shared/data")


def early_counts(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = _DATA,
    json: JsonFile = None,
    resamples: Resamples = RESAMPLES,
    hours: Annotated[int, typer.Option(min=1, help="Of made-up posts with ignitions.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the made-up posts.")] = 1,
) -> None:
    """Score forecast, counts and both on what is still to come, and find made-up ignitions.

    Example: groundswell models early-counts --data ../shared/data --json early.json
    """
    sets = {f"rumoureval_{platform}": rumoureval(data, platform) for platform in PLATFORMS}
    sets["made_up"] = made_up(_POSTS, seed)
    figures: dict[str, float | None] = {}
    for name, lives in sets.items():
        found = measured(scores(lives), resamples)
        _show(f"{name}, {len(lives.finals)} posts", found)
        figures[f"{name}.posts"] = len(lives.finals)
        for figure, value in found.items():
            figures |= value.figures(f"{name}.{figure}")
    taking_off = simulate(hours, seed).figures()
    Console().print("taking off", taking_off)
    figures |= {f"taking_off.{name}": value for name, value in taking_off.items()}
    if json is not None:
        settings = {"data": data, "resamples": resamples, "hours": hours}
        write_report(json, "models early-counts", figures, settings=settings, seed=seed)


def _show(title: str, found: dict[str, Measured]) -> None:
    table = Table(title=f"log score of what is still to come: {title}")
    for column in ("", *(f"{age_s // 60} min" for age_s in AGES_S)):
        table.add_column(column)
    for way in WAYS:
        table.add_row(way, *(str(found[f"{way}.{age_s // 60}min"]) for age_s in AGES_S))
    for way in (way for way in WAYS if way != BOTH):
        gains = (str(found[f"gain_over_{way}.{age_s // 60}min"]) for age_s in AGES_S)
        table.add_row(f"both better than {way} by", *gains)
    Console(width=120).print(table)
