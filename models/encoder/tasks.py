"""What the encoder is trained on: the posts of its heads, and which heads learn from them.

A task is the posts of a head, named like it. Most teach that head alone. The participation posts
also teach `problem`, and so do the topics posts, so their batches carry targets for two heads and
the backbone is run once for both.
"""

from typing import Final

from models.encoder.heads import HEADS, training_of

TASKS: Final = tuple(name for name in HEADS.names() if training_of(name).train)
"""Heads with posts of their own."""


def heads_of(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The heads that these tasks teach, in the order of `core.heads`."""
    return tuple(name for name in HEADS.names() if {name, training_of(name).taught_by} & {*tasks})


def passes_of(stage: str) -> dict[str, float]:
    """Task -> how often an epoch of a stage goes over its posts."""
    return {task: training_of(task).passes.get(stage, 1.0) for task in TASKS}
