r"""Try a recipe for the participation head on every fold of its groups. Needs torch.

The set has 369 crowd-labelled rows and no validation split, so one fold of 70 says little. Each
fold is trained from the same start without that fold's groups, and the crowd rows of all folds,
each scored by the model that did not see its relatives, are judged together, epoch by epoch.

    python -m evaluation.encoder.crossvalidate --data ../shared/data \
        --start models/weights/post-encoder

Shapes: `N` crowd rows, `L` gates.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from core.heads import PARTICIPATION
from core.report import write_report
from evaluation.options import DataFolder
from models.backbone import MINILM_ID, MINILM_SHA256, find_backbone
from models.encoder.anchors import FOLDS
from models.encoder.config import uncalibrated
from models.encoder.heads.participation import DEPLOYED_PARTICIPATION
from models.encoder.run import TrainingRun, predict
from models.encoder.schedule import TrainingSettings
from models.encoder.tasks import heads_of
from models.metrics import average_precision, macro_f1, roc_auc
from models.serving.calibration import probabilities

HEAD: Final = "participation"


def judge(logits: NDArray[np.float32], levels: NDArray[np.int64]) -> dict[str, float]:
    """Return figures of rank and level of (N, L) logits; average precision as deployed."""
    passes = levels > 0
    found = probabilities(logits, uncalibrated(HEAD))
    return {
        "roc_auc": roc_auc(logits[:, 0], passes),
        "average_precision": average_precision(logits[:, 0], passes, DEPLOYED_PARTICIPATION),
        "levels_macro_f1": macro_f1(found.argmax(1), levels, len(PARTICIPATION)),
    }


def held_out_logits(
    data: Path, settings: TrainingSettings, start: Path | None, out: Path
) -> tuple[list[NDArray[np.float32]], NDArray[np.int64]]:
    """Return one fold's validation logits (N, L) after each epoch, and the levels (N,)."""
    run = TrainingRun(data, out, settings, find_backbone(MINILM_ID, MINILM_SHA256), start)
    held = next(held for held in run.validation if held.name == HEAD)
    by_epoch = []
    for step in range(1, len(run.steps) + 1):
        run.take_step(step - 1)
        if step in run.epoch_ends:
            by_epoch.append(predict(run.model, HEAD, held.token_ids).numpy())
    return by_epoch, np.asarray(held.lessons[0].targets, np.int64)


def crossvalidate(
    data: Path, settings: TrainingSettings, start: Path | None, out: Path, folds: Sequence[int]
) -> dict[str, Any]:
    """Return the figures by epoch over the crowd rows of all folds together."""
    parts = [
        held_out_logits(data, replace(settings, fold=fold), start, out / f"fold{fold}")
        for fold in folds
    ]
    levels = np.concatenate([levels for _, levels in parts])
    figures: dict[str, float] = {"rows": len(levels)}
    for epoch in range(settings.epochs):
        logits = np.concatenate([by_epoch[epoch] for by_epoch, _ in parts])
        for name, value in judge(logits, levels).items():
            figures[f"epoch{epoch + 1}_{name}"] = value
    return figures


def main(
    data: DataFolder,
    start: Annotated[Path | None, typer.Option(help="Weights to begin from.")] = None,
    out: Annotated[Path, typer.Option(help="Report to write.")] = Path(
        ".groundswell/training/crossvalidation.json"
    ),
    tasks: Annotated[str, typer.Option(help="Comma-separated tasks.")] = HEAD,
    epochs: Annotated[int, typer.Option(min=1)] = 4,
    learning_rate: Annotated[float, typer.Option()] = 5e-4,
    lora_rank: Annotated[int, typer.Option(min=1)] = 16,
    seed: Annotated[int, typer.Option()] = 20171,
    bf16: Annotated[bool, typer.Option()] = True,
    threads: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Cross-validate a recipe for the participation head."""
    if threads:
        torch.set_num_threads(threads)
    names = tuple(tasks.split(","))
    settings = TrainingSettings(
        tasks=names, heads=heads_of(names), epochs=epochs, learning_rate=learning_rate,
        lora_rank=lora_rank, seed=seed, bf16=bf16,
    )  # fmt: skip
    figures = crossvalidate(data, settings, start, out.with_suffix(""), range(FOLDS))
    for name, value in figures.items():
        typer.echo(f"{name} {value:.4f}")
    write_report(
        out, "evaluation.encoder.crossvalidate", figures,
        settings={
            "tasks": names, "epochs": epochs, "learning_rate": learning_rate, "rank": lora_rank
        },
        packages=("torch", "numpy"), seed=seed,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
