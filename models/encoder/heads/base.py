"""What a head is: a small layer on the pooled embedding, its classes and its loss.

Shapes: `B` batch, `D` embedding width, `C` classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Subclass, name the classes, write `loss`; the layer itself is one linear map."""

    name: ClassVar[str]
    labels: ClassVar[tuple[str, ...]]
    activation: ClassVar[str] = "softmax"
    """`softmax` (one of C) or `sigmoid` (each of C by itself)."""

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, len(self.labels))
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, embedding: Tensor) -> Tensor:
        """Map the embedding (B, D) to logits (B, C)."""
        return self.linear(self.dropout(embedding))

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch; `target` as this head's data set gives it."""

    def prepare(self, labels: Sequence[int]) -> None:
        """Look at the training labels once before training, e.g. to weight the classes."""


def balanced_class_weights(labels: Sequence[int], classes: int) -> Tensor:
    """Weights (C,) inverse to class frequency, whose mean over the labels is one."""
    counts = torch.bincount(torch.tensor(labels), minlength=classes).clamp(min=1).float()
    return counts.sum() / (classes * counts)
