"""The networks of heads: a small layer on the pooled embedding with its loss, by kind. Needs torch.

Shapes: `B` batch, `D` embedding width, `C` classes, `L` logits (C unless the head says other).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.heads import SPECS, HeadKind
from models.encoder.config import activation_of, logit_count
from models.encoder.heads import training_of


class Head(nn.Module, ABC):
    """One linear map; subclasses write `loss`, and `prepare` if they weigh answers."""

    def __init__(self, name: str, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.name, self.labels = name, SPECS[name].labels
        self.activation = activation_of(name)
        """`softmax` (one of C), `sigmoid` (each of C by itself) or `ordinal` (C - 1 gates)."""
        training = training_of(name)
        self.label_smoothing, self.most_weight = training.label_smoothing, training.most_weight
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, self.logit_count())
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def logit_count(self) -> int:
        """L: how many numbers the layer gives for a post."""
        return logit_count(len(self.labels), self.activation)

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


class ExclusiveHead(Head):
    """One of C classes, weighted inversely to their frequency in training."""

    def __init__(self, name: str, width: int, dropout: float = 0.1) -> None:
        super().__init__(name, width, dropout)
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


class SeveralHead(Head):
    """C yes-or-no questions; yes counts more the rarer it is, up to `most_weight`."""

    def __init__(self, name: str, width: int, dropout: float = 0.1) -> None:
        super().__init__(name, width, dropout)
        self.positive_weights: Tensor
        self.register_buffer("positive_weights", torch.ones(len(self.labels)), persistent=False)

    def prepare(self, labels: Sequence[Any]) -> None:
        """Weight each question's positives by the square root of negatives per positive."""
        table = torch.tensor(labels, dtype=torch.float32)
        positive = table.sum(0).clamp(min=1)
        odds = (len(table) - positive) / positive
        self.positive_weights = odds.sqrt().clamp(1.0, self.most_weight)

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean binary cross-entropy; `target` (B, C) holds how sure each yes is, in [0, 1]."""
        each = functional.binary_cross_entropy_with_logits(
            logits.float(), target.float(), reduction="none", pos_weight=self.positive_weights
        )
        return weighted_mean(each.mean(1), weight)


class OrderedHead(Head):
    """Continuation-ratio ordinal classifier: C levels from C - 1 gates.

    Gate k (k = 1..C - 1) answers "given that the post reaches level k - 1, does it reach level k?":

        P(level >= k) = sigmoid(z_1) * ... * sigmoid(z_k)

    falls with k whatever the network says: monotone by construction, no sorting, no penalty. One
    pass gives the binary answer (k = 1), the direct one (the differences) and the layered one
    (gate 1, then the rest given gate 1), without the cascade error of a hard first stage. Each gate
    has its own weights: what tells a complaint from small talk is not what tells a plan from a
    deed. Each is balanced between its two answers, up to `most_weight`.
    """

    def __init__(self, name: str, width: int, dropout: float = 0.1) -> None:
        super().__init__(name, width, dropout)
        self.positive_weights: Tensor
        self.register_buffer("positive_weights", torch.ones(self.logit_count()), persistent=False)

    def prepare(self, labels: Sequence[Any]) -> None:
        """Weight each gate's passing posts by how many stop per one that passes."""
        levels = torch.tensor(labels)
        ratios = [
            (levels == k).sum() / (levels > k).sum().clamp(min=1) for k in range(self.logit_count())
        ]
        self.positive_weights = torch.stack(ratios).clamp(1 / self.most_weight, self.most_weight)

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of the gates a post comes to; `target` (B,) holds levels."""
        gates = torch.arange(self.logit_count(), device=target.device)
        comes_to = (target[:, None] >= gates).float()
        smoothing = self.label_smoothing
        passes = (target[:, None] > gates).float() * (1 - 2 * smoothing) + smoothing
        each = functional.binary_cross_entropy_with_logits(
            logits.float(), passes, reduction="none", pos_weight=self.positive_weights
        )
        return weighted_mean((each * comes_to).sum(1), weight)


_BY_KIND: Final[dict[HeadKind, type[Head]]] = {
    HeadKind.EXCLUSIVE: ExclusiveHead,
    HeadKind.SEVERAL: SeveralHead,
    HeadKind.ORDERED: OrderedHead,
}


def make_head(name: str, width: int, dropout: float = 0.1) -> Head:
    """The untrained layer of a head, for embeddings of `width` numbers."""
    return _BY_KIND[SPECS[name].kind](name, width, dropout)


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of `losses` (B,), each counted `weight` times; 0 if nothing counts."""
    if weight is None:
        return losses.mean()
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6)


def balanced_class_weights(labels: Sequence[int], classes: int) -> Tensor:
    """Weights (C,) inverse to class frequency, whose mean over the labels is one."""
    counts = torch.bincount(torch.tensor(labels), minlength=classes).clamp(min=1).float()
    return counts.sum() / (classes * counts)
