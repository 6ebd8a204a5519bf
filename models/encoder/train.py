"""Train the post encoder: LoRA on the backbone, LayerNorms, biases and the heads.

Reads top to bottom: settings, tasks, the loop, selection on the validation split. The test
split is never read here. Needs torch.

    python -m models.encoder.train --data ../shared/data
"""

import json
import math
import time
from dataclasses import asdict, dataclass, field
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
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.backbone import MINILM_ID, MINILM_SHA256, find_backbone
from models.encoder import data as datasets
from models.encoder.batches import TokenisedTask, in_length_order, pad, plan_epoch, tokenise
from models.encoder.model import (
    ADAPTER_FILE,
    HEADS_FILE,
    PostEncoder,
    adapt,
    load_backbone,
    load_trained_state,
    save_weights,
    trained_parameters,
    trained_state,
)
from models.evaluation.metrics import macro_recall

TASKS = {"sentiment": (datasets.sentiment_train, datasets.sentiment_validation)}
"""Head -> (training posts, validation posts). A new head adds its line here."""

STATE_FILE = "training_state.pt"
CHOSEN = "chosen"
"""Folder, inside the run's folder, of the best epoch so far by validation."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What a run depends on besides the data; kept beside its weights."""

    heads: tuple[str, ...] = ("sentiment",)
    epochs: int = 2
    batch_posts: int = 32
    learning_rate: float = 1e-3
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    lora_rank: int = 16
    lora_alpha: float = 16.0
    max_tokens: int = 128
    bf16: bool = False
    seed: int = 20171
    checkpoint_every: int = 200
    max_steps: int = field(default=0)
    """Stop after so many steps; 0 trains all epochs. The schedule is that of all epochs."""


def learning_rate_share(step: int, total_steps: int, warmup_share: float) -> float:
    """Linear warm-up to 1, then linear decay to 0.

    >>> [round(learning_rate_share(s, 100, 0.1), 2) for s in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = max(1, math.ceil(total_steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup))


def make_optimizer(model: PostEncoder, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW; matrices decay, biases and LayerNorms do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def plan(tasks: list[TokenisedTask], settings: TrainingSettings) -> list[tuple[int, list[int]]]:
    """(task, rows) of every step of every epoch; the batches of several heads are interleaved."""
    steps: list[tuple[int, list[int]]] = []
    for epoch in range(settings.epochs):
        of_epoch = [
            (number, rows)
            for number, task in enumerate(tasks)
            for rows in plan_epoch(
                [len(ids) for ids in task.token_ids], settings.batch_posts, settings.seed, epoch
            )
        ]
        if len(tasks) > 1:
            order = np.random.default_rng((settings.seed, epoch, 1)).permutation(len(of_epoch))
            of_epoch = [of_epoch[i] for i in order]
        steps += of_epoch
    return steps


@torch.no_grad()
def predict(model: PostEncoder, head: str, token_ids: tuple[tuple[int, ...], ...]) -> Tensor:
    """Logits (N, C) of every text, in the given order; leaves the model in evaluation mode."""
    model.eval()
    logits = torch.zeros(len(token_ids), len(model.head(head).labels))
    for rows in in_length_order([len(ids) for ids in token_ids], 64):
        ids, mask = pad([token_ids[row] for row in rows])
        logits[rows] = model.head(head)(model.embed(ids, mask)).float()
    return logits


def save_checkpoint(
    folder: Path, model: PostEncoder, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Everything needed to continue as if nothing had happened; the old one is replaced last."""
    folder.mkdir(parents=True, exist_ok=True)
    adapter, heads = trained_state(model)
    save_file(adapter, folder / ADAPTER_FILE)
    save_file(heads, folder / HEADS_FILE)
    fresh = folder / (STATE_FILE + ".new")
    torch.save({**state, "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, fresh)
    fresh.replace(folder / STATE_FILE)


def resume(folder: Path, model: PostEncoder, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Load the last checkpoint into model and optimizer; {} when there is none."""
    if not (folder / STATE_FILE).is_file():
        return {}
    load_trained_state(model, load_file(folder / ADAPTER_FILE), load_file(folder / HEADS_FILE))
    # Our own file: it holds the optimizer's tensors and numbers, no code.
    state = torch.load(folder / STATE_FILE, weights_only=True)
    optimizer.load_state_dict(state.pop("optimizer"))
    torch.set_rng_state(state.pop("rng"))
    return state


def train(
    data_root: Path, out: Path, settings: TrainingSettings, backbone_folder: Path | None
) -> dict[str, Any]:
    """Train and leave the best epoch in `out / "chosen"`.

    A run that was cut off continues from its last checkpoint when called again with the same
    settings. Returns the run's record: settings, parameter count, validation by epoch, seconds.
    """
    torch.manual_seed(settings.seed)
    backbone = find_backbone(MINILM_ID, MINILM_SHA256, backbone_folder)
    body = load_backbone(backbone.folder)
    model = PostEncoder(body, body.config.hidden_size, settings.heads)
    adapt(model, settings.lora_rank, settings.lora_alpha)

    tasks, validation = [], []
    for head in settings.heads:
        train_posts, held_out = (read(data_root) for read in TASKS[head])
        for posts, into in ((train_posts, tasks), (held_out, validation)):
            ids = tokenise(posts.texts, backbone.tokenizer, settings.max_tokens)
            into.append(TokenisedTask(head, ids, posts.labels))
        model.head(head).prepare(train_posts.labels)

    steps = plan(tasks, settings)
    steps_per_epoch = len(steps) // settings.epochs
    last = min(settings.max_steps or len(steps), len(steps))
    optimizer = make_optimizer(model, settings)
    state = resume(out, model, optimizer)
    done, history = state.get("step", 0), state.get("history", [])
    spent_s, best = state.get("spent_s", 0.0), state.get("best", -1.0)
    console = Console(stderr=True)
    console.print(
        f"{trained_parameters(model):,} trained parameters, {len(steps):,} steps of "
        f"{settings.batch_posts} posts, {'continuing after' if done else 'from'} step {done:,}"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    trained = [p for p in model.parameters() if p.requires_grad]
    loss_mean, started = 0.0, time.monotonic()
    with Progress(*columns, *times, console=console) as progress:
        bar = progress.add_task("loss     ", total=last, completed=done)
        for step in range(done, last):
            model.train()
            number, rows = steps[step]
            task = tasks[number]
            ids, mask = pad([task.token_ids[row] for row in rows])
            target = torch.tensor([task.targets[row] for row in rows])
            for group in optimizer.param_groups:
                share = learning_rate_share(step, len(steps), settings.warmup_share)
                group["lr"] = settings.learning_rate * share
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bf16):
                head = model.head(task.head)
                loss = head.loss(head(model.embed(ids, mask)), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, settings.max_gradient_norm)
            optimizer.step()
            loss_mean = loss.item() if loss_mean == 0 else 0.98 * loss_mean + 0.02 * loss.item()
            progress.update(bar, advance=1, description=f"loss {loss_mean:.3f}")

            epoch_ends = (step + 1) % steps_per_epoch == 0
            if epoch_ends or step + 1 == last:
                recall = {
                    held.head: macro_recall(
                        predict(model, held.head, held.token_ids).argmax(1).numpy(),
                        np.asarray(held.targets),
                    )
                    for held in validation
                }
                score = sum(recall.values()) / len(recall)
                history.append({"step": step + 1, "train_loss": loss_mean, "macro_recall": recall})
                console.print(f"step {step + 1:,}: validation macro recall {score:.4f}")
                if score > best:
                    best = score
                    (out / CHOSEN).mkdir(parents=True, exist_ok=True)
                    save_weights(model, out / CHOSEN)
            if epoch_ends or step + 1 == last or (step + 1) % settings.checkpoint_every == 0:
                elapsed = spent_s + time.monotonic() - started
                kept = {"step": step + 1, "history": history, "best": best, "spent_s": elapsed}
                save_checkpoint(out, model, optimizer, kept)
    record = {
        "settings": asdict(settings),
        "backbone": backbone.identity,
        "backbone_sha256": backbone.sha256,
        "trained_parameters": trained_parameters(model),
        "training_posts": {task.head: len(task.targets) for task in tasks},
        "validation": history,
        "seconds": round(spent_s + time.monotonic() - started, 1),
        "versions": {"torch": torch.__version__},
    }
    (out / CHOSEN / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    out: Annotated[Path, typer.Option(help="Checkpoints and the chosen weights.")] = Path(
        ".groundswell/training/post-encoder"
    ),
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    seed: Annotated[int, typer.Option()] = 20171,
    bf16: Annotated[bool, typer.Option(help="Autocast to bfloat16.")] = False,
    max_steps: Annotated[int, typer.Option(min=0, help="Stop early; 0 trains fully.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Train the post encoder; run again to continue a run that was cut off."""
    if threads:
        torch.set_num_threads(threads)
    settings = TrainingSettings(epochs=epochs, seed=seed, bf16=bf16, max_steps=max_steps)
    train(data, out, settings, backbone)


if __name__ == "__main__":
    typer.run(main)
