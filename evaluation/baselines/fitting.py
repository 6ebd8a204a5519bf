"""The training loop that the large baselines share. Needs torch.

Shapes: `B` batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Literal

import msgspec
import torch
from torch import Tensor, nn

from core.errors import ConfigError


class FitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and how fast.

    Attributes:
        epochs: The number of passes over the posts.
        batch_posts: The number of posts a step.
        accumulate: The number of steps whose gradients are added before the weights move.
        learning_rate: The highest rate, after warm-up.
        schedule: How it falls to zero.
        warmup_share: The share of the steps during which it rises.
        weight_decay: The weight decay of AdamW.
        max_gradient_norm: Longer gradients are shortened to it.
        seed: The seed of order and dropout.
        max_steps: The step at which it ends earlier; 0 does not.
    """

    epochs: int = 30
    batch_posts: int = 16
    accumulate: int = 1
    learning_rate: float = 4e-5
    schedule: Literal["linear", "cosine"] = "linear"
    warmup_share: float = 0.06
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    seed: int = 0
    max_steps: int = 0


def learning_rate_factor(step: int, steps: int, settings: FitSettings) -> float:
    """Return the share of the highest learning rate at a step: up in a line, then down."""
    warmup = max(1, round(settings.warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done


def epoch_batches(posts: int, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Return the row numbers of each batch of one pass, shuffled; every row exactly once."""
    order = torch.randperm(posts, generator=generator).tolist()
    for start in range(0, posts, size):
        yield order[start : start + size]


def fit(
    model: nn.Module,
    posts: int,
    loss_of: Callable[[Sequence[int]], Tensor],
    settings: FitSettings,
    tell: Callable[[int, int, float], object] = lambda step, steps, loss: None,
) -> list[float]:
    """Train what requires gradients, and return the loss of every step.

    Args:
        model: The model to train; it is left in evaluation mode.
        posts: The number of posts.
        loss_of: Returns the mean loss of the posts with those row numbers.
        settings: How long and how fast.
        tell: Called after each step with its number, the number of all steps and the loss.

    Raises:
        ConfigError: There are no posts, or there is nothing to train.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not posts or not parameters:
        raise ConfigError(f"nothing to train: {posts} posts, {len(parameters)} free tensors")
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    highest, decay = settings.learning_rate, settings.weight_decay
    optimizer = torch.optim.AdamW(parameters, lr=highest, weight_decay=decay)
    steps, losses = _steps(posts, settings), list[float]()
    model.train()
    for group in islice(_groups(posts, settings, generator), steps):
        loss = _backward(group, loss_of)
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm)
        factor = learning_rate_factor(len(losses), steps, settings)
        for tensors in optimizer.param_groups:
            tensors["lr"] = highest * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss)
        tell(len(losses), steps, loss)
    model.eval()
    return losses


def _steps(posts: int, settings: FitSettings) -> int:
    per_epoch = math.ceil(math.ceil(posts / settings.batch_posts) / settings.accumulate)
    steps = settings.epochs * per_epoch
    return min(steps, settings.max_steps) if settings.max_steps else steps


def _groups(
    posts: int, settings: FitSettings, generator: torch.Generator
) -> Iterator[list[list[int]]]:
    """Yield the batches of each step, epoch after epoch."""
    for _ in range(settings.epochs):
        batches = list(epoch_batches(posts, settings.batch_posts, generator))
        for start in range(0, len(batches), settings.accumulate):
            yield batches[start : start + settings.accumulate]


def _backward(group: Sequence[Sequence[int]], loss_of: Callable[[Sequence[int]], Tensor]) -> float:
    """Add the gradients of a step's batches, and return their mean loss."""
    total = sum(map(len, group))
    loss = 0.0
    for rows in group:
        share = loss_of(rows) * (len(rows) / total)
        torch.autograd.backward(share)
        loss += float(share.detach())
    return loss


def device() -> torch.device:
    """Return the accelerator if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
