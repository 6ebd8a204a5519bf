"""How far a post goes in collective action: five ordered levels from four gates.

Gate k (k = 1..4) answers "given that the post reaches level k - 1, does it reach level k?", so

    P(level >= k) = sigmoid(z_1) * ... * sigmoid(z_k)

falls with k whatever the network says: monotone by construction, no sorting, no penalty. One pass
gives the binary answer (k = 1), the direct one (the five differences) and the layered one (gate 1,
then the rest given gate 1), without the cascade error of a hard first stage. Each gate has its own
weights: what tells a complaint from small talk is not what tells a plan from a deed.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from core.heads import PARTICIPATION
from models.encoder.heads.base import Head, weighted_mean
from models.encoder.tasks import MAX_GATE_BALANCE

SMOOTHING: Final = 0.05
"""Labels are noisy: crowd workers had one line per level, and two thirds of the rows are made."""


class ParticipationHead(Head):
    """Continuation-ratio ordinal classifier; each gate balanced between its two answers."""

    name = "participation"
    labels = PARTICIPATION
    activation = "ordinal"

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__(width, dropout)
        self.positive_weights: Tensor
        self.register_buffer("positive_weights", torch.ones(self.logit_count()), persistent=False)

    def prepare(self, labels: Sequence[Any]) -> None:
        """Weight each gate's passing posts by how many stop per one that passes."""
        levels = torch.tensor(labels)
        ratios = [
            (levels == k).sum() / (levels > k).sum().clamp(min=1) for k in range(self.logit_count())
        ]
        self.positive_weights = torch.stack(ratios).clamp(1 / MAX_GATE_BALANCE, MAX_GATE_BALANCE)

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of the gates a post comes to; `target` (B,) holds levels."""
        gates = torch.arange(self.logit_count(), device=target.device)
        comes_to = (target[:, None] >= gates).float()
        passes = (target[:, None] > gates).float() * (1 - 2 * SMOOTHING) + SMOOTHING
        each = functional.binary_cross_entropy_with_logits(
            logits.float(), passes, reduction="none", pos_weight=self.positive_weights
        )
        return weighted_mean((each * comes_to).sum(1), weight)
