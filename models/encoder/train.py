"""Train the post encoder: LoRA on the backbone, LayerNorms, biases and the heads.

Reads top to bottom: settings, the plan of batches, the loop, selection on the validation splits.
The test splits are never read here. The shipped weights come from two stages: sentiment alone,
which has fourteen times the posts of the others together, then all tasks at once from there, with
some sentiment again so that it is not forgotten. Needs torch.

    python -m models.encoder.train --data ../shared/data --tasks sentiment,emotion
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
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
from safetensors.torch import load_file
from torch import Tensor

from models.backbone import MINILM_ID, MINILM_SHA256, Backbone, find_backbone
from models.encoder.batches import TokenisedTask, in_length_order, pad, tokenise
from models.encoder.checkpoints import resume, save_checkpoint
from models.encoder.model import (
    ADAPTER_FILE,
    HEADS_FILE,
    PostEncoder,
    adapt,
    load_backbone,
    load_start,
    load_trained_state,
    save_weights,
    trained_parameters,
)
from models.encoder.refit import STRENGTH, refit
from models.encoder.schedule import Stage, TrainingSettings, learning_rate_share, plan
from models.encoder.selection import selection_figure
from models.encoder.tasks import TASKS, heads_of

STAGES = (
    Stage(
        "joint", 4, 5e-4, {"sentiment": 0.085, "emotion": 1.0, "topics": 3.0, "participation": 1.0}
    ),
)
"""After sentiment alone."""
RECORD_FILE = "training.json"
CHOSEN = "chosen"
"""Folder, inside the run's folder, of the best epoch so far by validation."""


def make_optimizer(model: PostEncoder, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW; matrices decay, biases and LayerNorms do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def batch_loss(model: PostEncoder, task: TokenisedTask, rows: list[int]) -> Tensor:
    """The summed losses of every head that learns from these posts."""
    embedding = model.embed(*pad([task.token_ids[row] for row in rows]))
    losses = []
    for lesson in task.lessons:
        if lesson.head not in model.heads:
            continue
        head = model.head(lesson.head)
        target = torch.tensor([lesson.targets[row] for row in rows])
        weight = torch.tensor([lesson.weights[row] for row in rows])
        losses.append(head.loss(head(embedding), target, weight))
    return torch.stack(losses).sum()


@torch.no_grad()
def predict(model: PostEncoder, head: str, token_ids: tuple[tuple[int, ...], ...]) -> Tensor:
    """Logits (N, C) of every text, in the given order; leaves the model in evaluation mode."""
    model.eval()
    logits = torch.zeros(len(token_ids), model.head(head).logit_count())
    for rows in in_length_order([len(ids) for ids in token_ids], 64):
        ids, mask = pad([token_ids[row] for row in rows])
        logits[rows] = model.head(head)(model.embed(ids, mask)).float()
    return logits


def prepare(
    data_root: Path, settings: TrainingSettings, model: PostEncoder, tokenizer: Path
) -> tuple[list[TokenisedTask], list[TokenisedTask]]:
    """Tokenised training and validation posts of every task; heads see their labels once."""
    training, validation = [], []
    for name in settings.tasks:
        task = TASKS[name]
        for posts, into in (
            (task.train(data_root, settings.fold), training),
            (task.validation(data_root, settings.fold), validation),
        ):
            ids = tokenise(posts.texts, tokenizer, settings.max_tokens)
            into.append(TokenisedTask(name, ids, posts.lessons))
        model.head(name).prepare(training[-1].lessons[0].targets)
    return training, validation


class Run:
    """One stage of training: the model, its optimizer and where it has come to."""

    def __init__(
        self,
        data_root: Path,
        out: Path,
        settings: TrainingSettings,
        backbone: Backbone,
        start: Path | None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.out, self.settings, self.backbone, self.start = out, settings, backbone, start
        body = load_backbone(backbone.folder)
        self.model = PostEncoder(body, body.config.hidden_size, settings.heads)
        adapt(self.model, settings.lora_rank, settings.lora_alpha)
        if start is not None:
            load_start(self.model, start)
        self.tasks, self.validation = prepare(data_root, settings, self.model, backbone.tokenizer)
        epochs = plan(self.tasks, settings)
        self.steps = [step for epoch in epochs for step in epoch]
        self.epoch_ends = set(np.cumsum([len(epoch) for epoch in epochs]).tolist())
        self.last = min(settings.max_steps or len(self.steps), len(self.steps))
        self.optimizer = make_optimizer(self.model, settings)
        state = resume(out, self.model, self.optimizer)
        self.done: int = state.get("step", 0)
        self.history: list[dict[str, Any]] = state.get("history", [])
        self.spent_s: float = state.get("spent_s", 0.0)
        self.best: float = state.get("best", -1.0)
        self.loss_mean = 0.0

    def take_step(self, step: int) -> None:
        """One batch: loss, gradient, update."""
        self.model.train()
        number, rows = self.steps[step]
        share = learning_rate_share(step, len(self.steps), self.settings.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * share
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bf16):
            loss = batch_loss(self.model, self.tasks[number], rows)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, self.settings.max_gradient_norm)
        self.optimizer.step()
        new = loss.item()
        self.loss_mean = new if self.loss_mean == 0 else 0.98 * self.loss_mean + 0.02 * new

    def validate(self, step: int, say: Callable[[str], None]) -> None:
        """Measure on the validation splits and keep these weights if they are the best yet."""
        figures = {
            held.name: selection_figure(
                held.name,
                predict(self.model, held.name, held.token_ids).numpy(),
                np.asarray(held.lessons[0].targets),
            )
            for held in self.validation
        }
        score = sum(figures.values()) / len(figures)
        self.history.append({"step": step, "train_loss": self.loss_mean, "figures": figures})
        each = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        say(f"step {step:,}: validation {score:.4f} ({each})")
        if score > self.best:
            self.best = score
            (self.out / CHOSEN).mkdir(parents=True, exist_ok=True)
            save_weights(self.model, self.out / CHOSEN)

    def record(self, seconds: float) -> dict[str, Any]:
        """What a reader of the weights wants to know about their training."""
        return {
            "settings": asdict(self.settings),
            "backbone": self.backbone.identity,
            "backbone_sha256": self.backbone.sha256,
            "trained_parameters": trained_parameters(self.model),
            "training_posts": {task.name: len(task.token_ids) for task in self.tasks},
            "validation": self.history,
            "seconds": round(seconds, 1),
            "versions": {"torch": torch.__version__},
            "before": self.record_before(),
        }

    def record_before(self) -> dict[str, Any]:
        """The record of the stage that this one began from; {} when there was none."""
        file = self.start / RECORD_FILE if self.start is not None else None
        return json.loads(file.read_text()) if file is not None and file.is_file() else {}


def finish_heads(run: Run) -> None:
    """Fit the small heads to the end on the chosen epoch's frozen encoder."""
    chosen = run.out / CHOSEN
    load_trained_state(run.model, load_file(chosen / ADAPTER_FILE), load_file(chosen / HEADS_FILE))
    for task in run.tasks:
        if task.name in STRENGTH:
            refit(run.model, task, task.name, STRENGTH[task.name])
    save_weights(run.model, chosen)


def train(
    data_root: Path,
    out: Path,
    settings: TrainingSettings,
    backbone_folder: Path | None,
    start: Path | None = None,
) -> dict[str, Any]:
    """Train one stage and leave the best epoch in `out / "chosen"`.

    A run that was cut off continues from its last checkpoint when called again with the same
    settings. `start` is a folder of weights to begin from. Returns the run's record: settings,
    parameter count, validation by epoch, seconds.
    """
    backbone = find_backbone(MINILM_ID, MINILM_SHA256, backbone_folder)
    run = Run(data_root, out, settings, backbone, start)
    console = Console(stderr=True)
    console.print(
        f"{trained_parameters(run.model):,} trained parameters, {len(run.steps):,} steps of "
        f"{settings.batch_posts} posts, {'continuing after' if run.done else 'from'} step "
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
            if is_end or step % settings.checkpoint_every == 0:
                elapsed = run.spent_s + time.monotonic() - started
                kept = {
                    "step": step,
                    "history": run.history,
                    "best": run.best,
                    "spent_s": elapsed,
                }
                save_checkpoint(out, run.model, run.optimizer, kept)
    finish_heads(run)
    record = run.record(run.spent_s + time.monotonic() - started)
    (out / CHOSEN / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n")
    return record


def _stage_of(start: Path | None) -> str:
    """The name of the stage, or of the folder of weights, that is begun from."""
    if start is None:
        return ""
    return start.parent.name if start.name == CHOSEN else start.name


def train_stages(
    data_root: Path,
    out: Path,
    tasks: tuple[str, ...],
    common: TrainingSettings,
    backbone: Path | None,
    start: Path | None = None,
) -> None:
    """Sentiment alone, then all tasks from there in `STAGES`; the result is `out / "chosen"`.

    With `start`, a folder of sentiment weights, the first stage is left out.
    """
    if tasks == ("sentiment",):
        train(data_root, out, replace(common, tasks=tasks, heads=tasks), backbone, start)
        return
    if start is None and "sentiment" in tasks:
        alone = replace(common, tasks=("sentiment",), heads=("sentiment",))
        train(data_root, out / "sentiment", alone, backbone)
        start = out / "sentiment" / CHOSEN
    for stage in STAGES:
        is_last = stage is STAGES[-1]
        settings = replace(
            common,
            tasks=tasks,
            heads=heads_of(tasks),
            epochs=stage.epochs,
            learning_rate=stage.learning_rate,
            passes={name: stage.passes[name] for name in tasks},
            start=_stage_of(start),
        )
        folder = out if is_last else out / stage.name
        train(data_root, folder, settings, backbone, start)
        start = folder / CHOSEN


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    out: Annotated[Path, typer.Option(help="Checkpoints and the chosen weights.")] = Path(
        ".groundswell/training/post-encoder"
    ),
    tasks: Annotated[str, typer.Option(help="Comma-separated tasks.")] = ",".join(TASKS),
    start: Annotated[Path | None, typer.Option(help="Sentiment weights to begin from.")] = None,
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of sentiment alone.")] = 2,
    seed: Annotated[int, typer.Option()] = 20171,
    bf16: Annotated[bool, typer.Option(help="Autocast to bfloat16.")] = False,
    max_steps: Annotated[int, typer.Option(min=0, help="Stop early; 0 trains fully.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Train the post encoder; run again to continue a run that was cut off."""
    names = tuple(tasks.split(","))
    unknown = sorted(set(names) - set(TASKS))
    if unknown:
        raise typer.BadParameter(f"no task {unknown[0]!r}; expected {', '.join(TASKS)}")
    if threads:
        torch.set_num_threads(threads)
    settings = TrainingSettings(epochs=epochs, seed=seed, bf16=bf16, max_steps=max_steps)
    train_stages(data, out, names, settings, backbone, start)


if __name__ == "__main__":
    typer.run(main)
