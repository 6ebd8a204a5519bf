"""Sentiment of a post: negative, neutral or positive."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from core.labels import SENTIMENT
from models.encoder.heads.base import Head, balanced_class_weights


class SentimentHead(Head):
    """Three exclusive classes.

    The loss weights classes inversely to their frequency: negatives are 16 % of the training
    posts and 32 % of the test, and the official metric is recall averaged over classes.
    """

    name = "sentiment"
    labels = SENTIMENT

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__(width, dropout)
        self.register_buffer("class_weights", torch.ones(len(self.labels)), persistent=False)

    def prepare(self, labels: Sequence[int]) -> None:
        """Set the class weights from the training labels."""
        self.class_weights = balanced_class_weights(labels, len(self.labels))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weighted cross-entropy; `target` (B,) holds class indices."""
        return functional.cross_entropy(logits.float(), target, weight=self.class_weights)
