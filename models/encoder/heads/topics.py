"""Topics of a post: any number of nineteen."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from core.heads import TOPICS
from models.encoder.heads.base import Head, weighted_mean
from models.encoder.tasks import MAX_TOPIC_WEIGHT


class TopicsHead(Head):
    """Nineteen yes-or-no questions; yes counts more the rarer a topic is, up to a limit."""

    name = "topics"
    labels = TOPICS
    activation = "sigmoid"

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__(width, dropout)
        self.positive_weights: Tensor
        self.register_buffer("positive_weights", torch.ones(len(self.labels)), persistent=False)

    def prepare(self, labels: Sequence[Any]) -> None:
        """Weight each topic's positives by the square root of negatives per positive."""
        table = torch.tensor(labels, dtype=torch.float32)
        positive = table.sum(0).clamp(min=1)
        odds = (len(table) - positive) / positive
        self.positive_weights = odds.sqrt().clamp(1.0, MAX_TOPIC_WEIGHT)

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Binary cross-entropy over topics; `target` (B, C) holds 0 and 1."""
        each = functional.binary_cross_entropy_with_logits(
            logits.float(), target.float(), reduction="none", pos_weight=self.positive_weights
        )
        return weighted_mean(each.mean(1), weight)
