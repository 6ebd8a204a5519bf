"""The comparison of variants, losses, scalings and sets: one command, one table.

    python -m models.engagement.training.compare --data ../shared/data --out .groundswell/comparison

A cell is one training; it is kept in a file of its own, and a run that was cut off goes on with the
next. Each is judged on the last fifth of every set that it was trained on, with 95 % intervals by
the bootstrap: over authors, and over days where a set has few of them.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer

from core.errors import ConfigError
from models.engagement.features import Floats
from models.engagement.history import DAY_S
from models.engagement.layout import LEVELS
from models.engagement.training.boosted import LOSSES, BoostedTrees
from models.engagement.training.columns import TrainingColumns, columns_for, columns_of
from models.engagement.training.dataset import MED32, Examples, time_split
from models.engagement.training.figures import figures_of
from models.engagement.training.fit import fit, predicted
from models.engagement.training.sets import SETS
from models.engagement.training.train import load_sets
from models.engagement.training.variants import Variant, variant_of

RESAMPLES: Final = 1_000
FEW_AUTHORS: Final = 20
_TABLE: Final = ("error", "skill", "low", "high", "authors_positive_share", "pinball",
                 "coverage_10_90")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of the comparison."""

    variant: str
    settings: Variant
    sets: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its file."""
        of = self.settings
        return f"{self.variant}-{of.loss}-{of.scaling}-{'+'.join(self.sets)}"


def cells_of(
    variants: str, losses: str, scalings: str, sets: tuple[str, ...], rows: int | None = None
) -> list[Cell]:
    """Return all cells of comma-separated names; those that there cannot be are left out.

    Raises:
        ConfigError: A name is unknown.
    """
    found: list[Cell] = []
    for variant, loss, scaling in itertools.product(
        variants.split(","), losses.split(","), scalings.split(",")
    ):
        settings = msgspec.to_builtins(variant_of(variant)) | {"loss": loss, "scaling": scaling}
        try:
            made = msgspec.convert(settings | ({"rows": rows} if rows else {}), Variant)
        except msgspec.ValidationError as error:
            raise ConfigError(f"cell {variant}, {loss}, {scaling}: {error}") from error
        if made.network == "trees" and loss not in LOSSES:
            _say(f"{variant} has no loss {loss}: left out")
        else:
            found.append(Cell(variant, made, sets))
    return found


def run_cell(cell: Cell, found: Mapping[str, Examples]) -> dict[str, Any]:
    """Train a cell and judge it; returns its record."""
    chosen = {name: found[name] for name in cell.sets}
    splits = {name: time_split(posts) for name, posts in chosen.items()}
    started = time.monotonic()
    masks = {name: split[0] for name, split in splits.items()}
    columns = columns_for(chosen, masks, cell.settings)
    if cell.settings.network == "trees":
        answer: Callable[[TrainingColumns], Floats] = BoostedTrees(columns, cell.settings).predicted
    else:
        network, scale = fit(columns, cell.settings, name=cell.name)
        answer = partial(predicted, network, scale)

    seconds = time.monotonic() - started
    judged = {
        name: posts.select(np.flatnonzero(splits[name][1] & posts.judged()))
        for name, posts in chosen.items()
    }
    return {
        "cell": cell.name,
        "settings": msgspec.to_builtins(cell.settings),
        "trained_posts": len(columns),
        "seconds": round(seconds, 1),
        "sets": {name: judge(test, answer(columns_of(test))) for name, test in judged.items()},
    }


def judge(test: Examples, quantiles: Floats) -> dict[str, float]:
    """Return figures of answers, with the interval of the skill."""
    outcomes = test.outcomes[:, 0].astype(np.float64)
    error = np.abs(outcomes - quantiles[:, 0, LEVELS.index(0.5)])
    floor = np.abs(outcomes - test.seen.floors[:, 0, MED32])
    days = (test.posts.at_s // DAY_S).astype(np.int64)
    authors = test.posts.author
    by = authors if len(np.unique(authors)) >= FEW_AUTHORS else days
    low, high = skill_interval(error, floor, by)
    return figures_of(test, quantiles) | {"low": low, "high": high}


def skill_interval(
    error: np.ndarray, floor: np.ndarray, by: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the skill, whole groups drawn again and again.

    Args:
        error: (N,) errors of the model.
        floor: (N,) errors of the floor.
        by: (N,) the group of each post.
        seed: Of the chance.
    """
    _, group = np.unique(by, return_inverse=True)
    errors, floors = np.bincount(group, error), np.bincount(group, floor)
    drawn = np.random.default_rng(seed).integers(0, len(errors), (RESAMPLES, len(errors)))
    skills = 1 - errors[drawn].sum(axis=1) / np.maximum(floors[drawn].sum(axis=1), 1e-12)
    low, high = np.quantile(skills, (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def table_of(records: list[dict[str, Any]]) -> str:
    """Return records as a Markdown table, a row for each cell and set."""
    lines = [
        f"| variant | loss | scaling | trained on | set | {' | '.join(_TABLE)} | seconds |",
        f"|{'---|' * (len(_TABLE) + 6)}",
    ]
    for record in records:
        variant, loss, scaling, sets = record["cell"].split("-", 3)
        for name, figures in record["sets"].items():
            numbers = " | ".join(f"{figures[column]:.3f}" for column in _TABLE)
            trained = "all" if sets.count("+") + 1 == len(SETS) else sets
            lines.append(
                f"| {variant} | {loss} | {scaling} | {trained} | {name} | {numbers} |"
                f" {record['seconds']:.0f} |"
            )
    return "\n".join(lines) + "\n"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _is_done(cell: Cell, path: Path) -> bool:
    """Whether the record of a cell is there, of a training with the same settings."""
    if not path.is_file():
        return False
    return msgspec.convert(json.loads(path.read_text())["settings"], Variant) == cell.settings


def _run_all(cells: list[Cell], data: Path, out: Path) -> None:
    """Run the cells that are not done yet."""
    missing = [cell for cell in cells if not _is_done(cell, out / f"{cell.name}.json")]
    if not missing:
        return
    found = load_sets(data, missing[0].sets)
    started = time.monotonic()
    for done, cell in enumerate(missing):
        _say(f"cell {done + 1} of {len(missing)} ({len(cells)} in all): {cell.name}")
        record = run_cell(cell, found)
        scratch = out / f"{cell.name}.part"
        scratch.write_text(json.dumps(record, indent=2) + "\n")
        scratch.replace(out / f"{cell.name}.json")
        left_s = (time.monotonic() - started) / (done + 1) * (len(missing) - done - 1)
        skills = {name: figures["skill"] for name, figures in record["sets"].items()}
        _say(f"{cell.name}: {skills} in {record['seconds']} s, {left_s:.0f} s left")


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    out: Annotated[Path, typer.Option(help="Folder of the cells and the table.")],
    variants: Annotated[str, typer.Option(help="Comma-separated.")] = "mlp,gru,transformer,trees",
    losses: Annotated[str, typer.Option(help="Comma-separated.")] = "mae,mse,huber,quantile",
    scalings: Annotated[str, typer.Option(help="Comma-separated.")] = "author,log,robust",
    sets: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(SETS),
    rows: Annotated[int | None, typer.Option(min=1, help="Of a set at most.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Compare variants; cells that are there already are not trained again."""
    if threads:
        torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    try:
        _run_all(cells_of(variants, losses, scalings, tuple(sets.split(",")), rows), data, out)
    except ConfigError as error:
        _say(str(error))
        raise typer.Exit(2) from error
    records = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    (out / "table.md").write_text(table_of(records))
    typer.echo(f"{out / 'table.md'}: {len(records)} cells")


if __name__ == "__main__":
    typer.run(main)
