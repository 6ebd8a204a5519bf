"""What a training run depends on, its learning rate, and the batches of every step."""

import math
from dataclasses import dataclass, field

import numpy as np

from models.encoder.batches import TokenisedTask, plan_passes


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What a run depends on besides the data; kept beside its weights."""

    tasks: tuple[str, ...] = ("sentiment",)
    heads: tuple[str, ...] = ("sentiment",)
    epochs: int = 2
    passes: dict[str, float] = field(default_factory=dict)
    """Task -> how often an epoch goes over its posts; 1 for a task that is not named."""
    fold: int = 0
    """The fold of participation groups that is held out."""
    teachers: tuple[str, ...] = ()
    """Stages whose weights teach this one; with none it learns from labels alone."""
    sentiment_posts: int = 0
    """Of how many sentiment posts a taught stage draws its batches; 0 is all."""
    unlabelled_posts: int = 0
    start: str = ""
    """The stage whose weights this one began from; empty for the bare backbone."""
    batch_posts: int = 32
    learning_rate: float = 1e-3
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    lora_rank: int = 16
    """0 trains every weight of the backbone instead of adapters."""
    lora_alpha: float = 16.0
    label_smoothing: float | None = None
    """Of heads whose classes exclude one another; None leaves each its own."""
    layers: tuple[int, ...] = ()
    """Layers of the backbone that are kept, counted from 0; none names all."""
    max_tokens: int = 128
    bf16: bool = False
    seed: int = 20171
    checkpoint_every: int = 200
    max_steps: int = field(default=0)
    """Stop after so many steps; 0 trains all epochs. The schedule is that of all epochs."""


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """One part of a training of several tasks; `passes` as in `TrainingSettings`.

    `teachers` are earlier stages. Every stage begins from sentiment alone.
    """

    name: str
    epochs: int
    learning_rate: float
    passes: dict[str, float]
    teachers: tuple[str, ...] = ()
    sentiment_posts: int = 0
    unlabelled_posts: int = 0


def learning_rate_share(step: int, total_steps: int, warmup_share: float) -> float:
    """Linear warm-up to 1, then linear decay to 0.

    >>> [round(learning_rate_share(s, 100, 0.1), 2) for s in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = max(1, math.ceil(total_steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup))


def plan(
    tasks: list[TokenisedTask], settings: TrainingSettings
) -> list[list[tuple[int, list[int]]]]:
    """(task, rows) of every step, by epoch; the batches of several tasks are interleaved."""
    epochs = []
    for epoch in range(settings.epochs):
        steps = [
            (number, rows)
            for number, task in enumerate(tasks)
            for rows in plan_passes(
                [len(ids) for ids in task.token_ids],
                settings.batch_posts,
                settings.seed,
                epoch,
                settings.passes.get(task.name, 1.0),
            )
        ]
        if len(tasks) > 1:
            order = np.random.default_rng((settings.seed, epoch, 1)).permutation(len(steps))
            steps = [steps[i] for i in order]
        epochs.append(steps)
    return epochs
