"""One stage of training: the model, its optimizer, the batches, and selection on validation.

The test splits are never read here. Needs torch.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.errors import ConfigError
from models.backbone import Backbone
from models.encoder.batches import TokenisedTask, in_length_order, pad, tokenise
from models.encoder.checkpoints import resume
from models.encoder.distil import REFIT_POSTS, refit_topics, taught
from models.encoder.heads import training_of
from models.encoder.heads.layers import ExclusiveHead
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
    width_of,
)
from models.encoder.refit import STRENGTH, refit
from models.encoder.schedule import TrainingSettings, learning_rate_share, plan
from models.encoder.soft import begin_at_mean, distance, divergence
from models.encoder.student import WHOLE, taught_by_whole

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
    """The summed losses of every head that learns from these posts, by label or from a teacher."""
    embedding = model.embed(*pad([task.token_ids[row] for row in rows]))
    losses = []
    for lesson in task.lessons:
        if lesson.head not in model.heads:
            continue
        head = model.head(lesson.head)
        target = torch.tensor([lesson.targets[row] for row in rows])
        weight = torch.tensor([lesson.weights[row] for row in rows])
        losses.append(head.loss(head(embedding), target, weight))
    for soft in task.soft:
        head = model.head(soft.head)
        losses.append(soft.weight * divergence(head.activation, head(embedding), soft.logits[rows]))
    if task.embeddings is not None:
        losses.append(distance(embedding, task.embeddings[rows]))
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
        own = training_of(name)
        for read, into in ((own.train, training), (own.validation, validation)):
            if read is None:
                raise ConfigError(f"head {name!r} has no posts of its own to be trained on")
            posts = read(data_root, settings.fold)
            ids = tokenise(posts.texts, tokenizer, settings.max_tokens)
            into.append(TokenisedTask(name, ids, posts.lessons))
        head = model.head(name)
        head.prepare(training[-1].lessons[0].targets)
        if settings.label_smoothing is not None and isinstance(head, ExclusiveHead):
            head.label_smoothing = settings.label_smoothing
    return training, validation


def record_of(folder: Path | None) -> dict[str, Any]:
    """The record of the stage that left its weights in `folder`; {} when there is none."""
    file = folder / RECORD_FILE if folder is not None else None
    return json.loads(file.read_text()) if file is not None and file.is_file() else {}


class TrainingRun:
    """One stage of training: the model, its optimizer and where it has come to."""

    def __init__(
        self,
        data_root: Path,
        out: Path,
        settings: TrainingSettings,
        backbone: Backbone,
        start: Path | None,
        teachers: Mapping[str, Path] | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.out, self.settings, self.backbone, self.start = out, settings, backbone, start
        self.teachers = dict(teachers or {})
        body = load_backbone(backbone.folder, layers=settings.layers)
        self.model = PostEncoder(body, width_of(body), settings.heads)
        adapt(self.model, settings.lora_rank, settings.lora_alpha)
        if start is not None:
            load_start(self.model, start)
        self.tasks, self.validation = prepare(data_root, settings, self.model, backbone.tokenizer)
        self.is_student = WHOLE in self.teachers
        if self.is_student:
            self.tasks = taught_by_whole(
                self.tasks, data_root, settings, backbone, self.teachers[WHOLE], out
            )
        elif self.teachers:
            self.tasks = taught(self.tasks, data_root, settings, backbone, self.teachers, out)
            self.begin_new_heads()
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

    def begin_new_heads(self) -> None:
        """Start every head that the weights begun from lack at its teacher's mean answer."""
        known = load_file(self.start / HEADS_FILE) if self.start is not None else {}
        for soft in (soft for task in self.tasks for soft in task.soft):
            if f"{soft.head}.linear.bias" not in known:
                begin_at_mean(self.model.head(soft.head).linear, soft.logits)

    def take_step(self, step: int) -> None:
        """One batch: loss, gradient, update."""
        # A teacher's numbers are exact, with nothing in them that dropout would keep from being
        # learned by heart: it would only be noise to a student.
        self.model.train(not self.is_student)
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
            held.name: training_of(held.name).figure(
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
            "before": record_of(self.start),
            "taught_by": {
                name: record_of(folder)
                for name, folder in self.teachers.items()
                if folder != self.start
            },
        }


def finish_heads(run: TrainingRun) -> None:
    """Fit the small heads to the end on the chosen epoch's frozen encoder.

    A head with a teacher is left as it is: it has learned from thousands of posts.
    """
    if run.teachers:
        return
    chosen = run.out / CHOSEN
    load_trained_state(run.model, load_file(chosen / ADAPTER_FILE), load_file(chosen / HEADS_FILE))
    tasks = {task.name: task for task in run.tasks}
    if "topics" in tasks and "sentiment" in tasks:
        ids = tasks["sentiment"].token_ids
        drawn = np.random.default_rng((run.settings.seed, 3)).permutation(len(ids))[:REFIT_POSTS]
        bare = PostEncoder(load_backbone(run.backbone.folder), run.model.width, ())
        others = [ids[row] for row in sorted(drawn.tolist())]
        refit_topics(run.model, bare, tasks["topics"], others, run.settings.bf16)
    elif "topics" in tasks:
        refit(run.model, tasks["topics"], "topics", STRENGTH["topics"])
    save_weights(run.model, chosen)
