"""Train the student on the encoder's kept answers: no label, no test. Needs torch.

    python -m models.student.train --out .groundswell/training/student

A run that was cut off goes on after its last epoch.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from safetensors.numpy import save_file
from torch import Tensor

from core.errors import ConfigError
from models.backbone import Backbone, find_backbone
from models.encoder.batches import pad, plan_epoch
from models.encoder.config import activation_of
from models.encoder.heads.base import UNLABELLED
from models.encoder.schedule import learning_rate_share
from models.encoder.soft import divergence
from models.encoder.tasks import TASKS
from models.student.config import STUDENT_WEIGHTS_FILE, TRAINED, TRAINING_FILE, StudentShape
from models.student.lessons import Lessons, read_lessons, record_of
from models.student.network import StudentNetwork
from models.student.table import backbone_table
from models.student.texts import HELD_OUT
from models.student.weights import packed

STATE_FILE: Final = "student_state.pt"
SOURCES: Final = (*TASKS, UNLABELLED)


@dataclass(frozen=True, slots=True)
class StudentSettings:
    """What a training depends on besides the answers."""

    epochs: int = 8
    batch_posts: int = 64
    learning_rate: float = 3e-3
    warmup_share: float = 0.05
    weight_decay: float = 1e-4
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    seed: int = 20171


class StudentRun:
    """A training and where it has come to."""

    def __init__(self, folder: Path, settings: StudentSettings, backbone: Backbone) -> None:
        torch.manual_seed(settings.seed)
        self.folder, self.settings = folder, settings
        self.lessons = read_lessons(folder, SOURCES)
        self.held_out = read_lessons(folder, (HELD_OUT,))
        self.shape = StudentShape()
        table = torch.from_numpy(backbone_table(backbone.weights, self.shape.table))
        widths = {name: logits.shape[1] for name, logits in self.lessons.logits.items()}
        self.network = StudentNetwork(self.shape, widths, table, settings.dropout)
        begin_at_mean(self.network, self.lessons)
        rate, table = settings.learning_rate, self.network.table.weight
        self.filters = [each for each in self.network.parameters() if each is not table]
        # Of thirty thousand rows a batch reads some hundred: the others are left alone.
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "table": torch.optim.SparseAdam([table], lr=rate),
            "filters": torch.optim.AdamW(self.filters, lr=rate, weight_decay=settings.weight_decay),
        }
        self.lengths = [len(each) for each in self.lessons.pieces]
        self.targets = {n: torch.from_numpy(v) for n, v in self.lessons.logits.items()}
        self.state: dict[str, Any] = {"epoch": 0, "spent_s": 0.0, "history": []}
        self.resume()

    def resume(self) -> None:
        """Load the last epoch's state, if there is one."""
        file = self.folder / STATE_FILE
        if not file.is_file():
            return
        # Our own file: it holds tensors and numbers, no code.
        state = torch.load(file, weights_only=True)
        if state.pop("settings") != asdict(self.settings):
            raise ConfigError(f"{file} is of a training with other settings: remove it")
        self.network.load_state_dict(state.pop("network"))
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state.pop(name))
        torch.set_rng_state(state.pop("rng"))
        self.state = state

    def save(self) -> None:
        """Keep the state, the old one replaced last."""
        fresh = self.folder / (STATE_FILE + ".new")
        torch.save(
            {
                **self.state,
                "settings": asdict(self.settings),
                "network": self.network.state_dict(),
                **{name: each.state_dict() for name, each in self.optimizers.items()},
                "rng": torch.get_rng_state(),
            },
            fresh,
        )
        fresh.replace(self.folder / STATE_FILE)

    def train_epoch(self, epoch: int) -> float:
        """Take every batch of an epoch; return the mean loss."""
        settings = self.settings
        batches = plan_epoch(self.lengths, settings.batch_posts, settings.seed, epoch)
        steps, total = len(batches) * settings.epochs, 0.0
        self.network.train()
        for number, rows in enumerate(_shown(batches, f"epoch {epoch + 1} of {settings.epochs}")):
            step = epoch * len(batches) + number
            total += self.take_step(rows, learning_rate_share(step, steps, settings.warmup_share))
        return total / len(batches)

    def take_step(self, rows: Sequence[int], rate_share: float) -> float:
        """Learn from one batch at a share of the learning rate; return the loss."""
        said = self.network(*_padded(self.lessons, rows))
        each = [
            divergence(activation_of(head), said[head], targets[rows])
            for head, targets in self.targets.items()
        ]
        loss = torch.stack(each).sum()
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * rate_share
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.filters, self.settings.max_gradient_norm)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return loss.item()

    @torch.no_grad()
    def divergences(self) -> dict[str, float]:
        """Return head -> the mean divergence from the encoder on the posts that are held out."""
        self.network.eval()
        sums = dict.fromkeys(self.targets, 0.0)
        batches = plan_epoch([len(each) for each in self.held_out.pieces], 64, 0, 0)
        for rows in batches:
            said = self.network(*_padded(self.held_out, rows))
            for head in sums:
                wanted = torch.from_numpy(self.held_out.logits[head][rows])
                found = divergence(activation_of(head), said[head], wanted, 1.0)
                sums[head] += found.item() * len(rows)
        return {head: round(total / len(self.held_out), 5) for head, total in sums.items()}


@torch.no_grad()
def begin_at_mean(network: StudentNetwork, lessons: Lessons) -> None:
    """Set every head's biases to the encoder's mean answer, so that rare answers start out rare."""
    for name, head in network.heads.items():
        head.get_parameter("bias").copy_(torch.from_numpy(lessons.logits[name].mean(0)))


def _padded(lessons: Lessons, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    return pad([lessons.pieces[row].astype(np.int64).tolist() for row in rows])


def _shown(batches: Sequence[list[int]], title: str) -> Iterator[list[int]]:
    yield from track(batches, title, console=Console(stderr=True))


def fit(run: StudentRun) -> dict[str, Any]:
    """Take every epoch that is left and leave the last weights; return the run's record."""
    for epoch in range(run.state["epoch"], run.settings.epochs):
        started = time.monotonic()
        loss = run.train_epoch(epoch)
        held_out = run.divergences()
        run.state["history"] = [
            *run.state["history"], {"loss": round(loss, 5), "held_out": held_out}
        ]  # fmt: skip
        run.state["epoch"] = epoch + 1
        run.state["spent_s"] += time.monotonic() - started
        run.save()
        sys.stderr.write(f"epoch {epoch + 1}: loss {loss:.4f}, held out {held_out}\n")
    answers = record_of(run.folder)
    record = {
        "settings": asdict(run.settings),
        "shape": msgspec.to_builtins(run.shape),
        "teacher": answers["teacher"],
        "posts": answers["posts"],
        "parameters": sum(p.numel() for p in run.network.parameters()),
        "history": run.state["history"],
        "seconds": round(run.state["spent_s"], 1),
        "versions": {"torch": torch.__version__},
    }
    trained = run.folder / TRAINED
    trained.mkdir(exist_ok=True)
    state = {name: value.numpy() for name, value in run.network.state_dict().items()}
    save_file(packed(state), trained / STUDENT_WEIGHTS_FILE)
    (trained / TRAINING_FILE).write_text(json.dumps(record, indent=2) + "\n")
    return record


def main(
    out: Annotated[Path, typer.Option(help="Folder of the training, with the kept answers.")],
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the posts.")] = 8,
    seed: Annotated[int, typer.Option(help="Of batches and of what begins at random.")] = 20171,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Train the student; run again to continue a run that was cut off."""
    if threads:
        torch.set_num_threads(threads)
    try:
        settings = StudentSettings(epochs=epochs, seed=seed)
        record = fit(StudentRun(out, settings, find_backbone(folder=backbone)))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    typer.echo(f"{out / TRAINED}: {record['parameters']:,} parameters, {record['seconds']:.0f} s")


if __name__ == "__main__":
    typer.run(main)
