"""Choose how much of its distance to the author's median a served point keeps.

    python -m models.engagement.training.shrinking --data ../shared/data

A variant is fitted on the first three fifths of the sets and asked about the fourth; the last fifth
has no say. Chosen is the share of the most skill, in the mean over `PROMISED`, among those at which
as many authors gain as was asked for, or as near to that as any comes.
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
from models.engagement.training.dataset import Examples, validation_split
from models.engagement.training.figures import figures_of
from models.engagement.training.fit import fit, predicted
from models.engagement.training.sets import SETS
from models.engagement.training.train import load_sets
from models.engagement.training.variants import Variant, variant_of

PROMISED: Final = ("congress", "leaders", "accounts", "musk", "facebook")
LEAST_AUTHORS: Final = {"congress": 0.9, "leaders": 0.9, "accounts": 0.72}
"""The shares of authors with a skill above zero that were asked for."""
SHARES: Final = tuple(round(0.5 + 0.05 * step, 2) for step in range(11))

Figures = Mapping[str, Mapping[str, float]]
"""Set -> what `figures_of` found of it."""


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
            name: figures_of(
                test, predicted(network, replace(scale, shrink=share), columns_of(test))
            )
            for name, test in judged.items()
        }
        for share in SHARES
    }


def chosen(figures: Mapping[float, Figures]) -> float:
    """Return the share to serve."""

    def worth(share: float) -> tuple[float, float]:
        of = figures[share]
        lacking = sum(
            max(0.0, least - of[name]["authors_positive_share"])
            for name, least in LEAST_AUTHORS.items()
            if name in of
        )
        return -lacking, mean_skill(of)

    return max(figures, key=worth)


def mean_skill(figures: Figures) -> float:
    """Return the mean skill over `PROMISED`, or those of them that there are."""
    return float(np.mean([figures[name]["skill"] for name in PROMISED if name in figures]))


def _row(share: float, of: Figures) -> dict[str, Any]:
    shares = {name: of[name]["authors_positive_share"] for name in LEAST_AUTHORS if name in of}
    return {"share": share, "mean_skill": round(mean_skill(of), 4), "authors": shares}


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
