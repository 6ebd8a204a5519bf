"""Train an engagement model on the recorded sets, and pack its weights.

    python -m models.engagement.training.train --data ../shared/data --weights FOLDER --variant mlp

Trained on posts whose outcome was known when the last fifth of their set began; the last fifth is
never looked at. Run in the training environment.
"""

import hashlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer
from safetensors.numpy import save_file

from core.errors import ConfigError
from models.engagement.config import ENGAGEMENT_TENSORS, EngagementConfig, save_engagement_config
from models.engagement.training.columns import columns_for
from models.engagement.training.dataset import Examples, Mask, load_examples, time_split
from models.engagement.training.figures import figures_of
from models.engagement.training.fit import fit
from models.engagement.training.networks import shrunk
from models.engagement.training.sets import HORIZON_S, SETS
from models.engagement.training.variants import Variant, variant_of
from models.serving.engagement import open_engagement

TRAINING_FILE: Final = "training.json"
_PACKAGES: Final = ("torch", "numpy")


def train(
    found: dict[str, Examples], variant: Variant, weights: Path, name: str = "engagement"
) -> dict[str, Any]:
    """Train a model and write its folder; returns the record of the run.

    Args:
        found: The posts by the name of their set.
        variant: What to train: an `mlp` or a `transformer`, with the scaling `author`.
        weights: The folder of the weights.
        name: The name of the model, the first part of its version.

    Raises:
        ConfigError: The variant is none that can be served.
    """
    if variant.network not in ("mlp", "transformer") or variant.scaling != "author":
        raise ConfigError("only an mlp or transformer of the scaling author is served")
    started = time.monotonic()
    masks = {name: time_split(posts)[0] for name, posts in found.items()}
    columns = columns_for(found, masks, variant)
    network: Any = fit(columns, variant, name=name)[0]
    tensors = shrunk(network.tensors(), variant.shrink)
    config = EngagementConfig(
        version=f"{name}-1+{_save(tensors, weights)}",
        kind=variant.network,
        horizon_s=HORIZON_S,
        heads=variant.heads if variant.network == "transformer" else 1,
    )
    save_engagement_config(config, weights)
    record: dict[str, Any] = {
        "version": config.version,
        "variant": msgspec.to_builtins(variant),
        "parameters": int(sum(values.size for values in tensors.values())),
        "trained_posts": len(columns),
        "seconds": round(time.monotonic() - started),
        "packages": {package: version(package) for package in _PACKAGES},
    }
    record |= {"sets": _sets(found, masks), "figures": _figures(found, weights)}
    (weights / TRAINING_FILE).write_text(json.dumps(record, indent=2) + "\n")
    return record


def load_sets(data: Path, names: tuple[str, ...]) -> dict[str, Examples]:
    """Read sets as a model sees them; tells how far it is."""
    found: dict[str, Examples] = {}
    for name in names:
        found[name] = load_examples(data, name)
        sys.stderr.write(f"{name}: {len(found[name])} posts, features as of each\n")
    return found


def _sets(found: dict[str, Examples], masks: dict[str, Mask]) -> dict[str, Any]:
    """Return which files were trained on, and how many of their posts might be."""
    return {
        name: {"digest": posts.posts.digest, "posts": int(masks[name].sum())}
        for name, posts in found.items()
    }


def _figures(found: dict[str, Examples], weights: Path) -> dict[str, Any]:
    """Return what the packed weights do on the last fifth of each set, as they are served."""
    service = open_engagement(weights, is_built=False)
    figures: dict[str, Any] = {}
    for name, posts in found.items():
        test = posts.select(np.flatnonzero(time_split(posts)[1] & posts.judged()))
        quantiles = service.predict(test.seen.features, test.seen.sequence)
        figures[name] = figures_of(test, quantiles)
    return figures


def _save(tensors: dict[str, Any], weights: Path) -> str:
    """Write the tensors into a folder; returns the beginning of the digest of the file."""
    weights.mkdir(parents=True, exist_ok=True)
    path = weights / ENGAGEMENT_TENSORS
    save_file(tensors, path)
    path.chmod(0o644)  # the library leaves it to its owner alone
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    weights: Annotated[Path, typer.Option(help="Folder of the weights.")],
    variant: Annotated[str, typer.Option(help="Name or file of a variant.")] = "shipped",
    sets: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(SETS),
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Train an engagement model."""
    if threads:
        torch.set_num_threads(threads)
    try:
        chosen = variant_of(variant)
        name = "engagement-transformer" if chosen.network == "transformer" else "engagement"
        record = train(load_sets(data, tuple(sets.split(","))), chosen, weights, name)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    typer.echo(json.dumps(record["figures"], indent=2))
    typer.echo(f"{weights}: {record['version']} in {record['seconds']} s")


if __name__ == "__main__":
    typer.run(main)
