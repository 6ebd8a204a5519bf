"""Choose how much of its distance to the author's median a served point keeps.

    python -m models.engagement.training.shrinking --data ../shared/data

A variant is fitted on the first three fifths of the sets and asked about the fourth; the last fifth
has no say. Considered are the shares at which as many authors gain as was asked for, or as near to
that as any comes. Chosen of these is the least whose skill, in the mean over `PROMISED`, is within
one standard error of the best: the rule by which ridge, lasso and trees are pruned.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer

from core.errors import ConfigError
from models.engagement.training.columns import columns_for, columns_of
from models.engagement.training.compare import judge
from models.engagement.training.dataset import Examples, validation_split
from models.engagement.training.fit import fit, predicted
from models.engagement.training.sets import SETS
from models.engagement.training.train import load_sets
from models.engagement.training.variants import Variant, variant_of

PROMISED: Final = ("congress", "leaders", "accounts", "musk", "facebook")
LEAST_AUTHORS: Final = {"congress": 0.9, "leaders": 0.9, "accounts": 0.72}
"""The shares of authors with a skill above zero that were asked for."""
SHARES: Final = tuple(round(0.5 + 0.05 * step, 2) for step in range(11))
_ERRORS_WIDE: Final = 2 * 1.96
"""So many standard errors a 95 % interval is wide."""

Figures = Mapping[str, Mapping[str, float]]
"""Set -> what `judge` found of it."""


def shrinkages(found: Mapping[str, Examples], variant: Variant) -> dict[float, Figures]:
    """Return share -> figures on the fourth fifth of each set, of a model of the first three."""
    splits = {name: validation_split(posts) for name, posts in found.items()}
    columns = columns_for(found, {name: split[0] for name, split in splits.items()}, variant)
    network, scale = fit(columns, variant, name="three fifths")
    judged = {
        name: posts.select(np.flatnonzero(splits[name][1] & posts.judged()))
        for name, posts in found.items()
    }
    return {
        share: {
            name: judge(test, predicted(network, replace(scale, shrink=share), columns_of(test)))
            for name, test in judged.items()
        }
        for share in SHARES
    }


def chosen(figures: Mapping[float, Figures]) -> float:
    """Return the share to serve."""
    least = min(map(_lacking, figures.values()))
    usable = [share for share, of in figures.items() if _lacking(of) == least]
    best = max(usable, key=lambda share: mean_skill(figures[share]))
    enough = mean_skill(figures[best]) - standard_error(figures[best])
    return min(share for share in usable if mean_skill(figures[share]) >= enough)


def mean_skill(figures: Figures) -> float:
    """Return the mean skill over `PROMISED`, or those of them that there are."""
    return float(np.mean([figures[name]["skill"] for name in PROMISED if name in figures]))


def standard_error(figures: Figures) -> float:
    """Return the standard error of the mean skill, by the intervals of the sets."""
    widths = [figures[name]["high"] - figures[name]["low"] for name in PROMISED if name in figures]
    return float(np.linalg.norm(widths) / len(widths) / _ERRORS_WIDE)


def _lacking(figures: Figures) -> float:
    """Return by how much the shares of authors are below what was asked for, in all."""
    return sum(
        max(0.0, least - figures[name]["authors_positive_share"])
        for name, least in LEAST_AUTHORS.items()
        if name in figures
    )


def _row(share: float, of: Figures) -> dict[str, Any]:
    shares = {name: of[name]["authors_positive_share"] for name in LEAST_AUTHORS if name in of}
    return {
        "share": share, "mean_skill": round(mean_skill(of), 4),
        "standard_error": round(standard_error(of), 4), "authors": shares,
    }  # fmt: skip


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    variant: Annotated[str, typer.Option(help="Name or file of a variant.")] = "shipped",
    sets: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(SETS),
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Choose what a point keeps of its distance to the author's median."""
    if threads:
        torch.set_num_threads(threads)
    try:
        settings = msgspec.structs.replace(variant_of(variant), shrink=1.0)
        figures = shrinkages(load_sets(data, tuple(sets.split(","))), settings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    for share, of in figures.items():
        typer.echo(json.dumps(_row(share, of)))
    typer.echo(f"chosen: {chosen(figures)}")


if __name__ == "__main__":
    typer.run(main)
