"""Fitting a network: losses, scalings, and the loop."""

import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from models.engagement.features import Floats
from models.engagement.layout import LEVELS, TARGETS
from models.engagement.training.columns import TrainingColumns
from models.engagement.training.networks import network_of
from models.engagement.training.variants import Variant

_TARGET_WEIGHTS: Final = (1.0, 0.25, 0.5)
"""Of likes, replies and reposts: skill is of likes, and many sets have no replies."""
_WARM_UP: Final = 0.05
_AT_ONCE: Final = 4_096


@dataclass(frozen=True, slots=True)
class Scale:
    """What a network predicts, of each target: (log - `relative` base - `middle`) / `width`.

    Its point is fitted as it is, and `shrink` of it is what it answers.
    """

    middle: Tensor
    width: Tensor
    relative: bool
    shrink: float

    @classmethod
    def of(cls, columns: TrainingColumns, variant: Variant) -> "Scale":
        """Fit a scale on what is trained on."""
        middle, width = np.zeros(len(TARGETS)), np.ones(len(TARGETS))
        if variant.scaling == "robust":
            lower, middle, upper = np.nanquantile(columns.outcomes, (0.25, 0.5, 0.75), axis=0)
            width = np.maximum(upper - lower, 1e-3)
        return cls(
            torch.tensor(middle, dtype=torch.float32)[:, None],
            torch.tensor(width, dtype=torch.float32)[:, None],
            variant.scaling == "author",
            variant.shrink,
        )

    def offset(self, bases: Tensor) -> Tensor:
        """Return (B, 3, 1) what is added to a prediction times `width`."""
        return self.middle + (bases[:, :, None] if self.relative else 0)


def residual_quantiles(numbers: Tensor) -> Tensor:
    """Return (..., 3, 5) quantiles of what a network says, as `models.engagement.answer` does."""
    of_target = numbers.unflatten(-1, (len(TARGETS), len(LEVELS)))
    middle, steps = of_target[..., 0], of_target[..., 1:]
    steps = 0.5 * (steps + torch.sqrt(steps * steps + 1))
    upper, lower = middle + steps[..., 0], middle - steps[..., 2]
    found = [lower - steps[..., 3], lower, middle, upper, upper + steps[..., 1]]
    return torch.stack(found, -1)


def loss_of(quantiles: Tensor, wanted: Tensor, weights: Tensor, loss: str) -> Tensor:
    """Return the loss of (M, B, 3, 5) quantiles against (B, 3) outcomes, NaN where unknown."""
    known = ~torch.isnan(wanted)
    error = torch.nan_to_num(wanted)[None, ..., None] - quantiles
    point = error[..., LEVELS.index(0.5)]
    of_point: dict[str, Any] = {
        "mae": lambda: point.abs(),
        "mse": lambda: 0.5 * point**2,
        "huber": lambda: nn.functional.huber_loss(point, torch.zeros_like(point), reduction="none"),
        "quantile": lambda: 0.0,
    }
    levels = torch.tensor(LEVELS)
    if loss != "quantile":  # the steps are fitted, and the point is left to its own loss
        error = error - (point - point.detach())[..., None]
    pinball = torch.maximum(levels * error, (levels - 1) * error).sum(-1)
    per_post = of_point[loss]() + pinball
    shares = weights[:, None] * known * torch.tensor(_TARGET_WEIGHTS)
    return (per_post * shares).sum() / (shares.sum() * len(quantiles)).clamp_min(1e-9)


def fit(columns: TrainingColumns, variant: Variant, name: str = "") -> tuple[nn.Module, Scale]:
    """Train a network; tells after every pass how far it is and how long it will take.

    Args:
        columns: The posts.
        variant: The network and its settings.
        name: What the messages call it.
    """
    torch.manual_seed(variant.seed)
    scale = Scale.of(columns, variant)
    network = network_of(variant, columns.features)
    optimiser = torch.optim.AdamW(
        network.parameters(), variant.learning_rate, weight_decay=variant.weight_decay
    )
    steps = max(1, variant.epochs * -(-len(columns) // variant.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, variant.learning_rate, total_steps=steps + 1, pct_start=_WARM_UP
    )
    rng, started = np.random.default_rng(variant.seed), time.monotonic()
    for epoch in range(variant.epochs):
        network.train()
        order, total = rng.permutation(len(columns)), 0.0
        for start in range(0, len(order), variant.batch):
            rows = np.sort(order[start : start + variant.batch])
            loss = _step_loss(network, scale, columns.select(rows), variant)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        spent_s = time.monotonic() - started
        left_s = spent_s / (epoch + 1) * (variant.epochs - epoch - 1)
        passed = f"{name} pass {epoch + 1} of {variant.epochs}"
        _say(f"{passed}: loss {total / len(order):.4f}, {left_s:.0f} s left")
    return network.eval(), scale


def predicted(network: nn.Module, scale: Scale, columns: TrainingColumns) -> Floats:
    """Return (N, 3, 5) quantiles of log1p of the counts, at least zero."""
    parts: list[Floats] = []
    with torch.no_grad():
        for start in range(0, len(columns), _AT_ONCE):
            part = columns.select(np.arange(start, min(start + _AT_ONCE, len(columns))))
            asked = torch.from_numpy(part.features), torch.from_numpy(part.sequence)
            numbers = network(*asked).mean(0)
            numbers[:, :: len(LEVELS)] *= scale.shrink
            quantiles = residual_quantiles(numbers) * scale.width
            found = quantiles + scale.offset(torch.from_numpy(part.bases))
            parts.append(found.clamp_min(0).numpy())
    return np.concatenate(parts)


def _step_loss(network: nn.Module, scale: Scale, part: TrainingColumns, variant: Variant) -> Tensor:
    """Return the loss on some posts."""
    numbers = network(torch.from_numpy(part.features), torch.from_numpy(part.sequence))
    offset = scale.offset(torch.from_numpy(part.bases))[..., 0]
    wanted = (torch.from_numpy(part.outcomes) - offset) / scale.width[:, 0]
    weights = torch.from_numpy(part.weights)
    return loss_of(residual_quantiles(numbers), wanted, weights, variant.loss)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
