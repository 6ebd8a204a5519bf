"""Measure forecasts on recorded posts, beside floors, as the stream would have served them.

python -m evaluation.forecasts --data ../shared/data --sets musk --split time --json forecasts.json
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from core.errors import ConfigError
from core.report import write_report
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED
from evaluation.forecasts.assembling import SPLITS
from evaluation.forecasts.opening import open_way
from evaluation.forecasts.run import Plan, Way, evaluate_sets
from evaluation.forecasts.tables import Found, flat_figures, print_all, rows_by_table
from evaluation.options import DataFolder, JsonFile, Resamples
from models.engagement.training.sets import present_sets

PACKAGES: Final = ("numpy", "openvino", "scikit-learn", "torch")


def chosen_sets(data: Path, sets: str) -> list[str]:
    """Return the sets that are named, comma-separated; all that are there for none.

    Raises:
        ConfigError: One is not there, or there is none at all.
    """
    present = present_sets(data)
    if not present:
        raise ConfigError(f"{data} has no folder engagement_NAME with a file posts.csv.gz")
    named = [name.strip() for name in sets.split(",") if name.strip()] or list(present)
    if missing := [name for name in named if name not in present]:
        raise ConfigError(f"{data} has no set {', '.join(missing)}; it has {', '.join(present)}")
    return list(dict.fromkeys(named))


def main(
    data: DataFolder,
    sets: Annotated[str, typer.Option(help="Comma-separated; else all that are there.")] = "",
    split: Annotated[str, typer.Option(help=f"{', '.join(SPLITS)}.")] = "time",
    fit: Annotated[bool, typer.Option(help="Fit models on DIR; else the shipped one.")] = False,
    model: Annotated[str, typer.Option(help="A shipped model.")] = "engagement",
    variant: Annotated[str, typer.Option(help="What is fitted; else as the shipped one.")] = "",
    left_out: Annotated[str, typer.Option(help="Sets whose model never saw them.")] = "",
    triple_from: Annotated[
        float | None, typer.Option(min=0.05, max=0.95, help="Counts triple from this share on.")
    ] = None,
    json_file: JsonFile = None,
    resamples: Resamples = RESAMPLES,
    cache: Annotated[Path | None, typer.Option(help="Folder of the head scores.")] = None,
) -> None:
    """Measure forecasts of likes on recorded posts."""
    started = time.monotonic()
    with refusing():
        if split not in SPLITS:
            raise ConfigError(f"--split is {', '.join(SPLITS)}, not {split!r}")
        apart = chosen_sets(data, left_out) if left_out else []
        names = apart or chosen_sets(data, sets)
        plan = Plan(data, split, resamples, triple_from, cache, variant)
        way = open_way(plan, model, fit=fit, left_out=apart, say=sys.stderr.write)
        found = evaluate_sets(names, way, plan, sys.stderr.write)
    print_all(found, split)
    for note in way.notes:
        sys.stdout.write(f"{note}\n")
    sys.stderr.write(f"took {time.monotonic() - started:.0f} s\n")
    if json_file is not None:
        _write(json_file, found, plan, way)


def _write(file: Path, found: Sequence[Found], plan: Plan, way: Way) -> None:
    settings = {
        "sets": [one.name for one in found],
        "split": plan.split,
        "triple_from": plan.triple_from,
        "horizon_s": plan.settings.horizon_s,
        "bootstrap_resamples": plan.resamples,
        **way.settings,
    }
    notes = [f"{one.name}: {note}" for one in found for note in one.notes]
    write_report(
        file, "models evaluate", flat_figures(found), settings=settings, packages=PACKAGES,
        seed=SEED, tables=rows_by_table(found), notes=[*notes, *way.notes],
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
