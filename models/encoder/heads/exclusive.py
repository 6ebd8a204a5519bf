"""Heads whose classes exclude one another: balanced cross-entropy, written once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.encoder.heads.base import Head, balanced_class_weights, weighted_mean


class ExclusiveHead(Head):
    """One of C classes, weighted inversely to their frequency in training."""

    label_smoothing: float = 0.0

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__(width, dropout)
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.ones(len(self.labels)), persistent=False)

    def prepare(self, labels: Sequence[Any]) -> None:
        """Set the class weights from the training labels."""
        self.class_weights = balanced_class_weights(labels, len(self.labels))

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Weighted cross-entropy; `target` (B,) holds class indices."""
        each = functional.cross_entropy(
            logits.float(), target, reduction="none", label_smoothing=self.label_smoothing
        )
        own = self.class_weights[target]
        return weighted_mean(each, own if weight is None else own * weight)
