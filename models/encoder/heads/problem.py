"""Whether a post is about a collective problem at all: the gate before any participation.

No data set has this label, but the levels imply it: whoever participates in collective action
names (or belongs to a movement known for) a collective problem, so every level but none means
yes. None means no or not clear, so those posts count for little and lean to no. Posts from a
topics set that coders did not give to news and social concern are clear noes.
"""

from torch import Tensor
from torch.nn import functional

from core.heads import PROBLEM
from models.encoder.heads.base import Head, weighted_mean


class ProblemHead(Head):
    """One yes-or-no question."""

    name = "problem"
    labels = PROBLEM
    activation = "sigmoid"

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Binary cross-entropy; `target` (B, 1) holds how sure a yes is, in [0, 1]."""
        each = functional.binary_cross_entropy_with_logits(
            logits.float(), target.float(), reduction="none"
        )
        return weighted_mean(each.mean(1), weight)
