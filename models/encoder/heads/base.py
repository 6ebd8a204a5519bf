"""What a head is: a small layer on the pooled embedding, its classes and its loss.

Shapes: `B` batch, `D` embedding width, `C` classes, `L` logits (C unless the head says other).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Subclass, name the classes, write `loss`; the layer itself is one linear map."""

    name: ClassVar[str]
    labels: ClassVar[tuple[str, ...]]
    activation: ClassVar[str] = "softmax"
    """`softmax` (one of C), `sigmoid` (each of C by itself) or `ordinal` (C - 1 gates)."""

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, self.logit_count())
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    @classmethod
    def logit_count(cls) -> int:
        """L: how many numbers the layer gives for a post."""
        return len(cls.labels) - 1 if cls.activation == "ordinal" else len(cls.labels)

    def forward(self, embedding: Tensor) -> Tensor:
        """Map the embedding (B, D) to logits (B, L)."""
        return self.linear(self.dropout(embedding))

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean loss of a batch; `target` as this head's data set gives it.

        `weight` (B,) says how much each post counts; a post of weight 0 has no say.
        """

    def prepare(self, labels: Sequence[Any]) -> None:
        """Look at the training labels once before training, e.g. to weight the classes."""


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of `losses` (B,), each counted `weight` times; 0 if nothing counts."""
    if weight is None:
        return losses.mean()
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6)


def balanced_class_weights(labels: Sequence[int], classes: int) -> Tensor:
    """Weights (C,) inverse to class frequency, whose mean over the labels is one."""
    counts = torch.bincount(torch.tensor(labels), minlength=classes).clamp(min=1).float()
    return counts.sum() / (classes * counts)
