"""Train the post encoder: LoRA on the backbone, LayerNorms, biases and the heads.

Reads top to bottom: the stages, the loop of one, one after another; `models.encoder.run` has what a
step does. The shipped weights come from two stages: sentiment alone, which has fourteen times the
posts of the others together, then all tasks at once from there, with some sentiment again so that
it is not forgotten. `--distil` adds a third, taught by both and by the bare backbone; `--layers`
trains a student of fewer layers of the finished model instead. The model card says what each gave.
Needs torch.

    python -m models.encoder.train --data ../shared/data --tasks sentiment,emotion
    python -m models.encoder.train --data ../shared/data --layers 4 --out student
"""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from core.errors import ConfigError
from models.backbone import MINILM_ID, MINILM_SHA256, find_backbone
from models.encoder.checkpoints import save_checkpoint
from models.encoder.distil import ALONE, JOINT
from models.encoder.heads.base import UNLABELLED
from models.encoder.model import HEADS_FILE, trained_parameters
from models.encoder.run import CHOSEN, RECORD_FILE, TrainingRun, finish_heads
from models.encoder.schedule import TrainingSettings, TrainingStage
from models.encoder.student import STUDENT, WHOLE, chosen_layers
from models.encoder.tasks import TASKS, heads_of, passes_of

STAGES = (TrainingStage("joint", 4, 5e-4, passes_of("joint")),)
"""After sentiment alone, from which each begins."""
DISTIL = TrainingStage(
    "distil",
    4,
    5e-4,
    passes_of("distil") | {UNLABELLED: 0.5},
    teachers=(ALONE, JOINT),
    sentiment_posts=8_192,
    unlabelled_posts=2_048,
)
"""Once more from sentiment alone, when asked for."""

FINISHED = Path(__file__).parents[1] / "weights" / "post-encoder"
"""Who teaches a student, unless other weights are named."""


def train(
    data_root: Path,
    out: Path,
    settings: TrainingSettings,
    backbone_folder: Path | None,
    start: Path | None = None,
    teachers: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Train one stage and leave the best epoch in `out / "chosen"`.

    A run that was cut off continues from its last checkpoint when called again with the same
    settings. `start` is a folder of weights to begin from, `teachers` are those of earlier stages.
    Returns the run's record: settings, parameter count, validation by epoch, seconds.
    """
    backbone = find_backbone(MINILM_ID, MINILM_SHA256, backbone_folder)
    return fit(TrainingRun(data_root, out, settings, backbone, start, teachers))


def fit(run: TrainingRun) -> dict[str, Any]:
    """Take every step that is left, validate at the ends of epochs, and write the record."""
    console = Console(stderr=True)
    console.print(
        f"{trained_parameters(run.model):,} trained parameters, {len(run.steps):,} steps of "
        f"{run.settings.batch_posts} posts, {'continuing after' if run.done else 'from'} step "
        f"{run.done:,}"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    started = time.monotonic()
    with Progress(*columns, *times, console=console) as progress:
        bar = progress.add_task("loss     ", total=run.last, completed=run.done)
        for step in range(run.done + 1, run.last + 1):
            run.take_step(step - 1)
            progress.update(bar, advance=1, description=f"loss {run.loss_mean:.3f}")
            is_end = step in run.epoch_ends or step == run.last
            if is_end:
                run.validate(step, console.print)
            if is_end or step % run.settings.checkpoint_every == 0:
                elapsed = run.spent_s + time.monotonic() - started
                kept = {
                    "step": step,
                    "history": run.history,
                    "best": run.best,
                    "spent_s": elapsed,
                }
                save_checkpoint(run.out, run.model, run.optimizer, kept)
    finish_heads(run)
    record = run.record(run.spent_s + time.monotonic() - started)
    (run.out / CHOSEN / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n")
    return record


def _stage_of(start: Path | None) -> str:
    """The name of the stage, or of the folder of weights, that is begun from."""
    if start is None:
        return ""
    return start.parent.name if start.name == CHOSEN else start.name


def stages_for(tasks: tuple[str, ...], is_distilled: bool) -> tuple[TrainingStage, ...]:
    """The stages after sentiment alone.

    Raises:
        ConfigError: distillation is asked for and a task is missing, so that a teacher would be.
    """
    if not is_distilled:
        return STAGES
    if set(tasks) != set(TASKS):
        raise ConfigError("distillation needs every task: leave --tasks out")
    return (*STAGES, DISTIL)


def stage_settings(
    stage: TrainingStage, tasks: tuple[str, ...], common: TrainingSettings, start: Path | None
) -> TrainingSettings:
    """The settings of a stage that begins from the weights in `start`."""
    sets = (*tasks, UNLABELLED) if stage.teachers else tasks
    return replace(
        common,
        tasks=tasks,
        heads=heads_of(tasks),
        epochs=stage.epochs,
        learning_rate=stage.learning_rate,
        passes={name: stage.passes[name] for name in sets},
        teachers=stage.teachers,
        sentiment_posts=stage.sentiment_posts,
        unlabelled_posts=stage.unlabelled_posts,
        start=_stage_of(start),
    )


def train_stages(
    data_root: Path,
    out: Path,
    tasks: tuple[str, ...],
    common: TrainingSettings,
    backbone: Path | None,
    start: Path | None = None,
    is_distilled: bool = False,
) -> None:
    """Sentiment alone, then the stages from there; the result is `out / "chosen"`.

    With `start`, a folder of sentiment weights, the first stage is left out. A stage that has left
    its record is finished and is not trained again.
    """
    if tasks == ("sentiment",):
        train(data_root, out, replace(common, tasks=tasks, heads=tasks), backbone, start)
        return
    if start is None and "sentiment" in tasks:
        start = out / ALONE / CHOSEN
        if not (start / RECORD_FILE).is_file():
            alone = replace(common, tasks=("sentiment",), heads=("sentiment",))
            train(data_root, out / ALONE, alone, backbone)
    left: dict[str, Path] = {} if start is None else {ALONE: start}
    stages = stages_for(tasks, is_distilled)
    for stage in stages:
        folder = out if stage is stages[-1] else out / stage.name
        left[stage.name] = folder / CHOSEN
        if (folder / CHOSEN / RECORD_FILE).is_file():
            continue
        settings = stage_settings(stage, tasks, common, start)
        teachers = {name: left[name] for name in stage.teachers}
        train(data_root, folder, settings, backbone, start, teachers)


def train_student(
    data_root: Path,
    out: Path,
    wanted: str,
    common: TrainingSettings,
    backbone: Path | None,
    teacher: Path,
) -> None:
    """A model of the layers that `wanted` names, taught by the finished one in `teacher`.

    Raises:
        ConfigError: there are no such layers, or no weights in `teacher`.
    """
    if not (teacher / HEADS_FILE).is_file():
        raise ConfigError(f"{teacher} holds no weights for a student to learn from")
    folder = find_backbone(MINILM_ID, MINILM_SHA256, backbone).folder
    settings = stage_settings(STUDENT, TASKS, common, teacher)
    settings = replace(settings, layers=chosen_layers(wanted, folder))
    train(data_root, out, settings, backbone, teacher, {WHOLE: teacher})


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    out: Annotated[Path, typer.Option(help="Checkpoints and the chosen weights.")] = Path(
        ".groundswell/training/post-encoder"
    ),
    tasks: Annotated[str, typer.Option(help="Comma-separated tasks.")] = ",".join(TASKS),
    start: Annotated[
        Path | None, typer.Option(help="Sentiment weights to begin from; a student's teacher.")
    ] = None,
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of sentiment alone.")] = 2,
    seed: Annotated[int, typer.Option()] = 20171,
    bf16: Annotated[bool, typer.Option(help="Autocast to bfloat16.")] = False,
    max_steps: Annotated[int, typer.Option(min=0, help="Stop early; 0 trains fully.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
    distil: Annotated[bool, typer.Option(help="A last stage that learns from teachers.")] = False,
    layers: Annotated[
        str, typer.Option(help="A student instead: so many layers, or their numbers with commas.")
    ] = "",
) -> None:
    """Train the post encoder; run again to continue a run that was cut off."""
    names = tuple(tasks.split(","))
    unknown = sorted(set(names) - set(TASKS))
    if unknown:
        raise typer.BadParameter(f"no task {unknown[0]!r}; expected {', '.join(TASKS)}")
    if threads:
        torch.set_num_threads(threads)
    settings = TrainingSettings(epochs=epochs, seed=seed, bf16=bf16, max_steps=max_steps)
    if layers:
        train_student(data, out, layers, settings, backbone, start or FINISHED)
        return
    train_stages(data, out, names, settings, backbone, start, distil)


if __name__ == "__main__":
    typer.run(main)
