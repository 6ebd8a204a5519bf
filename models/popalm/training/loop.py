"""What all trainings share: settings, a step's optimiser, progress, and going on after a stop."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from torch import nn

from core.errors import ConfigError
from models.encoder.schedule import learning_rate_share

STATE_FILE: Final = "training_state.pt"
STEPS_FILE: Final = "steps.jsonl"
_SETTINGS_FILE: Final = "settings.json"


class LoopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every training of a decoder depends on besides its data.

    Attributes:
        steps: The number of steps.
        batch: Posts a step.
        learning_rate: The highest one.
        warmup_share: The share of the steps in which it rises.
        max_gradient_norm: Longer gradients are shortened.
        checkpoint_every: Steps from one state on disk to the next.
        seed: Of all chance.
    """

    steps: int = 300
    batch: int = 16
    learning_rate: float = 1e-3
    warmup_share: float = 0.06
    max_gradient_norm: float = 1.0
    checkpoint_every: int = 10
    seed: int = 20171


class TrainingLoop:
    """A training that can be stopped and goes on: parameters, optimiser, records of steps.

    Args:
        out: The folder of its state and records.
        settings: Its settings; a folder of other settings is refused.
        parameters: What is trained, by name.
        limit_s: It stops after so many seconds, to go on another time; 0 is never.
    """

    def __init__(
        self,
        out: Path,
        settings: LoopSettings,
        parameters: Mapping[str, nn.Parameter],
        limit_s: float = 0.0,
    ) -> None:
        self.out = out
        self.settings = settings
        self.step = 0
        self.extra: dict[str, Any] = {}
        self._parameters = dict(parameters)
        self._optimizer = torch.optim.AdamW(self._parameters.values(), weight_decay=0.0)
        self._started = time.monotonic()
        self._limit_s = limit_s
        self._spent_s = 0.0
        out.mkdir(parents=True, exist_ok=True)
        self._keep_settings()
        self._resume()
        self._first = self.step

    def _keep_settings(self) -> None:
        file, told = self.out / _SETTINGS_FILE, msgspec.to_builtins(self.settings)
        if not file.is_file():
            file.write_text(json.dumps(told, indent=2) + "\n")
        elif json.loads(file.read_text()) != told:
            raise ConfigError(
                f"{self.out} holds a training with other settings: name another --out"
            )

    def _resume(self) -> None:
        file = self.out / STATE_FILE
        if not file.is_file():
            return
        # Our own file: tensors and numbers, no code.
        state = torch.load(file, weights_only=True)
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(state["parameters"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.extra, self._spent_s = state["step"], state["extra"], state["spent_s"]
        # Steps that were recorded after the last state are taken again.
        steps = [row for row in read_steps(self.out) if row["step"] <= self.step]
        lines = "".join(json.dumps(row) + "\n" for row in steps)
        (self.out / STEPS_FILE).write_text(lines)

    @property
    def spent_s(self) -> float:
        """Seconds spent on this training by now, those before a stop with them."""
        return self._spent_s + time.monotonic() - self._started

    @property
    def goes_on(self) -> bool:
        """Whether there are steps left, and time for them."""
        used = time.monotonic() - self._started
        return self.step < self.settings.steps and not 0 < self._limit_s <= used

    @property
    def progress(self) -> float:
        """The share of the steps that is done."""
        return self.step / self.settings.steps

    def generator(self) -> torch.Generator:
        """Return the chance of this step, the same whenever it is taken."""
        return torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)

    def descend(self, loss: torch.Tensor) -> float:
        """Take one step of the optimiser; return the length of the gradient."""
        loss.backward()
        settings = self.settings
        length = nn.utils.clip_grad_norm_(self._parameters.values(), settings.max_gradient_norm)
        share = learning_rate_share(self.step, settings.steps, settings.warmup_share)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * share
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(length)

    def finish_step(self, figures: Mapping[str, float]) -> None:
        """Record a step, tell of it, and write the state when it is time."""
        self.step += 1
        row = {"step": self.step, "spent_s": round(self.spent_s, 1), **figures}
        with (self.out / STEPS_FILE).open("a") as opened:
            opened.write(json.dumps(row) + "\n")
        own = (time.monotonic() - self._started) / (self.step - self._first)
        left = own * (self.settings.steps - self.step)
        told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        sys.stderr.write(
            f"step {self.step}/{self.settings.steps}, {own:.1f} s each, {left:.0f} s left: {told}\n"
        )
        if self.step % self.settings.checkpoint_every == 0 or not self.goes_on:
            self.save()

    def save(self) -> None:
        """Write the state; the old one is replaced last."""
        fresh = self.out / (STATE_FILE + ".new")
        state = {
            "parameters": {name: one.detach() for name, one in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(), "step": self.step, "extra": self.extra,
            "spent_s": self.spent_s,
        }  # fmt: skip
        torch.save(state, fresh)
        fresh.replace(self.out / STATE_FILE)


def trained_parameters(*modules: nn.Module) -> dict[str, nn.Parameter]:
    """Return what is trained in some modules, by name."""
    return {
        f"{row}.{name}": parameter
        for row, module in enumerate(modules)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def read_steps(out: Path) -> Sequence[dict[str, float]]:
    """Return the records of a training's steps; none where there are none yet."""
    file = out / STEPS_FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
